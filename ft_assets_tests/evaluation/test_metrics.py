import subprocess
import sys

import pytest

from ft_assets.errors import BadConfiguration
from ft_assets.evaluation.metrics import ALIASES, DIMENSIONS, METRICS, default_metrics, metrics_named
from ft_assets_tests.evaluation.samples import answered

ALWAYS = ["exact_match", "rouge_l", "token_accuracy", "perplexity", "tokens_per_answer", "seconds_per_answer"]


def test_every_metric_has_its_name_a_dimension_and_a_docstring_with_formula_and_source():
    assert {name: metric.name for name, metric in METRICS.items()} == {name: name for name in METRICS}
    assert DIMENSIONS.keys() == METRICS.keys()
    assert len(set(DIMENSIONS.values())) == 4
    assert [name for name, metric in METRICS.items() if len(metric.description) < 80] == []


def test_every_metric_answers_with_one_entry_a_row_for_a_plain_row_and_an_empty_one():
    rows = [answered("a", "Paris", "Paris"), answered("b", "", "")]
    assert {name: len(metric.points(rows)) for name, metric in METRICS.items()} == dict.fromkeys(METRICS, 2)


@pytest.mark.parametrize(
    ("tasks", "more"),
    [
        ([], []),
        (["summarization"], []),
        (["question_answering"], ["accuracy"]),
        (["classification"], ["accuracy", "macro_f1"]),
        (["code"], ["code_passes", "code_syntax", "code_lint", "code_complexity"]),
        (["tool_call", "math"], ["accuracy", "tool_selection", "tool_arguments"]),
        (["extraction"], ["json_valid", "json_matches_schema"]),
    ],
)
def test_tasks_bring_their_metrics_with_them(tasks: list[str], more: list[str]):
    found = default_metrics(tasks)
    assert sorted(found) == sorted([*ALWAYS, *more])
    assert found == [name for name in METRICS if name in found]


def test_an_unknown_metric_is_refused_with_the_nearest_names():
    with pytest.raises(BadConfiguration, match=r"no metric 'rouge-L'.*Did you mean rouge_l"):
        metrics_named(["accuracy", "rouge-L"])
    with pytest.raises(BadConfiguration, match=r"no metric .zzz., so nothing would be measured by it\. Known are"):
        metrics_named(["zzz"])


def test_names_of_the_sources_configuration_are_known():
    names = ["accuracy", "perplexity", "exact_match", "rouge_l", "custom_code_quality"]
    found = [metric.name for metric in metrics_named([*names, "accuracy"])]
    assert found == [*names[:-1], *ALIASES["custom_code_quality"]]


@pytest.mark.slow
def test_the_table_loads_without_any_library_that_scores():
    heavy = "torch", "sklearn", "rouge_score", "nltk", "jsonschema", "polars", "numpy", "httpx", "radon"
    code = f"import sys, ft_assets.evaluation.metrics; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
