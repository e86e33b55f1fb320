import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ft_assets.evaluation.deciding.gate_rules import Guardrail
from ft_assets.evaluation.report import describe
from ft_assets.evaluation.reporting.integrity import integrity_problems
from ft_assets_tests.evaluation.report_samples import RULES, SHARES, a_suite, facts_of, full_facts, scored

pytestmark = pytest.mark.slow  # matplotlib, scipy and rouge_score are imported


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    return describe(full_facts())


def test_a_report_as_it_is_written_may_be_relied_on(written: dict[str, Any]):
    assert written["verdict"]["outcome"] == "promote"
    assert integrity_problems(written) == []


def golden(report: dict[str, Any]) -> dict[str, Any]:
    return report["suites"]["golden set"]


def superior(report: dict[str, Any]) -> dict[str, Any]:
    return next(c for c in report["verdict"]["conditions"] if c["kind"] == "superior" and c["against"] == "champion")


def point(row: int, side: str, metric: str, points: Any) -> Callable[[dict[str, Any]], None]:
    return lambda report: golden(report)["rows"][row]["points"][side].update({metric: points})


DAMAGE = {
    "a number that is not finite": (
        point(3, "champion", "perplexity", [float("nan"), 4.0]),
        "1 rows have no finite score of the champion (first: r003)",
    ),
    "a side without a score": (
        lambda report: golden(report)["rows"][0]["points"].pop("base"),
        "1 rows have no score of the base and no reason (first: r000)",
    ),
    "a row that counts twice": (
        lambda report: golden(report)["rows"].append(golden(report)["rows"][0]),
        "counted twice",
    ),
    "a row that is gone": (lambda report: golden(report)["rows"].pop(), "60 questions and the report 59 rows"),
    "another suite": (lambda report: report.update(judged_suite="other"), "'other', holds no row"),
    "a flipped difference": (
        lambda report: superior(report).update(estimate=-superior(report)["estimate"]),
        "The verdict calls the difference in exact_match against champion",
    ),
    "a row that was turned round": (
        point(5, "champion", "exact_match", [0.5, 1.0]),
        "the stored rows of suite golden set",
    ),
    "a figure that was made up": (
        lambda report: golden(report)["figures"]["rouge_l"]["candidate"].update(figure=0.99),
        "the rouge_l of the candidate is not that of the stored rows",
    ),
    "a difference that was made up": (
        lambda report: golden(report)["differences"][0].update(estimate=0.5),
        "is not that of the stored rows",
    ),
    "a promotion over a broken condition": (
        lambda report: superior(report).update(holds=None),
        "The verdict is promote, and 1 blocking conditions do not hold",
    ),
    "a verdict without conditions": (
        lambda report: report["verdict"].update(conditions=[]),
        "names no condition on being superior",
    ),
    "a reject that nothing shows": (lambda report: report["verdict"].update(outcome="reject"), "no blocking condition"),
    "the same model twice": (
        lambda report: report["models"].update(candidate=report["models"]["champion"]),
        "are the same model",
    ),
    "another base": (lambda report: report["bases"].update(base="another"), "another one than the base"),
    "no digest": (lambda report: report["models"].update(candidate=""), "names no digest of the candidate"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_what_was_changed_is_found(written: dict[str, Any], what: str):
    damage, said = DAMAGE[what]
    report = copy.deepcopy(written)
    damage(report)
    assert any(said in problem for problem in integrity_problems(report)), integrity_problems(report)


def test_guardrails_are_computed_again_too_whichever_way_is_better_and_as_shares():
    length = Guardrail(metric="tokens_per_answer", margin=0.5, relative=True)
    forgetting = Guardrail(suite="general ability", metric="perplexity", margin=0.5, blocks=False)
    general = a_suite(80, {"candidate": 0.5, "champion": 0.7, "base": 0.8}, "general ability", "general")
    rules = RULES.model_copy(update={"guardrails": (length, forgetting)})
    report = describe(facts_of(a_suite(), general, rules=rules))
    rails = [c for c in report["verdict"]["conditions"] if c["metric"] in ("tokens_per_answer", "perplexity")]
    assert [(c["relative"], c["estimate"] < 0) for c in rails] == [(True, True), (False, True)]
    assert integrity_problems(report) == []
    for rail in rails:
        rail["estimate"] = -rail["estimate"]
    assert len(integrity_problems(report)) == 2


def left_out(count: int, of: int = 100) -> dict[str, Any]:
    suite = a_suite(of)
    answers = dict(suite.predictions) | {"candidate": suite.predictions["candidate"][count:]}
    missing = {"candidate": {f"r{i:03d}": "out of memory" for i in range(count)}}
    return describe(facts_of(scored(suite.suite, answers, missing=missing)))


def test_less_than_two_in_a_hundred_may_be_missing_where_each_says_why():
    report = left_out(1)
    assert integrity_problems(report) == []
    del report["suites"]["golden set"]["missing"]["candidate"]
    assert "1 rows have no score of the candidate and no reason" in integrity_problems(report)[0]


def test_a_baseline_without_some_answers_stops_nothing():
    suite = a_suite(100, SHARES | {"base_with_examples": 0.5})
    answers = dict(suite.predictions)
    answers["base_with_examples"] = answers["base_with_examples"][10:]
    missing = {"base_with_examples": {f"r{i:03d}": "its prompt is too long" for i in range(10)}}
    plain = facts_of(suite)
    assert integrity_problems(describe(replace(plain, suites=[scored(suite.suite, answers, missing=missing)]))) == []


def test_more_missing_answers_are_no_evaluation():
    problems = integrity_problems(left_out(10))
    assert any("did not finish (not evaluated)" in problem for problem in problems)
    assert any("the candidate answered 90 of 100 rows, less than 98 %" in problem for problem in problems)
