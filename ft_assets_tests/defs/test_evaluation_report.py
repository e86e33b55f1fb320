"""The asset `evaluation_report` as a whole: from a trained model's artifact to a report, its check and its verdict.

What answers is a real server of chat completions, so that a test says what each model answers.
"""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ft_assets.defs import evaluation_models
from ft_assets.defs.conventions import MODEL_LINES
from ft_assets.defs.evaluation import every_model_answered_the_same_prompts
from ft_assets.evaluation.answers import TABLE
from ft_assets.state_golden import golden_decisions
from ft_assets_tests.defs.evaluated_lines import BASE_DIR, LINE, OTHER, EvaluatedLines, expected, golden
from ft_assets_tests.evaluation.chat_server import ChatServer, Handler, chat_server, completion
from ft_assets_tests.judge_server import Handler as JudgeHandler
from ft_assets_tests.judge_server import JudgeServer, grades, judge_server
from ft_assets_tests.judge_server import completion as judge_completion

pytestmark = pytest.mark.torch
ROWS = int(os.environ.get("FT_ASSETS_TEST_GOLDEN_ROWS", "300"))  # 2,000 take 20 CPU-seconds
Answer = Callable[[str], str]
SERVED = {"candidate": "new", "champion": "old", "base": "base"}


@pytest.fixture
def lines(tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> EvaluatedLines:
    return EvaluatedLines(tmp_path, instance, monkeypatch)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as server:
        yield server


def answering(server: ChatServer, **models: Answer) -> dict[str, Any]:
    """Lets the server answer as these models, by the name that each is served under; the others say that they do not
    know. Returns what a line says of its endpoint."""

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        said = models.get(body["model"], lambda question: "I do not know.")(body["messages"][-1]["content"])
        handler.send(200, completion({"content": said}, len(said.split())))

    server.otherwise = reply
    return {"url": server.url, "models": SERVED}


def right(question: str) -> str:
    """The reference of a golden question; nothing to the point for any other."""
    case = re.search(r"case (\d+)", question)
    return expected(int(case[1])) if case else "Nothing is known."


def wrong_from(first: int) -> Answer:
    """Right answers up to this case, then nonsense of that length."""

    def answer(question: str) -> str:
        said = right(question)
        case = re.search(r"case (\d+)", question)
        return said if case and int(case[1]) < first else "x " * len(said.split())

    return answer


def asked_of(server: ChatServer, model: str) -> int:
    return sum(body["model"] == model for body in server.bodies)


def conditions(report: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    return [condition for condition in report["verdict"]["conditions"] if condition["kind"] == kind]


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


class Addresses(HTMLParser):
    """What a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe", "object", "embed")
        self.found += [value or "" for name, value in attributes if name in ("src", "href", "srcset", "action")]
        assert not any(name.startswith("on") for name, _ in attributes)


def loads_nothing(page: str) -> bool:
    reader = Addresses()
    reader.feed(page)
    styles = re.findall(r"url\(|@import", page[: page.index("</style>")])
    return not styles and all(address.startswith("data:image/png;base64,") for address in reader.found)


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


def leaning_judge(handler: JudgeHandler, body: dict[str, Any]) -> None:
    """Grades by the text; of two answers it takes the first, whatever they say."""
    compares = body["messages"][0]["content"].startswith("You compare")
    said = {"better": "first"} if compares else grades(body["messages"])
    handler.send(200, judge_completion(json.dumps(said)))


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[JudgeServer]:
    """A judge as FT_ASSETS_JUDGE_URL and FT_ASSETS_JUDGE_MODEL name it."""
    with judge_server(leaning_judge) as server:
        named = {"judge_url": server.url, "judge_model": "judge"}
        monkeypatch.setattr(evaluation_models, "SETTINGS", evaluation_models.SETTINGS.model_copy(update=named))
        yield server


def test_a_judge_grades_what_decides_once_and_its_leaning_is_told(
    lines: EvaluatedLines, server: ChatServer, judge: JudgeServer
) -> None:
    lines.write_line(endpoint=answering(server, new=right), golden=golden(50))
    lines.trained(lines.adapter("new"))
    report, folder = lines.report()
    figures = report["suites"]["golden set"]["figures"]["judge_mean"]
    assert figures["candidate"]["figure"] > figures["base"]["figure"]
    assert not any(name.startswith("judge_") for name in report["suites"]["snapshot eval side"]["figures"])
    assert report["judge"]["preference"]["estimate"] == 0, "the first of two is no opinion about a model"
    assert report["judge"]["position_bias"]["estimate"] == 1
    assert {"grades of a judge", "preferences of a judge"} <= {line["what"] for line in report["spent"]}
    assert "position bias" in (folder / "report.md").read_text()
    asked = len(judge.bodies)
    again = lines.report()[0]["judge"]
    assert again["position_bias"] == report["judge"]["position_bias"]
    assert again["figures"]["prompt_tokens"] == 0
    assert len(judge.bodies) == asked, "what a judge said is kept"


def test_a_judge_that_is_down_grades_nothing_and_the_report_says_so(
    lines: EvaluatedLines, server: ChatServer, judge: JudgeServer
) -> None:
    judge.otherwise = lambda handler, body: handler.send(400, b"{}")
    lines.write_line(endpoint=answering(server, new=right), golden=golden(50))
    lines.trained(lines.adapter("new"))
    report, _ = lines.report()
    assert "judge_mean" not in report["suites"]["golden set"]["figures"]
    assert report["judge"]["preference"] is None
    assert any("A judge graded 0 of" in gap for gap in report["not_measured"])


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


def test_verdicts_of_people_come_back_into_the_next_report(lines: EvaluatedLines, server: ChatServer) -> None:
    lines.write_line(endpoint=answering(server, new=right), golden=golden(60))
    lines.trained(lines.adapter("new"))
    _, folder = lines.report()
    (given_out,) = folder.glob("blind-s*.csv")
    rows = list(csv.DictReader(io.StringIO(given_out.read_text(encoding="utf-8-sig"))))
    assert len(rows) == 20
    for row in rows:
        row |= {"better": "AB"["case" in row["answer_b"]], "reviewer": "ada", "comment": "clear | <b>"}
    filled = io.StringIO()
    writer = csv.DictWriter(filled, rows[0].keys(), delimiter=";")
    writer.writeheader()
    writer.writerows(rows)
    back = lines.folder / "lake" / "review"
    back.mkdir()
    (back / given_out.name).write_text(filled.getvalue())
    (told,) = lines.report()[0]["blind"]
    assert (told["candidate_better"], told["incumbent_better"], told["reviewers"]) == (20, 0, ["ada"])
    (back / given_out.name).write_text(filled.getvalue().replace(";A;", ";who knows;"))
    report, _ = lines.report()
    assert report["blind"] == [] and any("column better" in gap for gap in report["not_measured"])


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


def failure(result: dg.ExecuteInProcessResult) -> str:
    return " ".join(str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure)


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


def untrained(folder: Path, seed: int) -> Path:
    """A real adapter of the embedded base, with weights that change its answers."""
    import torch
    from peft import LoraConfig, get_peft_model

    from ft_assets.chat import load_model

    torch.manual_seed(seed)
    base = load_model(BASE_DIR, None, torch.float32)
    model = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.1)
    model.save_pretrained(folder / f"weights-{seed}")
    return folder / f"weights-{seed}"


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


HOSTILE = (
    "<script>alert(1)</script>|`` ``` [x](javascript:alert(1)) ![i](http://evil.example/x.png) <|im_end|></pre>"
    "\x1b[31m\u202e\ud83d\ude00 \u4f60\u597d e\u0301\u0301 &lt;img src=x onerror=alert(1)&gt; </td></table># title\n"
)


def test_hostile_and_very_long_answers_break_neither_page_nor_report(lines: EvaluatedLines, server: ChatServer) -> None:
    endpoint = answering(server, new=lambda question: HOSTILE, base=lambda question: "long " * 4_000)
    lines.write_line(endpoint=endpoint, golden=golden(50, slice="<b>|`x`"), retrieved_examples=0)
    lines.trained(lines.adapter("new"))
    report, folder = lines.report()
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    assert loads_nothing(page)
    assert "<script" not in text.replace(HOSTILE.strip()[:8], "") or "```" in text
    assert "characters more" in page
    assert (folder / "report.html").stat().st_size < 2_000_000
    assert report["examples"]["improved"] or report["examples"]["worsened"]
    assert not re.search(r"[\x1b\u202e]", page + text)


def test_a_large_golden_set_with_many_slices_is_told_on_a_page_of_normal_size(
    lines: EvaluatedLines, server: ChatServer
) -> None:
    rows = [{**row, "slice": f"slice {number % (ROWS // 5)}"} for number, row in enumerate(golden(ROWS))]
    endpoint = answering(server, new=right, base=wrong_from(ROWS // 2))
    lines.write_line(endpoint=endpoint, golden=rows, retrieved_examples=0)
    lines.trained(lines.adapter("new"))
    report, folder = lines.report()
    assert report["verdict"]["outcome"] == "promote"
    assert len([part for part in report["slices"] if part["by"] == "slice"]) == ROWS // 5
    assert (folder / "report.html").stat().st_size < 1_000_000


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
