"""docs/evaluation.md names everything that can be written and measured, and its example can be loaded."""

import re

import pytest
import yaml
from pydantic import BaseModel

from ft_assets.evaluation.deciding.gate_rules import GateRules, Guardrail
from ft_assets.evaluation.metrics import METRICS
from ft_assets.evaluation.suite_files import suite_from_file
from ft_assets.settings import PROJECT_ROOT
from ft_assets.specializations.evaluation_settings import Endpoint, Evaluation, OwnSuite
from ft_assets.specializations.release_settings import Approval, Release

DOC = (PROJECT_ROOT / "docs" / "evaluation.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (higher|lower) \|", re.MULTILINE)


def test_every_metric_stands_in_the_table_with_its_unit_and_direction():
    told = {name: (unit, better) for name, unit, better in ROW.findall(DOC)}
    known = {name: (metric.unit, ("lower", "higher")[metric.higher_is_better]) for name, metric in METRICS.items()}
    assert told == known


@pytest.mark.parametrize("model", [Evaluation, GateRules, Guardrail, OwnSuite, Endpoint, Approval, Release])
def test_every_key_of_the_yaml_is_told(model: type[BaseModel]):
    keys = DOC[DOC.index("## Every key") :]
    told = {name.split(".")[-1] for name in re.findall(r"`([\w.]+)`", keys)}
    assert [name for name in model.model_fields if name not in told and name != "approval"] == []


def test_the_example_of_the_yaml_is_one_that_loads():
    (written,) = re.findall(r"^```yaml\n(.*?)^```", DOC[DOC.index("## Every key") :], re.MULTILINE | re.DOTALL)
    example = yaml.safe_load(written)
    assert example.keys() == {"evaluation", "gate", "release"}
    evaluation, gate = Evaluation.model_validate(example["evaluation"]), GateRules.model_validate(example["gate"])
    assert {rail.suite for rail in gate.guardrails} <= {
        "judged suite",
        "general ability",
        *(suite.name for suite in evaluation.suites),
    }
    assert Release.model_validate(example["release"]).approval.required


def test_the_example_of_a_file_of_ones_own_is_one_that_is_read():
    (written,) = re.findall(r"^```json\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)
    items = suite_from_file(written.encode(), None, "example").items
    assert {item.row_id for item in items if item.expected.labels or item.expected.tests} == {
        "line-000001",
        "line-000002",
    }


def test_the_defaults_that_the_text_names_are_those_of_the_code():
    rules, evaluation = GateRules(), Evaluation()
    told = dict(re.findall(r"^\| `([\w.]+)` \| ([\w.]+) \|", DOC[DOC.index("## Every key") :], re.MULTILINE))
    assert told["primary_metric"] == rules.primary_metric
    for name in ("min_effect", "minimum_clusters", "tolerated_loss", "golden_decisions"):
        assert told[name] == f"{getattr(rules, name):g}"
    for name in ("max_new_tokens", "retrieved_examples"):
        assert told[name] == str(getattr(evaluation, name))
    assert told["approval.expires_days"] == str(Approval().expires_days)
