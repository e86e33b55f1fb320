import json
from pathlib import Path

import pytest

from ft_assets.errors import BadInput, EvaluationIncomplete, StaleChampion
from ft_assets.lake import Artifact, Lake
from ft_assets.release.promotion import ReportedVerdict, promote_if_allowed, read_verdict
from ft_assets.state import State

LINE = "qa-engineer"


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path / 'state.db'}")


def verdict(candidate: str, incumbent: str | None = None, outcome: str = "promote") -> ReportedVerdict:
    return ReportedVerdict(LINE, candidate, incumbent, outcome, f"{outcome}: +0.4", f"report-{candidate}")


def test_a_promote_verdict_makes_the_first_champion_with_its_evidence(state: State):
    promotion = promote_if_allowed(state, LINE, "one", verdict("one"), "a test")
    assert promotion is not None
    assert (promotion.model_digest, promotion.previous, promotion.evidence) == ("one", None, "report-one")
    assert (promotion.by, promotion.why) == ("a test", "promote: +0.4")
    assert state.champion(LINE) == promotion


@pytest.mark.parametrize("outcome", ["hold", "reject"])
def test_any_other_verdict_changes_nothing(state: State, outcome: str):
    assert promote_if_allowed(state, LINE, "one", verdict("one", outcome=outcome), "a test") is None
    assert state.champion(LINE) is None


def test_a_verdict_about_another_model_or_line_is_no_proof(state: State):
    with pytest.raises(EvaluationIncomplete, match="about model two"):
        promote_if_allowed(state, LINE, "one", verdict("two"), "a test")
    with pytest.raises(EvaluationIncomplete):
        promote_if_allowed(state, "devops-engineer", "one", verdict("one"), "a test")
    assert state.champion(LINE) is None


@pytest.mark.parametrize("evaluated_against", [None, "zero"])
def test_a_verdict_against_a_past_champion_is_stale(state: State, evaluated_against: str | None):
    promote_if_allowed(state, LINE, "one", verdict("one"), "a test")
    with pytest.raises(StaleChampion):
        promote_if_allowed(state, LINE, "two", verdict("two", evaluated_against), "a test")
    assert promote_if_allowed(state, LINE, "two", verdict("two", "one"), "a test").previous == "one"


def test_a_run_that_was_cut_off_after_its_promotion_finds_it_again(state: State):
    first = promote_if_allowed(state, LINE, "one", verdict("one"), "a test")
    assert promote_if_allowed(state, LINE, "one", verdict("one"), "another run") == first
    assert len(state.promotions(LINE)) == 1


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


@pytest.mark.parametrize("text", ["", "[]", '{"models": {}}'])
def test_a_report_without_a_verdict_is_refused(tmp_path: Path, text: str):
    with pytest.raises(BadInput, match=r"report\.json holds no verdict"):
        read_verdict(report(tmp_path, text))
