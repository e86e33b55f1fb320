import subprocess
import sys

import pytest
from pydantic import ValidationError

from ft_assets.evaluation.deciding.gate_rules import GateRules, Guardrail

BUSINESS = {"suite": "golden set", "metric": "json_matches_schema", "margin": 0.05}


def test_the_keys_of_older_files_are_still_read():
    rules = GateRules.model_validate(
        {"primary_metric": "rouge_l", "min_effect": 0.05, "minimum_clusters": 60, "floors": {"exact_match": 0.4}}
    )
    assert (rules.min_effect, rules.minimum_clusters, rules.floors) == (0.05, 60, {"exact_match": 0.4})


def test_forgetting_and_length_block_by_default_and_leave_room_for_one_of_the_business():
    rails = GateRules().guardrails
    assert [(rail.suite, rail.metric, rail.blocks) for rail in rails] == [
        ("general ability", "exact_match", True),
        ("judged suite", "tokens_per_answer", True),
    ]
    assert len(GateRules(guardrails=(*rails, Guardrail(**BUSINESS))).guardrails) == 3


def test_a_fourth_blocking_guardrail_is_refused_with_the_reason():
    names = ("accuracy", "exact_match", "json_valid", "code_passes")
    four = [{**BUSINESS, "metric": name} for name in names]
    with pytest.raises(ValidationError, match=r"4 guardrails block .* at most 3 may: each stops an equally good model"):
        GateRules.model_validate({"guardrails": four})
    assert len(GateRules.model_validate({"guardrails": [*four[:3], {**four[3], "blocks": False}]}).guardrails) == 4


def test_lines_that_the_adapter_serves_count_as_guardrails():
    with pytest.raises(ValidationError, match="golden set of qa-engineer"):
        GateRules(serves=("qa-engineer", "product-manager"))
    assert GateRules(serves=("qa-engineer",)).serves == ("qa-engineer",)


def test_what_stands_twice_is_refused():
    with pytest.raises(ValidationError, match="rouge_l stands twice"):
        GateRules(alternative_primaries=("rouge_l",))
    with pytest.raises(ValidationError, match="json_matches_schema on golden set stands twice"):
        GateRules.model_validate({"guardrails": [BUSINESS, BUSINESS]})


@pytest.mark.parametrize(
    "wrong",
    [
        {"minimum_cluster": 50},
        {"floors": {"exact_match": 1.2}},
        {"guardrails": [{**BUSINESS, "margin": 0}]},
        {"guardrails": [{**BUSINESS, "margin": 20, "relative": True}]},
        {"golden_decisions": 0},
        {"primary_metric": "rougel"},
        {"guardrails": [{**BUSINESS, "metric": "schema_match"}]},
    ],
)
def test_unknown_keys_and_impossible_values_are_refused(wrong):
    with pytest.raises(ValidationError):
        GateRules.model_validate(wrong)


@pytest.mark.parametrize("metric", ["cut_off_rate", "tokens_per_answer", "perplexity", "code_complexity"])
def test_a_floor_under_what_should_be_low_is_refused(metric: str):
    with pytest.raises(ValidationError, match=f"floors name {metric}.*Write a guardrail for what must not rise"):
        GateRules.model_validate({"floors": {metric: 0.1}})


@pytest.mark.parametrize(
    "rules",
    [
        {"primary_metric": "custom_code_quality"},
        {"alternative_primaries": ["custom_code_quality"]},
        {"floors": {"custom_code_quality": 0.5}},
        {"guardrails": [{**BUSINESS, "metric": "custom_code_quality"}]},
    ],
)
def test_a_name_for_several_metrics_decides_nothing_and_is_refused(rules):
    """It would never be measured under that name, so that nothing would ever be promoted."""
    with pytest.raises(ValidationError, match="stands for code_syntax, code_lint, code_complexity"):
        GateRules.model_validate(rules)


def test_reading_the_rules_loads_nothing_heavy():
    heavy = "{'numpy', 'scipy', 'torch', 'polars', 'matplotlib', 'transformers', 'mlflow', 'sqlalchemy'}"
    modules = "ft_assets.evaluation.deciding.gate_rules, ft_assets.evaluation.deciding.gate_power"
    code = f"import sys, {modules}; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
