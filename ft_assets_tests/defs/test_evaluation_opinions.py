"""What judges and people say of answers, in the report of `evaluation_report`."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from ft_assets.defs import evaluation_models
from ft_assets_tests.defs.answering import answering, right
from ft_assets_tests.defs.evaluated_lines import EvaluatedLines, golden
from ft_assets_tests.evaluation.chat_server import ChatServer
from ft_assets_tests.judge_server import Handler as JudgeHandler
from ft_assets_tests.judge_server import JudgeServer, grades, judge_server
from ft_assets_tests.judge_server import completion as judge_completion

pytestmark = pytest.mark.torch


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
