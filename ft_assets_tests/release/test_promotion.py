import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from ft_assets.errors import BadInput, EvaluationIncomplete, IncompleteArtifact, PromotionRefused, StaleChampion
from ft_assets.evaluation.deciding.verdict import Verdict
from ft_assets.lake import Artifact, Lake
from ft_assets.release.approvals import approve
from ft_assets.release.promotion import ReportedVerdict, promote_if_allowed, read_verdict
from ft_assets.release.rollback import rollback
from ft_assets.state import Promotion, State
from ft_assets.state_approvals import APPROVALS
from ft_assets.state_registry import record_evaluation
from ft_assets.state_taints import taint, taints

LINE = "qa-engineer"


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path / 'state.db'}")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def verdict(candidate: str, incumbent: str | None = None, outcome: str = "promote") -> ReportedVerdict:
    return ReportedVerdict(LINE, candidate, incumbent, outcome, f"{outcome}: +0.4", f"report-{candidate}")


def promoted(state: State, model: str, over: str | None = None, **asked: Any) -> Promotion:
    decision = promote_if_allowed(state, LINE, model, verdict(model, over), "a test", **asked)
    assert decision.promotion is not None, decision.why_not
    return decision.promotion


def test_a_promote_verdict_makes_the_first_champion_with_its_evidence(state: State):
    promotion = promoted(state, "one")
    assert (promotion.model_digest, promotion.previous, promotion.evidence) == ("one", None, "report-one")
    assert (promotion.by, promotion.why, promotion.kind) == ("a test", "promote: +0.4", "promotion")
    assert state.champion(LINE) == promotion


@pytest.mark.parametrize("outcome", ["hold", "reject", "not evaluated"])
def test_any_other_verdict_changes_nothing_and_is_the_reason(state: State, outcome: str):
    decision = promote_if_allowed(state, LINE, "one", verdict("one", outcome=outcome), "a test")
    assert decision.promotion is None
    assert f"does not say promote: {outcome}: +0.4" in decision.why_not
    assert state.champion(LINE) is None


def test_a_verdict_about_another_model_or_line_is_no_proof(state: State):
    with pytest.raises(EvaluationIncomplete, match="about model two"):
        promote_if_allowed(state, LINE, "one", verdict("two"), "a test")
    with pytest.raises(EvaluationIncomplete):
        promote_if_allowed(state, "devops-engineer", "one", verdict("one"), "a test")
    assert state.champion(LINE) is None


@pytest.mark.parametrize("evaluated_against", [None, "zero"])
def test_a_verdict_against_a_past_champion_is_stale(state: State, evaluated_against: str | None):
    promoted(state, "one")
    with pytest.raises(StaleChampion, match="the champion is one"):
        promote_if_allowed(state, LINE, "two", verdict("two", evaluated_against), "a test")
    assert promoted(state, "two", over="one").previous == "one"


def test_a_run_that_was_cut_off_after_its_promotion_finds_it_again(state: State):
    first = promoted(state, "one")
    assert promote_if_allowed(state, LINE, "one", verdict("one"), "another run").promotion == first
    assert len(state.promotions(LINE)) == 1


def test_a_tainted_model_is_not_promoted_by_anybody(state: State):
    taint(state, ["one"], "learned rows of a user who was forgotten", "forget")
    taint(state, ["one"], "learned rows of a user who was forgotten", "forget")
    assert len(taints(state)["one"]) == 1
    assert "is tainted: learned rows" in promote_if_allowed(state, LINE, "one", verdict("one"), "a test").why_not
    with pytest.raises(PromotionRefused, match="tainted"):
        state.promote(LINE, "one", None, "a test", "better", "report")
    assert state.promotions(LINE) == []


# ---- approvals -------------------------------------------------------------------------------------------------------
def test_a_line_that_wants_a_person_waits_for_one(state: State):
    waiting = promote_if_allowed(state, LINE, "one", verdict("one"), "a test", needs_approval=True)
    assert waiting.promotion is None
    assert "a person has to approve report report-one first" in waiting.why_not
    approval = approve(state, verdict("one"), "Ada", "read twenty answers", trained_by="Grace", expires_days=14)
    assert (approval.expires_at - approval.at).days == 14
    assert promoted(state, "one", needs_approval=True).model_digest == "one"


@pytest.mark.parametrize("trainer", ["ada lovelace", "Ada  Lovelace "])
def test_the_trainer_does_not_approve_their_own_model(state: State, trainer: str):
    with pytest.raises(PromotionRefused, match="launched this training"):
        approve(state, verdict("one"), "Ada Lovelace", "mine", trained_by=trainer, expires_days=14)


@pytest.mark.parametrize(("by", "why", "days"), [(" ", "good", 14), ("Ada", "", 14), ("Ada", "good", 0)])
def test_an_approval_has_a_name_a_reason_and_an_end(state: State, by: str, why: str, days: int):
    with pytest.raises(PromotionRefused):
        approve(state, verdict("one"), by, why, trained_by=None, expires_days=days)


def test_evidence_that_changed_is_neither_approved_nor_covered_by_an_old_approval(state: State):
    record_evaluation(state, LINE, "one", "report-one", "promote", "promote: +0.4")
    approve(state, verdict("one"), "Ada", "good", None, 14)
    newer = replace(verdict("one"), report_digest="report-newer")
    record_evaluation(state, LINE, "one", "report-newer", "promote", "promote: +0.1")
    with pytest.raises(PromotionRefused, match="The evidence changed: report report-newer came after report-one"):
        approve(state, verdict("one"), "Ada", "good", None, 14)
    waiting = promote_if_allowed(state, LINE, "one", newer, "a test", needs_approval=True)
    assert waiting.promotion is None and "Ada approved report report-one, and the evidence is" in waiting.why_not
    approve(state, newer, "Ada", "read it again", None, 14)
    assert promote_if_allowed(state, LINE, "one", newer, "a test", needs_approval=True).promotion is not None


def test_a_report_against_a_fallen_champion_is_not_approved(state: State):
    promoted(state, "zero")
    with pytest.raises(PromotionRefused, match="made against no champion, and the champion is zero now"):
        approve(state, verdict("one"), "Ada", "good", None, 14)


def test_an_approval_expires(state: State):
    approval = approve(state, verdict("one"), "Ada", "good", None, 1)
    assert approval.stands("report-one", approval.at)
    assert not approval.stands("report-one", approval.expires_at)
    row = {**asdict(approval), "model_digest": "two", "report_digest": "report-two", "expires_at": approval.at}
    with state.transaction(writes=True) as connection:
        connection.execute(state.table(APPROVALS).insert(), row)
    waiting = promote_if_allowed(state, LINE, "two", verdict("two"), "a test", needs_approval=True)
    assert waiting.promotion is None and "approval by Ada expired" in waiting.why_not


# ---- rollback --------------------------------------------------------------------------------------------------------
def line_of_champions(state: State, lake: Lake, tmp_path: Path, names: str) -> list[str]:
    """One whole adapter per letter, each champion once, in their order."""
    digests: list[str] = []
    for name in names:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_text(name)
        digests.append(lake.put_artifact("adapter", folder).digest)
        promoted(state, digests[-1], over=digests[-2] if len(digests) > 1 else None)
    return digests


def test_two_rollbacks_go_back_two_champions_and_leave_the_same_record(state: State, lake: Lake, tmp_path: Path):
    a, b, c = line_of_champions(state, lake, tmp_path, "abc")
    first = rollback(state, lake, LINE, "Ada", "c answers in French")
    assert (first.model_digest, first.previous, first.number, first.kind) == (b, c, 4, "rollback")
    assert (first.by, first.why, first.evidence) == ("Ada", "c answers in French", f"report-{b}")
    assert rollback(state, lake, LINE, "Ada", "b too").model_digest == a
    with pytest.raises(PromotionRefused, match="replaced nobody"):
        rollback(state, lake, LINE, "Ada", "and now?")
    assert rollback(state, lake, LINE, "Ada", "it was the prompt", to=c).model_digest == c
    assert [p.previous for p in state.promotions(LINE)] == [None, a, b, c, b, a]


def test_a_repeated_step_does_not_undo_a_rollback_and_a_person_may(state: State, lake: Lake, tmp_path: Path):
    a, b = line_of_champions(state, lake, tmp_path, "ab")
    rollback(state, lake, LINE, "Ada", "b answers in French")
    repeated = promote_if_allowed(state, LINE, b, verdict(b, a), "a test")
    assert repeated.promotion is None and "fell since" in repeated.why_not
    assert state.champion(LINE).model_digest == a
    assert promoted(state, b, over=a, again=True).number == 4


def test_nobody_returns_to_a_model_that_never_was_champion_is_damaged_or_tainted(
    state: State, lake: Lake, tmp_path: Path
):
    a, b, c = line_of_champions(state, lake, tmp_path, "abc")
    for target, why in (("d" * 64, "never was its champion"), (c, "is the champion already")):
        with pytest.raises(PromotionRefused, match=why):
            rollback(state, lake, LINE, "Ada", "why not", to=target)
    weights = lake.artifact("adapter", b).path / "adapter_model.safetensors"
    weights.chmod(0o644)
    weights.write_text("B")
    with pytest.raises(IncompleteArtifact, match=r"adapter_model\.safetensors has another SHA-256"):
        rollback(state, lake, LINE, "Ada", "c is slow")
    taint(state, [a], "learned rows of a user who was forgotten", "forget")
    with pytest.raises(PromotionRefused, match="tainted"):
        rollback(state, lake, LINE, "Ada", "c is slow", to=a)
    with pytest.raises(PromotionRefused, match="a name and a reason"):
        rollback(state, lake, LINE, "", "c is slow")
    assert state.champion(LINE).model_digest == c and len(state.promotions(LINE)) == 3


# ---- the report ------------------------------------------------------------------------------------------------------
def report(tmp_path: Path, text: str) -> Artifact:
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "report.json").write_text(text)
    return Lake(str(tmp_path / "lake")).put_artifact("report", folder)


def test_the_verdict_is_read_from_the_report_itself(tmp_path: Path):
    facts = {
        "specialization": LINE,
        "models": {"candidate": "new", "base": "b", "champion": "old"},
        "verdict": {"outcome": "hold", "summary": "hold: +0.01"},
    }
    artifact = report(tmp_path, json.dumps(facts))
    assert read_verdict(artifact) == ReportedVerdict(LINE, "new", "old", "hold", "hold: +0.01", artifact.digest)


def test_a_verdict_without_a_summary_is_summed_up_by_its_reasons(tmp_path: Path):
    facts = {
        "specialization": LINE,
        "models": {"candidate": "new", "base": "b"},
        "verdict": Verdict(outcome="hold", reasons=["too few rows", "tests fail"], conditions=[]).model_dump(),
    }
    read = read_verdict(report(tmp_path, json.dumps(facts)))
    assert (read.incumbent, read.outcome, read.summary) == (None, "hold", "too few rows; tests fail")


@pytest.mark.parametrize("text", ["", "[]", '{"models": {}}'])
def test_a_report_without_a_verdict_is_refused(tmp_path: Path, text: str):
    with pytest.raises(BadInput, match=r"report\.json holds no verdict"):
        read_verdict(report(tmp_path, text))
