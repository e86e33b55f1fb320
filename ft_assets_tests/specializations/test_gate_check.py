import json
from pathlib import Path

import pytest

from ft_assets.errors import BadConfiguration
from ft_assets.settings import PROJECT_ROOT
from ft_assets.specializations.gate_check import gate_problem
from ft_assets.specializations.loader import load_specializations

LINE = "name: qa-engineer\ndescription: d\nselect: {}\nbase_model: "
HUB = "{hub: owner/name, revision: 0123456789012345678901234567890123456789}\n"


def golden_set(folder: Path, clusters: int) -> str:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rows = [
        {"id": f"g{n}", "cluster_id": f"c{n % clusters}", "task_type": "t", "slice": "s", "messages": turns}
        for n in range(2 * clusters)
    ]
    (folder / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"evaluation: {{golden_set: {folder / 'golden.jsonl'}}}\n"


def load(folder: Path, text: str):
    (folder / "qa-engineer.yaml").write_text(LINE + text)
    return load_specializations(folder, PROJECT_ROOT)["qa-engineer"]


def test_the_defaults_leave_an_equal_model_a_fair_chance(tmp_path):
    assert gate_problem(load(tmp_path, HUB), {}) is None


def test_a_margin_that_the_questions_cannot_show_is_refused_with_the_number_they_need(tmp_path):
    rail = "gate: {guardrails: [{metric: exact_match, margin: 0.02}]}\n"
    with pytest.raises(BadConfiguration, match=r"qa-engineer\.yaml: gate: .* 120 independent clusters .* are needed"):
        load(tmp_path, "tiny-base\n" + golden_set(tmp_path, 120) + rail)
    assert load(tmp_path, "tiny-base\n" + golden_set(tmp_path, 3000) + rail)


def test_a_golden_set_of_uneven_clusters_is_weighed_and_not_only_counted(tmp_path):
    rail = "gate: {guardrails: [{metric: exact_match, margin: 0.05}]}\n"
    assert load(tmp_path, "tiny-base\n" + golden_set(tmp_path, 300) + rail)
    first = (tmp_path / "golden.jsonl").read_text().splitlines()[0]
    with (tmp_path / "golden.jsonl").open("a") as golden:
        golden.writelines(first.replace('"g0"', f'"more{n}"') + "\n" for n in range(60))  # one cluster of 62 rows
    with pytest.raises(BadConfiguration, match="300 independent clusters pass it"):
        load(tmp_path, "tiny-base\n" + f"evaluation: {{golden_set: {tmp_path / 'golden.jsonl'}}}\n" + rail)


def test_forgetting_blocks_a_real_base_and_only_informs_the_tiny_one(tmp_path):
    rail = "gate: {guardrails: [{suite: general ability, metric: exact_match, margin: 0.02}]}\n"
    assert load(tmp_path, "tiny-base\n" + rail)
    with pytest.raises(BadConfiguration, match="exact_match on general ability: 250 independent clusters"):
        load(tmp_path, HUB + rail)


def test_a_suite_that_nobody_asks_cannot_guard(tmp_path):
    with pytest.raises(BadConfiguration, match="'mine'"):
        load(tmp_path, "tiny-base\ngate: {guardrails: [{suite: mine, metric: exact_match, margin: 0.1}]}\n")


OTHER = "name: devops-engineer\ndescription: d\nselect: {}\nbase_model: tiny-base\n"


@pytest.mark.parametrize(
    ("served", "own", "other"),
    [
        ("qa-engineer", "", ""),  # itself
        ("devops-engineer", ", interference: false", ""),
        ("devops-engineer", "", "status: retired\n"),
        ("nobody", "", ""),
    ],
)
def test_a_line_whose_questions_are_not_asked_cannot_be_served(tmp_path, served: str, own: str, other: str):
    """It would pass the load and end in not evaluated after every training."""
    golden = golden_set(tmp_path, 500)
    (tmp_path / "devops-engineer.yaml").write_text(OTHER + other + golden)
    asked = golden.replace("}", own + "}")
    with pytest.raises(BadConfiguration, match=f"'golden set of {served}'.*take it out of serves"):
        load(tmp_path, f"tiny-base\n{asked}gate: {{guardrails: [], serves: [{served}]}}\n")


def test_a_line_whose_questions_are_asked_can_be_served(tmp_path):
    golden = golden_set(tmp_path, 500)
    (tmp_path / "devops-engineer.yaml").write_text(OTHER + golden)
    assert load(tmp_path, "tiny-base\n" + golden + "gate: {guardrails: [], serves: [devops-engineer]}\n")


@pytest.mark.parametrize("cluster", [{}, {"cluster_id": None}])
def test_questions_without_a_cluster_are_counted_by_their_prompt(tmp_path, cluster):
    """As the suite is read: two copies of a question are one, and no cluster_id is not one cluster of all."""
    rows = [{"input": f"question {n % 300}", "output": "a", **cluster} for n in range(900)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    suites = f"evaluation: {{suites: [{{name: mine, file: {tmp_path / 'mine.jsonl'}}}]}}\n"
    guard = "gate: {guardrails: [{suite: mine, metric: exact_match, margin: 0.05}]}\n"
    assert load(tmp_path, "tiny-base\n" + suites + guard)  # 292 are needed
    with pytest.raises(BadConfiguration, match="exact_match on mine: 300 independent clusters"):
        load(tmp_path, "tiny-base\n" + suites + guard.replace("0.05", "0.04"))


def test_more_discordance_than_assumed_needs_more_questions(tmp_path):
    spec = load(tmp_path, "tiny-base\ngate: {guardrails: [{metric: exact_match, margin: 0.15}]}\n")
    assert gate_problem(spec, {}) is None
    assert "exact_match on judged suite" in str(gate_problem(spec, {}, {"exact_match on judged suite": 0.9}))
