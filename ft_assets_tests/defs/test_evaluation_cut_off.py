"""Evaluations that are not whole: answers that are missing, a process that is killed, a champion that is gone."""

import json
import os
import re
import signal
import subprocess
import sys
from typing import Any

import pytest

from ft_assets.erasure.artifacts import erase_artifact
from ft_assets.evaluation.answers import TABLE
from ft_assets.state_golden import golden_decisions
from ft_assets_tests.defs.answering import answering, asked_of, failure, right
from ft_assets_tests.defs.evaluated_lines import LINE, EvaluatedLines, golden
from ft_assets_tests.defs.untrained import untrained
from ft_assets_tests.evaluation.chat_server import ChatServer, Handler

pytestmark = pytest.mark.torch


def test_too_few_answers_are_no_verdict_and_only_the_missing_ones_are_asked_again(
    lines: EvaluatedLines, server: ChatServer
) -> None:
    endpoint = answering(server, new=right)
    honest = server.otherwise

    def sometimes(handler: Handler, body: dict[str, Any]) -> None:
        refused = body["model"] == "new" and re.search(r"case (?:3|4) ", body["messages"][-1]["content"])
        handler.send(400, b"{}") if refused else honest(handler, body)

    server.otherwise = sometimes
    lines.write_line(endpoint=endpoint, golden=golden(60), retrieved_examples=0)
    adapter = lines.trained(lines.adapter("new"))
    result = lines.evaluate()
    made = result.asset_materializations_for_node("evaluation_report")[0].metadata
    assert str(made["verdict"].value).startswith("not evaluated")
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed and "did not finish" in (check.description or "")
    assert golden_decisions(lines.state, LINE, "golden set") == [], "an evaluation that is not whole costs nothing"
    report = json.loads((lines.lake.artifact("report", str(made["digest"].value)).path / "report.json").read_text())
    assert report["suites"]["golden set"]["missing"]["candidate"].keys() == {"g0003", "g0004"}
    server.otherwise, before = honest, asked_of(server, "new")
    report, _ = lines.report()
    assert (report["verdict"]["outcome"], report["models"]["candidate"]) == ("promote", adapter.digest)
    assert asked_of(server, "new") - before == 2 + 16, "the missing ones, and a sample that is asked alone"


def test_a_killed_evaluation_is_not_asked_again_what_it_has_answered(lines: EvaluatedLines, server: ChatServer) -> None:
    lines.write_line(endpoint=answering(server, new=right), golden=golden(60), retrieved_examples=0)
    lines.trained(lines.adapter("new"))
    command = [sys.executable, "-m", "ft_assets_tests.defs.evaluating", str(lines.folder)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    honest = server.otherwise

    def deadly(handler: Handler, body: dict[str, Any]) -> None:
        if body["model"] == "base":
            os.kill(child.pid, signal.SIGKILL)
        honest(handler, body)

    server.otherwise = deadly
    assert child.wait(120) == -signal.SIGKILL
    server.otherwise, before = honest, asked_of(server, "new")
    assert before >= 60 and lines.lake.scan(TABLE).collect().height >= 60
    report, _ = lines.report()
    assert report["verdict"]["outcome"] == "promote"
    assert asked_of(server, "new") - before == 16, "only the sample that is asked alone for the effect of batches"


def test_a_champion_that_the_lake_has_lost_stops_the_evaluation_and_promotes_nobody(lines: EvaluatedLines) -> None:
    lines.write_line(golden=golden(50), max_new_tokens=1)
    lines.trained(lines.adapter(untrained(lines.folder, 0)))
    lines.state.promote(LINE, "f" * 64, None, "a test", "for a test", "e" * 64)
    result = lines.evaluate()
    assert not result.success and not result.asset_materializations_for_node("evaluation_report")
    assert "holds no adapter and no base model with the digest ffffffffffff" in failure(result)


def test_a_champion_that_the_lake_has_lost_is_not_taken_for_a_base_where_an_endpoint_answers(
    lines: EvaluatedLines, server: ChatServer
) -> None:
    lines.write_line(endpoint=answering(server, new=right), golden=golden(50))
    lines.trained(lines.adapter("new"))
    lines.state.promote(LINE, "f" * 64, None, "a test", "for a test", "e" * 64)
    result = lines.evaluate()
    assert not result.success and asked_of(server, "old") == 0
    assert "holds no adapter and no base model with the digest ffffffffffff" in failure(result)


def test_an_evaluation_whose_snapshot_is_erased_meanwhile_writes_no_report(
    lines: EvaluatedLines, server: ChatServer
) -> None:
    lines.write_line(endpoint=answering(server, new=right), golden=golden(50), retrieved_examples=0)
    snapshot = lines.snapshot()
    lines.trained(lines.adapter("new", snapshot))
    honest = server.otherwise

    def erasing(handler: Handler, body: dict[str, Any]) -> None:
        if body["model"] == "base" and lines.lake.has_artifact("snapshot", snapshot.digest):
            erase_artifact(lines.lake, "snapshot", snapshot.digest, "f" * 64)
        honest(handler, body)

    server.otherwise = erasing
    result = lines.evaluate()
    assert not result.success and "erased by request" in failure(result)
    assert lines.lake.artifacts("report") == []
