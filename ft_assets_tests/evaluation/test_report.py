import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from ft_assets.evaluation.report import describe, interference_row, write_report
from ft_assets.evaluation.reporting.blind_verdicts import BlindResult
from ft_assets.evaluation.reporting.report_opening import opening_of
from ft_assets.evaluation.suites import suite_of
from ft_assets_tests.evaluation.report_samples import RULES, SHARES, a_suite, facts_of, full_facts, scored
from ft_assets_tests.evaluation.samples import item, prediction

pytestmark = pytest.mark.slow  # matplotlib, scipy and rouge_score are imported

SIDES = ("candidate", "champion", "base")
HOSTILE = "```\n# not a heading\n| a | b |\n</pre></details><script>alert(1)</script>\x1b[31m\u202e{{ 7 * 7 }}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report in which every section has something to tell."""
    folder = tmp_path_factory.mktemp("report")
    write_report(folder, full_facts())
    return folder


def test_the_first_screen_answers_what_a_stranger_asks(folder: Path):
    opening = (folder / "report.md").read_text().split("\n## ")[0]
    assert opening.startswith("# qa-engineer: promote\n\n**The new model is better, and may replace what is in use.**")
    for said in (
        "**What was tested:** A language model for the role qa-engineer",
        "**Against what:** The model in use",
        "60 questions that the model never saw, kept apart to judge models (golden set), all of them independent",
        "the share of answers that are equal to the expected one",
        "95 % certain",
        "would have been found four times in five",
        "**What to do next:** Nothing has to be done",
        "trained again with another random seed",
    ):
        assert said in opening, said


def test_every_promised_section_is_in_both_pages(folder: Path):
    pages = [(folder / "report.md").read_text(), (folder / "report.html").read_text()]
    for title in (
        "What had to hold",
        "Suite: golden set (decides)",
        "The differences in one picture",
        "Is training worth it?",
        "By role, task, reasoning mode and difficulty",
        "Interference with other roles",
        "Suite: general ability",
        "The most improved answers",
        "The most worsened answers",
        "What people say who do not know which is which",
        "Cost, tokens and speed",
        "judge",
        "Preferences",
        "Contamination",
        "What this report cannot say",
        "Where it comes from",
    ):
        assert all(title in page for page in pages), title


def test_every_figure_stands_with_its_interval_and_the_smallest_difference_that_could_be_seen(folder: Path):
    report = json.loads((folder / "report.json").read_text())
    suite = report["suites"]["golden set"]
    for metric, by_side in suite["figures"].items():
        for side in SIDES:
            figure = by_side[side]
            assert figure["low"] <= figure["figure"] <= figure["high"], (metric, side)
    assert all(d["low"] <= d["estimate"] <= d["high"] and d["smallest_visible"] for d in suite["differences"])
    assert {d["against"] for d in suite["differences"]} == set(suite["sides"]) - {"candidate"}
    right = [row["points"]["candidate"]["exact_match"][0] for row in suite["rows"]]
    assert suite["figures"]["exact_match"]["candidate"]["figure"] == pytest.approx(sum(right) / 60)


def test_cost_speed_and_batches_are_told(folder: Path):
    page = unescape((folder / "report.md").read_text())
    assert "| training | 1,830.0 | 1,830.0 | 1,430,000 | 1.2700 |" in page
    assert "| answers of the candidate | 41.0 | – | – | – |" in page
    assert "1 of 32 answers came out differently" in page
    assert "| model in use | 0.5 | 0.5 | 2 |" in page
    assert "near copy: 19 of 20" in page


def test_a_judges_preference_stands_with_its_position_bias(folder: Path):
    page = unescape((folder / "report.md").read_text())
    bias = json.loads((folder / "report.json").read_text())["judge"]["position_bias"]
    assert f"| position bias | {100 * bias['estimate']:+.1f} points [{100 * bias['low']:+.1f}, " in page
    assert "cached" not in page


def test_slices_show_their_sizes_and_an_anecdote_is_called_one(folder: Path):
    slices = {(part["by"], part["name"]): part for part in json.loads((folder / "report.json").read_text())["slices"]}
    assert {by for by, _ in slices} == {"task_type", "role", "reasoning_mode", "difficulty"}
    assert slices["difficulty", "hard"]["clusters"] == 3
    page = (folder / "report.md").read_text()
    assert "3 (3, an anecdote: below 10)" in page
    assert "too few independent questions to say anything about difficulty hard (3)" in page


def test_a_slice_is_called_worse_only_when_holm_says_so():
    good = a_suite(200, {"candidate": 1.0, "champion": 1.0, "base": 0.0})
    broken = {row.row_id for row in good.scores["candidate"] if row.facets["role"] == "developer"}
    answers = dict(good.predictions)
    answers["candidate"] = [replace(p, answer="no") if p.row_id in broken else p for p in answers["candidate"]]
    slices = describe(facts_of(scored(good.suite, answers)))["slices"]
    assert {part["name"] for part in slices if part["worse"]} >= {"developer"}
    assert "qa-engineer" not in {part["name"] for part in slices if part["worse"]}
    equal = describe(facts_of(a_suite(200, {"candidate": 0.5, "champion": 0.5, "base": 0.1})))["slices"]
    assert not any(part["worse"] for part in equal)


def test_interference_is_a_matrix_with_other_lines_rows(folder: Path):
    report = json.loads((folder / "report.json").read_text())
    assert {(cell["of"], cell["against"]) for cell in report["interference"]} == {
        ("devops", "base"),
        ("devops", "champion"),
    }
    assert interference_row(report)["devops"] < -0.3
    assert (folder / "interference.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_facts_give_the_same_bytes(folder: Path, tmp_path: Path):
    write_report(tmp_path, full_facts())
    names = sorted(path.name for path in folder.iterdir())
    assert [name for name in names if not name.startswith("blind-s")] == [
        "blind-key.json", "forest.png", "interference.png", "metrics.png", "report.html", "report.json", "report.md"
    ]  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_ten_most_improved_and_worsened_answers_stand_side_by_side():
    suite = a_suite(200, {"candidate": 0.5, "champion": 0.5, "base": 0.5})
    examples = describe(facts_of(suite))["examples"]
    assert len(examples["improved"]) == len(examples["worsened"]) == 10
    assert all(e["change"] == 1 and e["candidate"] == e["reference"] for e in examples["improved"])
    assert all(e["change"] == -1 and e["champion"] == e["reference"] for e in examples["worsened"])


def test_variants_of_one_question_do_not_fill_the_list():
    suite = a_suite(200, {"candidate": 1.0, "champion": 0.0, "base": 0.0}, cluster_size=10)
    cluster = {one.row_id: one.cluster_id for one in suite.items}
    improved = describe(facts_of(suite))["examples"]["improved"]
    assert len({cluster[e["row_id"]] for e in improved}) == 10


def test_a_held_candidate_is_told_what_is_missing(tmp_path: Path):
    write_report(tmp_path, facts_of(a_suite(20)))
    opening = (tmp_path / "report.md").read_text().split("\n## ")[0]
    assert opening.startswith("# qa-engineer: hold")
    assert "30 fewer than the 50 required" in opening
    assert int(re.search(r"About (\d+) more independent questions would decide", opening)[1]) >= 30


def test_a_better_candidate_that_is_held_is_not_called_unproved_in_what_was_shown():
    report = describe(full_facts())
    (decisive, *_) = [c for c in report["verdict"]["conditions"] if c["kind"] == "superior"]
    decisive["holds"] = True
    report["verdict"]["outcome"] = "hold"
    assert "The new model is better by the measure that decides." in dict(opening_of(report).answers)["What it means"]


def test_a_worse_candidate_is_rejected_in_plain_words(tmp_path: Path):
    report = write_report(tmp_path, facts_of(a_suite(100, {"candidate": 0.1, "champion": 0.9, "base": 0.1})))
    assert report["verdict"]["outcome"] == "reject"
    assert "**The new model is not good enough, and is not used.**" in (tmp_path / "report.md").read_text()


def test_without_a_champion_the_base_is_the_opponent():
    report = describe(facts_of(a_suite(shares={"candidate": 0.9, "base": 0.1, "nearest_answer": 0.2})))
    assert all("base" in shown for shown in report["examples"]["improved"])
    assert any("No model of this line is in use yet" in gap for gap in report["not_measured"])


def test_an_evaluation_that_did_not_finish_says_that_there_is_no_result(tmp_path: Path):
    suite = a_suite(60)
    answers = dict(suite.predictions) | {"candidate": suite.predictions["candidate"][:30]}
    missing = {"candidate": {f"r{i:03d}": "out of memory" for i in range(30, 60)}}
    report = write_report(tmp_path, facts_of(scored(suite.suite, answers, missing=missing)))
    assert report["verdict"]["outcome"] == "not evaluated"
    page = (tmp_path / "report.md").read_text()
    assert "There is no result." in page.split("\n## ")[0]
    assert "new model: 30 of 60 questions without an answer (out of memory: 30)" in page


def test_a_model_that_answered_nothing_still_gets_a_report(tmp_path: Path):
    suite = a_suite(60)
    report = write_report(tmp_path, facts_of(scored(suite.suite, dict(suite.predictions) | {"candidate": []})))
    assert report["verdict"]["outcome"] == "not evaluated"
    assert report["blind_sample"] is None


def test_a_metric_that_counts_otherwise_on_one_side_has_no_difference_instead_of_a_wrong_one():
    suite = a_suite()
    other_tokenizer = [replace(p, answer_tokens=7, answer_tokens_right=5) for p in suite.predictions["base"]]
    answers = dict(suite.predictions) | {"base": other_tokenizer}
    mixed = scored(suite.suite, answers)
    described = describe(replace(facts_of(suite), suites=[mixed]))["suites"]["golden set"]
    assert {d["metric"] for d in described["differences"] if d["against"] == "base"} == {
        "exact_match", "rouge_l", "tokens_per_answer"
    }  # fmt: skip


def test_blind_verdicts_that_came_back_stand_in_the_report(tmp_path: Path):
    result = BlindResult(
        "s1", "x" * 64, "y" * 64, 9, 4, 5, 2, 0, ("ada",), (("Q03", "candidate", "<i>short</i>"),), 0.38, 0.91
    )
    report = write_report(tmp_path, replace(facts_of(a_suite()), blind=[result]))
    page = (tmp_path / "report.md").read_text()
    assert "| xxxxxxxxxxxx (an earlier model) against yyyyyyyyyyyy | 9 | 4 | 5 | 2 | 0 | 38 to 91 % | ada |" in page
    assert "<i>" not in page
    assert (tmp_path / report["blind_sample"]["file"]).exists()


def test_hostile_text_stays_text_in_every_page(tmp_path: Path):
    items = [item(f"r{i}", HOSTILE, HOSTILE, task_type="a|b\n# c", role="<b>$x$") for i in range(60)]
    answers = {side: [prediction(f"r{i}", HOSTILE * (side == "base")) for i in range(60)] for side in SIDES}
    suite = suite_of("<img src=x>", "golden", items, None)
    write_report(tmp_path, facts_of(scored(suite, answers), description=HOSTILE, settings={HOSTILE: HOSTILE}))
    page, html = (tmp_path / "report.md").read_text(), (tmp_path / "report.html").read_text()
    outside = page.split("````text")[0] + "".join(part.split("````", 1)[-1] for part in page.split("````text")[1:])
    assert "<script>" not in outside
    assert not re.search("^# not a heading|^[|] a [|] b [|]", outside, re.M)
    assert "<script" not in html
    assert "<img src=x" not in html
    assert "{{ 7 * 7 }}" in html
    assert not any(sign in text for sign in ("\x1b", "\u202e") for text in (page, html))


def test_the_page_needs_nothing_from_anywhere(folder: Path):
    html = (folder / "report.html").read_text()
    assert "default-src 'none'; img-src data:" in html
    assert "http" not in html.replace("http-equiv", "")
    assert "<script" not in html
    assert html.count("data:image/png;base64,") == 2


def test_the_rules_decide_which_metric_is_primary():
    rules = RULES.model_copy(update={"primary_metric": "rouge_l"})
    assert describe(facts_of(a_suite(shares=SHARES), rules=rules))["primary_metric"] == "rouge_l"
