"""What a training is given, and what a run leaves for people."""

from pathlib import Path

from ft_assets.dataset.preference_rows import PREFERENCES_FILE
from ft_assets.defs.conventions import SPECIALIZATIONS
from ft_assets.defs.training import floors_of, training_rows
from ft_assets.defs.training_report import events_of, skipped_training
from ft_assets.lake import Lake
from ft_assets.training.intervals import Intervals
from ft_assets.training.recipe import Recipe
from ft_assets.training.result import StageResult, TrainingResult
from ft_assets.training.stage_data import SideRows, TrainingRows

LINE = SPECIALIZATIONS["software-developer"]


def test_only_the_rows_that_the_stages_learn_from_are_read(tmp_path: Path) -> None:
    for side in ("train", "validation"):
        (tmp_path / f"{side}.jsonl").touch()
    assert training_rows(tmp_path, Recipe()) == TrainingRows(SideRows([]), SideRows([]))
    (tmp_path / PREFERENCES_FILE).touch()
    assert training_rows(tmp_path, Recipe(approach="sft+dpo")) == TrainingRows(SideRows([], []), SideRows([], []))
    (tmp_path / "train.jsonl").unlink()
    assert training_rows(tmp_path, Recipe(approach="dpo")) == TrainingRows(SideRows((), []), SideRows((), []))


def stage(steps: int, lowered: list[str]) -> StageResult:
    every = Intervals(warmup_steps=1, eval_steps=2, save_steps=2, logging_steps=1)
    return StageResult("sft", steps, 20, 6, 1.0, 2.0, 1.5, [], every, 10.0, 1_000, 8, lowered=lowered)


def test_what_was_decided_on_the_way_stands_in_the_decision_log_as_sentences() -> None:
    assert events_of(TrainingResult((stage(20, []),))) == []
    told = events_of(TrainingResult((stage(12, ["The micro-batch was halved."]),)))
    assert told == ["The micro-batch was halved.", "sft stopped early at step 12 of 20; step 6 was kept."]


def test_the_floors_of_a_line_are_those_of_its_yaml() -> None:
    assert floors_of(LINE) == {"sft": LINE.trigger.minimum_examples, "dpo": 0}


def test_a_line_that_trains_nothing_leaves_a_spec_that_says_so(tmp_path: Path) -> None:
    metadata = skipped_training(Lake(str(tmp_path)), LINE, "enabled is false").metadata
    assert metadata["status"] == "SKIPPED"
    assert "Status: **SKIPPED**" in metadata["training_spec"].value
    assert "digest" not in metadata  # so that nobody takes it for a model
