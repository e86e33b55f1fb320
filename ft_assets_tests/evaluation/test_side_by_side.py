from dataclasses import replace

import pytest

from ft_assets.evaluation.deciding.gate_rules import GateRules, Guardrail
from ft_assets.evaluation.deciding.golden_budget import GoldenStatus
from ft_assets.evaluation.gate import Pair, decide, new_part
from ft_assets.evaluation.measures.text_metrics import EXACT_MATCH, SECONDS_PER_ANSWER
from ft_assets.evaluation.measures.tool_call_metrics import TOOL_ARGUMENTS
from ft_assets.evaluation.score import score_rows
from ft_assets.evaluation.side_by_side import SideBySide, evidence_of
from ft_assets.evaluation.suites import suite_of
from ft_assets_tests.evaluation.report_samples import a_suite, scored
from ft_assets_tests.evaluation.samples import item, prediction

RULES = GateRules(primary_metric="exact_match", guardrails=())


def of_another_tokenizer(result: SideBySide, side: str) -> SideBySide:
    """The same answers by a side whose tokenizer makes five tokens of every reference instead of four."""
    judged = result.judged
    longer = [replace(row, answer_tokens=5) for row in judged.predictions[side]]
    suite = suite_of("golden set", "golden", judged.items, None)
    return SideBySide([scored(suite, {**judged.predictions, side: longer})])


@pytest.mark.parametrize("side", ["champion", "base"])
def test_sides_of_two_tokenizers_are_no_problem_where_no_rule_needs_their_tokens(side: str):
    result = of_another_tokenizer(SideBySide([a_suite()]), side)
    tokens = Guardrail(metric="token_accuracy", margin=0.1, blocks=False)
    evidence = evidence_of(result, RULES.model_copy(update={"guardrails": (tokens,)}))
    assert evidence.problems == ()
    assert Pair("golden set", "token_accuracy", side) not in evidence.pairs
    assert decide(evidence, RULES).outcome != "not evaluated"


def test_sides_of_two_tokenizers_are_a_problem_where_their_tokens_decide():
    result = of_another_tokenizer(SideBySide([a_suite()]), "champion")
    evidence = evidence_of(result, RULES.model_copy(update={"primary_metric": "token_accuracy"}))
    assert len(evidence.problems) == 1
    assert "golden set, candidate and champion: Row r000 counts 4 possible points" in evidence.problems[0]
    assert decide(evidence, RULES).outcome == "not evaluated"


def test_time_is_what_was_measured_in_turns_and_not_what_kept_answers_took():
    rules = RULES.model_copy(
        update={"guardrails": (Guardrail(metric="seconds_per_answer", margin=0.2, relative=True),)}
    )
    judged = a_suite()
    turns = {f"r{i:03d}": 0.1 for i in range(16)}
    slower = {row_id: 2 * seconds for row_id, seconds in turns.items()}
    pair = Pair("golden set", "seconds_per_answer", "champion")
    timed = SideBySide([judged], latency={"candidate": slower, "champion": turns})
    points = evidence_of(timed, rules).pairs[pair]
    assert (list(points.candidate), list(points.other)) == ([0.2] * 16, [0.1] * 16)  # type: ignore[arg-type]
    assert decide(evidence_of(timed, rules), rules).outcome == "reject"
    untimed = SideBySide([judged])
    assert SECONDS_PER_ANSWER.points is not None and pair not in evidence_of(untimed, rules).pairs
    assert decide(evidence_of(untimed, rules), rules).outcome == "not evaluated"


def test_a_metric_whose_share_depends_on_the_answer_can_decide():
    """An answer with three calls where one was asked for counts as one row, like the other side's."""
    call = '<tool_call>{"name": "find", "arguments": {"id": %d}}</tool_call>'
    items = [item(f"r{i:03d}", reference=call % i, task_type="tool_call") for i in range(60)]
    right = [prediction(row.row_id, row.reference) for row in items]
    chatty = [prediction(row.row_id, row.reference + call % 98 + call % 99) for row in items]
    suite = suite_of("golden set", "golden", items, None)
    metrics = (TOOL_ARGUMENTS, EXACT_MATCH)
    answers = {"candidate": right, "champion": chatty, "base": chatty}
    scores = {side: score_rows(items, rows, metrics) for side, rows in answers.items()}
    judged = replace(scored(suite, answers), scores=scores)
    rules = RULES.model_copy(update={"primary_metric": "tool_arguments"})
    evidence = evidence_of(SideBySide([judged]), rules)
    assert evidence.problems == ()
    verdict = decide(evidence, rules)
    assert verdict.outcome == "promote"
    assert verdict.conditions[0].estimate == pytest.approx(2 / 3)


def test_the_new_part_of_a_renewed_set_is_compared_on_its_own():
    status = GoldenStatus(1, 20, 1, 0.3, frozenset({"r001", "r002"}))
    evidence = evidence_of(SideBySide([a_suite()]), RULES, status)
    assert len(evidence.pairs[Pair(new_part("golden set"), "exact_match", "champion")].clusters) == 2  # type: ignore[arg-type]
