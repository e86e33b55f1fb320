import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ft_assets.errors import EvaluationIncomplete
from ft_assets.evaluation.gate import GateRules, decide
from ft_assets.evaluation.report import ReportFacts, Suite, suite_of, write_report
from ft_assets_tests.evaluation.samples import item, prediction

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
HOSTILE = "```\n# not a heading\n| a | b |\n</details><script>alert(1)</script>\x1b[31m\u202e"


def answered(share_right: float, seed: int, count: int, digest: str):
    """Answers of which about this share is right; a wrong one keeps half of the words."""
    right = np.random.default_rng(seed).random(count) < share_right
    return [
        prediction(
            f"r{i:03d}", " ".join(WORDS if right[i] else WORDS[:5]), model_digest=digest, answer_nll=2.0 - right[i]
        )
        for i in range(count)
    ]


def a_suite(count: int = 60, champion: bool = True) -> Suite:
    items = [
        item(f"r{i:03d}", f"Question {i}", " ".join(WORDS), task_type=f"task {i % 2}", slice=f"slice {i % 4 // 3}")
        for i in range(count)
    ]
    predictions = {"candidate": answered(0.9, 1, count, "new"), "base": answered(0.1, 2, count, "base")}
    if champion:
        predictions["champion"] = answered(0.6, 3, count, "old")
    return suite_of("golden", "suite", items, predictions)


def facts_of(suite: Suite, rules: GateRules | None = None) -> ReportFacts:
    rules = rules or GateRules()
    verdict = decide(suite.scores["candidate"], suite.scores["base"], suite.scores.get("champion"), rules)
    models = {side: f"{side}-digest" for side in suite.scores}
    decoding = {"method": "greedy", "max_new_tokens": 64}
    return ReportFacts("qa-engineer", models, "snap", "recipe", rules, verdict, "golden", [suite], decoding)


def test_the_report_opens_with_a_verdict_that_needs_no_glossary(tmp_path: Path):
    write_report(tmp_path, facts_of(a_suite()))
    opening = (tmp_path / "report.md").read_text().splitlines()
    assert opening[0] == "# qa-engineer: promote"
    assert opening[2] == "**The new model is better, and may replace what is in use.**"
    assert "60 questions that training never saw" in opening[4]
    assert "the model in use has" in opening[4]


def test_a_candidate_that_learned_from_preferences_shows_its_margin_and_others_do_not(tmp_path: Path):
    plain = facts_of(a_suite())
    write_report(tmp_path, replace(plain, preferences={"preference margin": 1.5}))
    assert "- preference margin: 1.500" in (tmp_path / "report.md").read_text()
    assert json.loads((tmp_path / "report.json").read_text())["preferences"] == {"preference margin": 1.5}
    assert "preferences" not in write_report(tmp_path, plain)
    assert "## Preferences" not in (tmp_path / "report.md").read_text()


def test_a_held_candidate_is_told_what_could_have_been_seen(tmp_path: Path):
    write_report(tmp_path, facts_of(a_suite(count=20)))
    page = (tmp_path / "report.md").read_text()
    assert page.startswith("# qa-engineer: hold")
    assert "30 fewer than the 50 required" in page
    assert "would have been seen" in page


def test_the_json_holds_every_number_and_the_evidence_row_by_row(tmp_path: Path):
    report = write_report(tmp_path, facts_of(a_suite()))
    assert json.loads((tmp_path / "report.json").read_text()) == report
    suite = report["suites"]["golden"]
    assert len(suite["rows"]) == 60
    assert {(c["against"], c["metric"]) for c in suite["comparisons"]} == {
        (side, metric) for side in ("base", "champion") for metric in ("rouge_l", "exact_match", "token_accuracy")
    }
    assert suite["perplexity_ratios"]["base"]["high"] < 1
    assert set(suite["by_task"]) == {"task 0", "task 1"}
    assert report["verdict"]["summary"].startswith("promote: +")


def test_the_same_facts_give_the_same_bytes(tmp_path: Path):
    for folder in ("one", "two"):
        write_report(tmp_path / folder, facts_of(a_suite()))
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["differences.png", "metrics.png", "report.json", "report.md"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_the_most_improved_and_most_worsened_answers_stand_side_by_side(tmp_path: Path):
    report = write_report(tmp_path, facts_of(a_suite()))
    changes = {direction: [e["change"] for e in shown] for direction, shown in report["examples"].items()}
    assert len(changes["improved"]) == len(changes["worsened"]) == 3
    assert min(changes["improved"]) > 0 > max(changes["worsened"])
    assert all("champion" in shown for shown in report["examples"]["improved"])
    page = (tmp_path / "report.md").read_text()
    assert page.index("### Most improved") < page.index("### Most worsened")


def test_without_a_champion_the_base_stands_beside(tmp_path: Path):
    report = write_report(tmp_path, facts_of(a_suite(champion=False)))
    assert all("base" in shown for shown in report["examples"]["improved"])
    assert any("No model of this line is in use yet" in gap for gap in report["not_measured"])


def test_hostile_text_stays_text(tmp_path: Path):
    items = [item(f"r{i}", HOSTILE, HOSTILE, task_type="a|b\n# c", slice="<b>") for i in range(60)]
    predictions = {
        side: [prediction(f"r{i}", HOSTILE * (side == "base")) for i in range(60)] for side in ("base", "candidate")
    }
    write_report(tmp_path, facts_of(suite_of("golden", "s", items, predictions)))
    page = (tmp_path / "report.md").read_text()
    outside = page.split("````text")[0] + "".join(part.split("````", 1)[-1] for part in page.split("````text")[1:])
    assert "<script>" not in outside
    assert "# not a heading" not in outside
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_an_unfit_evaluation_is_never_scored():
    items = [item("r0"), item("r1")]
    with pytest.raises(EvaluationIncomplete, match="1 items are not answered"):
        suite_of(
            "golden", "suite", items, {"candidate": [prediction("r0")], "base": [prediction("r0"), prediction("r1")]}
        )
