"""The changes that a person makes from the command line: promote, roll back, approve."""

from collections.abc import Callable
from typing import Any

import pytest

from ft_assets.state_approvals import approvals
from ft_assets_tests.command_line.conftest import Ask
from ft_assets_tests.command_line.installation import BETTER, CAREFUL, LINE, Installation
from ft_assets_tests.command_line.test_answers import digests_of, names_of

pytestmark = pytest.mark.slow
AskJson = Callable[..., Any]
ADA = ("--by", "Ada Lovelace", "--why", "read twenty answers")


def test_rollback_returns_to_the_champion_before_and_promote_brings_the_other_back(
    installation: Installation, ask: Ask, ask_json: AskJson
):
    first, second = digests_of(installation)
    back = ask_json("rollback", LINE, *ADA)
    assert (back["kind"], back["model_digest"], back["previous"], back["number"]) == ("rollback", first, second, 3)
    assert (back["by"], back["why"]) == ("Ada Lovelace", "read twenty answers")
    assert "Name one with --to" in ask("rollback", LINE, *ADA, exit_code=1).stderr
    told = ask("promote", names_of(installation)[1], *ADA).stdout
    assert "is the champion already" in ask("promote", names_of(installation)[1], *ADA).stderr
    assert "promotion 4" in told and "by Ada Lovelace: read twenty answers" in told
    assert ask_json("rollback", LINE, "--to", first[:10], *ADA)["number"] == 5
    assert [p.model_digest for p in installation.state.promotions(LINE)] == [first, second, first, second, first]


def test_rollback_works_while_the_files_of_the_lines_are_broken(installation: Installation, ask: Ask):
    (installation.lines / "broken.yaml").write_text("name: [")
    ask("rollback", LINE, *ADA)
    assert "broken.yaml" in ask("promote", f"{LINE}@previous", *ADA, exit_code=2).stderr


def test_a_model_that_lost_or_was_judged_against_another_is_not_promoted(installation: Installation, ask: Ask):
    third = installation.train(LINE, "three")
    installation.evaluate(LINE, third, {"candidate": 0.1, "champion": 0.6, "base": 0.1})
    assert "does not say promote" in ask("promote", third.digest, *ADA, exit_code=1).stderr
    second = digests_of(installation)[1]
    refusal = ask("promote", f"{LINE}@previous", *ADA, exit_code=1).stderr
    assert f"was judged against no champion, and the champion is {second}" in refusal
    assert len(installation.state.promotions(LINE)) == 2


def test_a_line_that_wants_approval_gets_it_from_a_person_who_did_not_train(
    installation: Installation, ask: Ask, ask_json: AskJson
):
    installation.curate(CAREFUL, "2026-03-04", 500, 150)
    adapter = installation.train(CAREFUL, "careful", by="Grace Hopper")
    report = installation.evaluate(CAREFUL, adapter, BETTER)
    candidate = f"{CAREFUL}@candidate"
    assert "a person has to approve report" in ask("promote", candidate, *ADA, exit_code=1).stderr
    assert "a person has to approve report" in ask("why-not", CAREFUL).stdout
    by_trainer = ask("approve", candidate, "--by", "grace hopper", "--why", "mine", exit_code=1).stderr
    assert "launched this training" in by_trainer
    assert "the line allows 14" in ask("approve", candidate, *ADA, "--expires-days", "30", exit_code=1).stderr
    changed = ask("approve", candidate, *ADA, "--report", "0123abcd", exit_code=1).stderr
    assert f"The evidence changed: its newest report is {report.digest[:12]}" in changed
    assert approvals(installation.state, CAREFUL, adapter.digest) == []
    approval = ask_json("approve", candidate, *ADA, "--report", report.digest[:12], "--expires-days", "3")
    assert approval["report_digest"] == report.digest
    assert "Ada Lovelace, " in ask("why", candidate).stdout
    assert ask_json("promote", candidate, "--by", "Grace Hopper", "--why", "approved")["model_digest"] == adapter.digest


def test_an_approval_of_one_report_does_not_carry_over_to_the_next(installation: Installation, ask: Ask):
    installation.curate(CAREFUL, "2026-03-04", 500, 150)
    adapter = installation.train(CAREFUL, "careful")
    installation.evaluate(CAREFUL, adapter, BETTER)
    ask("approve", adapter.digest, *ADA)
    installation.evaluate(CAREFUL, adapter, {**BETTER, "candidate": 0.8})
    refusal = ask("promote", adapter.digest, *ADA, exit_code=1).stderr
    assert "Ada Lovelace approved report" in refusal and "the evidence is" in refusal
    ask("approve", adapter.digest, *ADA)
    ask("promote", adapter.digest, *ADA)
