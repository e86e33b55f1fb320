"""The asset `evaluation_report` as a whole: from a trained model's artifact to a verdict, its report and its check.

What answers is a real server of chat completions, so that a test says what each model answers.
"""

import json
import time

import dagster as dg
import pytest

from ft_assets.defs.conventions import MODEL_LINES
from ft_assets.defs.evaluation import every_model_answered_the_same_prompts
from ft_assets_tests.defs.answering import answering, conditions, right, wrong_from
from ft_assets_tests.defs.evaluated_lines import BASE_DIR, LINE, EvaluatedLines, golden
from ft_assets_tests.defs.untrained import untrained
from ft_assets_tests.evaluation.chat_server import ChatServer
from ft_assets_tests.evaluation.page_addresses import loads_nothing

pytestmark = pytest.mark.torch


def test_a_better_model_is_promoted_and_its_report_says_why(lines: EvaluatedLines, server: ChatServer) -> None:
    endpoint = answering(server, new=right, old=wrong_from(30))
    lines.write_line(endpoint=endpoint, golden=golden(60), metrics=["cut_off_rate", "custom_code_quality"])
    lines.trained(lines.adapter("new"))
    lines.in_use(lines.adapter("old"))
    report, folder = lines.report()
    assert report["verdict"]["outcome"] == "promote"
    assert report["suites"]["golden set"]["figures"]["exact_match"]["champion"]["figure"] == 0.5
    assert "cut_off_rate" in report["suites"]["golden set"]["figures"]
    assert "no row can be judged by" in " ".join(report["not_measured"])
    assert [part["name"] for part in report["slices"] if part["by"] == "difficulty"] == ["easy", "hard"]
    assert len(report["examples"]["improved"]) == 10
    assert report["settings"]["backend"] == "OpenAI-compatible endpoint"
    assert report["latency"].keys() == {"candidate", "champion"}
    assert not any(told["metric"] == "seconds_per_answer" for told in report["suites"]["golden set"]["differences"])
    assert {line["what"] for line in report["spent"]} >= {"training", "answers of the champion"}
    assert loads_nothing((folder / "report.html").read_text())
    before = len(server.bodies)
    assert lines.report()[0]["verdict"] == report["verdict"], "the same decision, counted once"
    assert len(server.bodies) - before == 16 + 2 * 17, "asked again for batches and time alone"


def test_a_slower_model_is_seen_by_what_is_measured_in_turns_and_not_by_what_kept_answers_took(
    lines: EvaluatedLines, server: ChatServer
) -> None:
    rail = {"suite": "judged suite", "metric": "seconds_per_answer", "margin": 0.5, "relative": True}
    endpoint = answering(server, new=right, old=wrong_from(30))
    lines.write_line(endpoint=endpoint, golden=golden(60), gate={"guardrails": [rail]})
    lines.trained(lines.adapter("new"))
    lines.in_use(lines.adapter("old"))
    assert lines.report()[0]["suites"]["golden set"]["figures"]["exact_match"]["candidate"]["figure"] == 1.0

    def slowly(question: str) -> str:
        time.sleep(0.3)  # far more than a busy machine takes
        return right(question)

    answering(server, new=slowly, old=wrong_from(30))
    report, _ = lines.report()
    (timed,) = [told for told in conditions(report, "guardrail") if told["metric"] == "seconds_per_answer"]
    assert (timed["holds"], timed["n_clusters"], report["verdict"]["outcome"]) == (False, 16, "reject")


def test_a_champion_on_another_base_is_asked_on_its_own(lines: EvaluatedLines) -> None:
    """Its tokenizer spells a word out, so that it counts other tokens; what cannot be compared is left out."""
    other = lines.folder / "other-base"
    other.mkdir()
    for file in BASE_DIR.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["normalizer"] = {"type": "Replace", "pattern": {"String": "holds"}, "content": "h-o-l-d-s"}
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    other_base = lines.lake.put_artifact("base_model", other)
    lines.write_line(golden=golden(52), max_new_tokens=4, retrieved_examples=1)
    weights = untrained(lines.folder, 0)
    snapshot = lines.snapshot()
    lines.trained(lines.adapter(weights, snapshot))
    champion = lines.in_use(lines.adapter(weights, snapshot, other_base))
    report, folder = lines.report()
    assert report["bases"]["champion"] == other_base.digest != report["bases"]["candidate"] == lines.base.digest
    assert report["models"]["champion"] == champion.digest
    assert report["verdict"]["outcome"] in ("hold", "reject")
    told = {(d["metric"], d["against"]) for d in report["suites"]["golden set"]["differences"]}
    assert ("rouge_l", "champion") in told and ("token_accuracy", "champion") not in told
    assert ("token_accuracy", "base") in told
    assert report["suites"]["golden set"]["batch_disagreement"]["candidate"]["differing"] == 0
    assert "in use" in (folder / "report.md").read_text()


def test_the_model_in_use_asked_again_is_not_called_new(lines: EvaluatedLines, server: ChatServer) -> None:
    lines.write_line(endpoint=answering(server, new=right), golden=golden(50))
    lines.in_use(lines.trained(lines.adapter("new")))
    report, folder = lines.report()
    assert report["incumbent"] == "base"
    assert "This model is the one in use" in (folder / "report.md").read_text()
    assert "No model of this line is in use" not in (folder / "report.html").read_text()


def test_a_flipped_figure_is_found_by_the_check(lines: EvaluatedLines, server: ChatServer) -> None:
    lines.write_line(endpoint=answering(server, new=right), golden=golden(50))
    lines.trained(lines.adapter("new"))
    report, _ = lines.report()
    deciding = next(told for told in conditions(report, "superior") if told["against"] == "base")
    deciding["estimate"] += 0.01
    forged = lines.folder / "forged"
    forged.mkdir()
    (forged / "report.json").write_text(json.dumps(report))
    digest = lines.lake.put_artifact("report", forged).digest

    @dg.asset(name="evaluation_report", partitions_def=MODEL_LINES)
    def of_a_forger() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"digest": digest})

    result = dg.materialize(
        [of_a_forger, every_model_answered_the_same_prompts],
        partition_key=LINE,
        instance=lines.instance,
        resources={"lake": lines.lake, "state": lines.state},
        raise_on_error=False,
    )
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed and "the stored rows" in (check.description or "")
