import pytest

from ft_assets.evaluation.reporting.report_numbers import (
    NOTHING,
    change_text,
    difference_text,
    figure_text,
    size_text,
    unit_of,
    value_text,
)


@pytest.mark.parametrize(
    ("value", "unit", "figure", "change"),
    [
        (0.123, "rate", "12.3 %", "+12.3 points"),
        (-0.05, "share", "-5.0 %", "-5.0 %"),
        (57.25, "tokens", "57.2 tokens", "+57.2 tokens"),
        (0.4321, "seconds", "0.432 s", "+0.432 s"),
        (0.62, "ratio", "0.62", "x 0.62"),
        (None, "rate", NOTHING, NOTHING),
    ],
)
def test_a_number_is_written_as_its_unit_wants(value: float | None, unit: str, figure: str, change: str):
    assert value_text(value, unit) == figure
    assert change_text(value, unit) == change
    assert size_text(value, unit) == change.removeprefix("+")


def test_intervals_stand_behind_and_are_left_out_where_there_is_none():
    assert figure_text({"figure": 0.5, "low": 0.4, "high": 0.6}, "rate") == "50.0 % [40.0, 60.0]"
    assert figure_text({"figure": 0.5, "low": None, "high": None}, "rate") == "50.0 %"
    assert figure_text(None, "rate") == NOTHING
    assert difference_text({"estimate": 0.1, "low": -0.1, "high": 0.3}, "rate") == "+10.0 points [-10.0, +30.0]"
    assert difference_text({"estimate": 0.6, "low": 0.5, "high": 0.7}, "ratio") == "x 0.6 [0.5, 0.7]"


def test_what_a_comparison_made_of_a_metric_has_its_own_unit():
    report = {"metrics": {"perplexity": {"unit": "perplexity"}, "tokens_per_answer": {"unit": "tokens"}}}
    assert unit_of(report, {"metric": "perplexity", "ratio": True}) == "ratio"
    assert unit_of(report, {"metric": "tokens_per_answer", "relative": True}) == "share"
    assert unit_of(report, {"metric": "tokens_per_answer"}) == "tokens"
    assert unit_of(report, {"metric": "perplexity", "kind": "guardrail"}) == "nats"  # a condition compares logarithms
    assert change_text(0.21, "nats") == "+0.21 nats a token"
