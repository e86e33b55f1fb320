"""The adapter of lm-evaluation-harness. Its last test asks a real task of a real model where the extra is installed."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from ft_assets.errors import BadConfiguration
from ft_assets.evaluation.asking.model_to_ask import ModelToAsk
from ft_assets.evaluation.harness import HarnessFigure, figures_of, harness_figures, import_harness, model_args

TINY = Path(__file__).parents[2] / "data" / "tiny_base"
IS_INSTALLED = importlib.util.find_spec("lm_eval") is not None
# What simple_evaluate of lm-eval 0.4.13 returned for such a task as the last test's, without its configuration.
RETURNED = {
    "results": {
        "echo": {
            "name": "echo",
            "alias": "echo",
            "sample_len": 4,
            "acc,none": 0.5,
            "acc_stderr,none": 0.28867513459481287,
            "acc_norm,none": 0.5,
            "acc_norm_stderr,none": "N/A",  # as it is returned where no error can be given
        }
    },
    "higher_is_better": {"echo": {"acc": True, "acc_norm": True}},
    "n-samples": {"echo": {"original": 4, "effective": 4}},
}


@pytest.mark.skipif(IS_INSTALLED, reason="the extra is installed")
def test_without_the_extra_the_error_names_it() -> None:
    with pytest.raises(BadConfiguration, match=r"pip install 'ft_assets\[harness\]'"):
        harness_figures(ModelToAsk("d", TINY), ["arc_easy"])


def test_an_extra_that_is_there_in_part_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lm_eval").mkdir()
    (tmp_path / "lm_eval" / "__init__.py").write_text("import a_library_that_is_not_there\n")
    monkeypatch.delitem(sys.modules, "lm_eval", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BadConfiguration, match="Missing: a_library_that_is_not_there"):
        import_harness()


def test_figures_are_read_by_metric_and_filter() -> None:
    assert figures_of(RETURNED) == [
        HarnessFigure("echo", "acc", "none", 0.5, pytest.approx(0.288675), 4, True),
        HarnessFigure("echo", "acc_norm", "none", 0.5, None, 4, True),
    ]
    assert figures_of({}) == []


@pytest.mark.torch
def test_an_adapter_stands_on_its_base_and_whole_weights_on_its_tokenizer(tmp_path: Path) -> None:
    base, adapter, whole = tmp_path / "base", tmp_path / "adapter", tmp_path / "whole"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    alone = model_args(ModelToAsk("d", base))
    assert alone["pretrained"] == str(base) and {"dtype", "device"} < alone.keys()
    assert model_args(ModelToAsk("d", base, adapter)) == {**alone, "peft": str(adapter)}
    assert model_args(ModelToAsk("d", base, whole)) == {**alone, "pretrained": str(whole), "tokenizer": str(base)}


@pytest.mark.torch
@pytest.mark.skipif(not IS_INSTALLED, reason="the extra harness is not installed")
def test_a_task_of_ones_own_is_asked_of_the_tiny_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    rows = [
        {"asked": f"Repeat: {word}", "choices": [word, "zebra"], "right": 0} for word in ("red", "blue", "up", "on")
    ]
    (tmp_path / "rows.json").write_text("\n".join(json.dumps(row) for row in rows))
    (tmp_path / "echo.yaml").write_text(
        f"""
task: echo
dataset_path: json
dataset_kwargs: {{data_files: {{test: {tmp_path}/rows.json}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{asked}}}}\\n"
doc_to_choice: choices
doc_to_target: right
metric_list: [{{metric: acc}}]
"""
    )
    first, again = (harness_figures(ModelToAsk("d", TINY), ["echo"], task_folder=tmp_path) for _ in range(2))
    assert first == again
    (figure,) = first
    assert (figure.task, figure.metric, figure.rows, figure.higher_is_better) == ("echo", "acc", 4, True)
    assert 0 <= figure.value <= 1
    with pytest.raises(BadConfiguration, match="knows no task 'ecko'"):
        harness_figures(ModelToAsk("d", TINY), ["ecko"], task_folder=tmp_path)
