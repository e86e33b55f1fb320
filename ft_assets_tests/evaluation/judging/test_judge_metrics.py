"""Grades of an evaluation's answers, asked of a real server."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ft_assets.curation.pii import masked_together
from ft_assets.evaluation.judging.answer_judge import AnswerJudge
from ft_assets.evaluation.judging.judge_metrics import JUDGE_METRICS, judge_metrics
from ft_assets.evaluation.metric import Answered
from ft_assets.evaluation.metrics import METRICS, metrics_named
from ft_assets.judge_client import Endpoint
from ft_assets.judge_prompt import CRITERIA
from ft_assets.judge_rules import JudgeRules
from ft_assets.lake import Lake
from ft_assets_tests.evaluation.samples import answered
from ft_assets_tests.judge_server import Handler, JudgeServer, fails, honest, judge_server, says

pytestmark = pytest.mark.service

QUICK = JudgeRules(timeout_seconds=2, attempts=1, concurrency=4, items_between_saves=3)
GOOD = "Restart the worker, because the queue stops when its lease is lost."


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def judge_of(server: JudgeServer, lake: Lake | None = None, rules: JudgeRules = QUICK) -> AnswerJudge:
    return AnswerJudge(Endpoint(server.url, "judge-1"), rules, "key", masked_together, lake)


def rows(answers: Sequence[str]) -> list[Answered]:
    return [
        answered(f"{at:03d}", answer, "x", prompt=f"Why does the queue of worker {at} stop?")
        for at, answer in enumerate(answers)
    ]


def figures(judge: AnswerJudge, its_rows: Sequence[Answered]) -> dict[str, float | None]:
    return {name: metric.figure(metric.points(its_rows)) for name, metric in judge_metrics(judge).items()}


def test_six_figures_come_of_one_request_for_each_answer() -> None:
    with judge_server(says(json.dumps({**dict.fromkeys(CRITERIA, 5), "accuracy": 3}))) as server:
        found = figures(judge_of(server), rows([GOOD, "Wait."]))
        assert len(server.bodies) == 2
    assert found == {**dict.fromkeys(JUDGE_METRICS, 1.0), "judge_accuracy": 0.5, "judge_mean": pytest.approx(0.9)}


def test_better_answers_get_better_grades_and_an_empty_one_gets_none_without_a_request() -> None:
    with judge_server() as server:
        good, poor, empty = (figures(judge_of(server), rows([text]))["judge_mean"] for text in (GOOD, "Hm.", " \n"))
        assert len(server.bodies) == 2
    assert good > poor >= empty == 0.0


def test_what_was_said_is_kept_in_the_lake_and_never_asked_again(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    its_rows = rows([f"{GOOD} {at}" for at in range(8)])
    with judge_server() as server:
        first = figures(judge_of(server, lake), its_rows)
        asked = len(server.bodies)
        again = judge_of(server, lake)
        assert figures(again, its_rows[::-1]) == first
        assert (asked, len(server.bodies)) == (8, 8)
        assert (again.report()["cached"], again.report()["prompt_tokens"]) == (8, 0)
        other = AnswerJudge(Endpoint(server.url, "judge-2"), QUICK, "key", masked_together, lake)
        figures(other, its_rows[:1])
        assert len(server.bodies) == 9
    assert lake.scan("judged_answers").collect().height == 9 * len(CRITERIA)


def test_what_was_said_is_saved_while_the_rest_is_asked(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    saved: list[int] = []

    def looks_at_the_lake(handler: Handler, body: dict[str, Any]) -> None:
        saved.append(lake.scan("judged_answers").collect().height if lake.exists("judged_answers") else 0)
        honest(handler, body)

    with judge_server(looks_at_the_lake) as server:
        judge_of(server, lake).scores(rows([f"{GOOD} {at}" for at in range(8)]))
    parts_of_three = [0, 0, 0, 3, 3, 3, 6, 6]
    assert sorted(saved) == [answers * len(CRITERIA) for answers in parts_of_three]


def test_text_is_masked_before_it_leaves() -> None:
    with judge_server() as server:
        row = answered(
            "a", "Write to jane.roe@example.com or bob@example.com.", "x", prompt="Ask jane.roe@example.com?"
        )
        judge_of(server).scores([row])
        (sent,) = server.raw
    assert "example.com" not in sent
    assert sent.count("<EMAIL_1>") == 2 and sent.count("<EMAIL_2>") == 1


def test_what_cannot_be_masked_is_a_failure_and_is_not_sent() -> None:
    with judge_server() as server:
        judge = AnswerJudge(Endpoint(server.url, "m"), QUICK, "key", lambda texts: None, None)
        assert judge.scores(rows([GOOD])) == [None]
        assert judge.report()["failed"] == {"holds_secret": 1}
        assert server.bodies == []


def test_a_judge_that_fails_too_often_gives_no_figure_at_all() -> None:
    with judge_server() as server:
        server.replies = [fails(400), fails(400)]  # with and without structured output
        judge = judge_of(server, rules=QUICK.model_copy(update={"concurrency": 1}))
        found = figures(judge, rows([f"{GOOD} {at}" for at in range(10)]))
    assert set(found.values()) == {None}
    report = judge.report()
    assert (report["answers"], report["scored"], report["failed"]) == (10, 9, {"http_400": 1})


def test_a_budget_leaves_rows_out_and_says_so() -> None:
    with judge_server() as server:
        judge = judge_of(server, rules=QUICK.model_copy(update={"most_items": 4}))
        points = judge_metrics(judge)["judge_mean"].points(rows([f"{GOOD} {at}" for at in range(6)]))
    assert [each is not None for each in points] == [True] * 4 + [False] * 2
    assert judge.report()["not_submitted"] == {"most_items": 2}


def test_without_a_judge_nothing_is_scored() -> None:
    its_rows = rows([GOOD, ""])
    assert all(METRICS[name].points(its_rows) == [None, None] for name in JUDGE_METRICS)


def test_metrics_by_name_ask_the_judge_that_is_given() -> None:
    with judge_server() as server:
        mean, exact = metrics_named(["judge_mean", "exact_match"], judge_of(server))
        assert mean.points(rows([GOOD]))[0].won == 0.5
    assert exact is METRICS["exact_match"]
