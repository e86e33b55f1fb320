"""What a line's models are asked: its golden set, its eval side, files of its own, the golden sets of others."""

from typing import Any

import pytest

from ft_assets_tests.defs.answering import SERVED, answering, conditions, failure, right, wrong_from
from ft_assets_tests.defs.evaluated_lines import LINE, OTHER, EvaluatedLines, expected, golden
from ft_assets_tests.evaluation.chat_server import ChatServer

pytestmark = pytest.mark.torch

CODE: list[dict[str, Any]] = [
    {"input": "Write double(x).", "output": "def double(x):\n    return 2 * x", "tests": "assert double(4) == 8"},
    {"input": "Write half(x).", "output": "def half(x):\n    return x / 2", "tests": "assert half(4) == 2"},
    {"input": "Write nothing(x).", "output": "def nothing(x): pass", "tests": "assert nothing(4) is None"},
    {"input": "Classify: ok.", "output": "fine", "labels": ["fine", "broken"], "task_type": "classification"},
    {"input": "As JSON.", "output": '{"n": 1}', "json_schema": {"type": "object", "required": ["n"]}},
]


def test_a_suite_of_ones_own_is_run_and_read_by_its_own_checks(lines: EvaluatedLines, server: ChatServer) -> None:
    answers = {
        "Write double(x).": "```python\ndef double(x):\n    return x + x\n```",
        "Write half(x).": "def half(x):\n    return x",
        "Write nothing(x).": "import os\nos._exit(0)",
        "Classify: ok.": "It is fine.",
        "As JSON.": '{"n": 2}',
    }
    endpoint = answering(server, new=lambda question: answers.get(question, "?"))
    own = {"name": "own code", "file": lines.questions("code.jsonl", CODE)}
    lines.write_line(endpoint=endpoint, golden=golden(50), suites=[own])
    lines.trained(lines.adapter("new"))
    report, folder = lines.report()
    figures = report["suites"]["own code"]["figures"]
    names = ("code_passes", "accuracy", "json_matches_schema")
    assert [figures[name]["candidate"]["figure"] for name in names] == [pytest.approx(1 / 3), 1.0, 1.0]
    assert [figures[name]["base"]["figure"] for name in names] == [0.0, 0.0, 0.0]
    assert report["sandbox"] and "Code of answers ran behind these protections" in (folder / "report.md").read_text()


def test_the_golden_sets_of_two_lines_make_a_matrix(lines: EvaluatedLines, server: ChatServer) -> None:
    lines.write_line(OTHER, golden=[{**row, "id": f"other-{row['id']}"} for row in golden(50)], interference=True,
                     endpoint=answering(server, new=wrong_from(25), base=right))  # fmt: skip
    lines.write_line(LINE, golden=golden(55), interference=True, endpoint={"url": server.url, "models": SERVED})
    lines.write_line("software-developer")  # the bundled line's golden set would be a third one
    lines.trained(lines.adapter("of the other"), OTHER)
    lines.trained(lines.adapter("new"))
    lines.report(OTHER)
    report, folder = lines.report()
    (cell,) = report["interference"]
    assert (cell["of"], cell["against"], cell["n_clusters"]) == (OTHER, "base", 50)
    assert -0.6 < cell["estimate"] < -0.3
    assert report["other_lines"][OTHER].keys() == {LINE}
    assert (folder / "interference.png").is_file()
    assert not any(told["blocks"] for told in conditions(report, "guardrail") if told["suite"].endswith(OTHER))


def test_a_line_without_golden_set_is_judged_on_its_eval_side(lines: EvaluatedLines, server: ChatServer) -> None:
    lines.write_line(endpoint=answering(server))
    lines.trained(lines.adapter("new", lines.snapshot(220, eval_fraction=0.3)))
    report, folder = lines.report()
    assert report["judged_suite"] == "snapshot eval side"
    assert report["suites"]["snapshot eval side"]["clusters"] >= 50
    assert (report["golden_budget"], report["verdict"]["decision"]) == (None, None)
    assert "kept out of training" in (folder / "report.md").read_text()


def test_a_line_with_no_question_at_all_fails_and_says_what_to_do(lines: EvaluatedLines, server: ChatServer) -> None:
    lines.write_line(endpoint=answering(server))
    lines.trained(lines.adapter("new", lines.snapshot(eval_fraction=0.0)))
    result = lines.evaluate()
    assert not result.success
    assert "has no golden set and its snapshot no eval side" in failure(result)
    lines.write_line(endpoint=answering(server), golden=golden(50))
    assert lines.report()[0]["suites"].keys() == {"golden set"}


def test_a_spent_golden_set_promotes_nobody(lines: EvaluatedLines, server: ChatServer) -> None:
    endpoint = answering(server, new=right)
    lines.write_line(endpoint=endpoint, golden=golden(60), gate={"golden_decisions": 1})
    snapshot = lines.snapshot()
    lines.trained(lines.adapter("first", snapshot))
    assert lines.report()[0]["verdict"]["outcome"] == "promote"
    lines.trained(lines.adapter("second", snapshot))
    report, _ = lines.report()
    assert report["verdict"]["outcome"] == "hold"
    assert "has served for 1 decisions, its budget" in report["verdict"]["reasons"][0]
    renewed = [{**row, "messages": [{"role": "user", "content": f"What holds in case {900 + n} of {n}?"},
               {"role": "assistant", "content": expected(900 + n)}]} for n, row in enumerate(golden(30))]  # fmt: skip
    lines.write_line(endpoint=endpoint, golden=[*renewed, *golden(60)[30:]], gate={"golden_decisions": 1})
    report, _ = lines.report()
    assert report["verdict"]["decision"] == 1
    assert any(told["suite"] == "golden set, new part" for told in conditions(report, "golden budget"))
