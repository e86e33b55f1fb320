"""The check that holds an evaluation back when the training received a row that judges its model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ft_assets.conversation_digests import conversation_digest
from ft_assets.dataset.rows import SnapshotRow, read_side
from ft_assets.defs.conventions import SPECIALIZATIONS, pinned
from ft_assets.defs.dataset import train_eval_split
from ft_assets.defs.training_checks import refuse_eval_rows, trained_on_no_eval_row
from ft_assets.errors import IncompleteArtifact, LeakFound
from ft_assets.lake import Lake
from ft_assets.training.received import write_received
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets_tests.defs.test_data_wing import run_days

LINE = "qa-engineer"
Change = Callable[[list[SnapshotRow], SnapshotRow], list[SnapshotRow]]  # of the train rows; the eval side's first row


@pytest.fixture
def curated(
    land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPECIALIZATIONS[LINE]
    every_task = spec.select.model_copy(update={"task_types": ()})
    monkeypatch.setitem(SPECIALIZATIONS, LINE, spec.model_copy(update={"select": every_task}))
    land("2026-03-01", 220, role=LINE)
    assert run_days(instance, resources, "2026-03-01", "2026-03-01").success


def trained_on(
    lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any], folder: Path, change: Change | None
) -> dg.ExecuteInProcessResult:
    """A run of a training that received these rows, its real check, and what would evaluate it."""

    @dg.asset(deps=[train_eval_split], partitions_def=train_eval_split.partitions_def)
    def lora_checkpoint(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """Stands for the training."""
        snapshot = lake.artifact("snapshot", pinned(context, "train_eval_split"))
        train, (held, *_) = read_side(snapshot.path, "train"), read_side(snapshot.path, "eval")
        folder.mkdir()
        if change is not None:
            rows = SideRows(change(train, held)), SideRows(read_side(snapshot.path, "validation"))
            write_received(folder, TrainingRows(*rows))
        origin = {"snapshot": snapshot.digest, "recipe": {"approach": "sft"}}
        (folder / "provenance.json").write_text(json.dumps(origin))
        return dg.MaterializeResult(metadata={"digest": lake.put_artifact("adapter", folder).digest})

    @dg.asset(deps=[lora_checkpoint], partitions_def=train_eval_split.partitions_def)
    def evaluated() -> None:
        """Stands for the evaluation."""

    return dg.materialize(
        [train_eval_split, lora_checkpoint, trained_on_no_eval_row, evaluated],
        partition_key=LINE,
        instance=instance,
        resources=resources,
        raise_on_error=False,
    )


def was_evaluated(result: dg.ExecuteInProcessResult) -> bool:
    return "evaluated" in [event.step_key for event in result.get_step_success_events()]


def digest_of(result: dg.ExecuteInProcessResult) -> str:
    (made,) = result.asset_materializations_for_node("lora_checkpoint")
    return str(made.metadata["digest"].value)


def under_another_id(row: SnapshotRow) -> SnapshotRow:
    louder = [turn.model_copy(update={"content": f" {turn.content.upper()}"}) for turn in row.messages]
    return row.model_copy(update={"example_id": "innocent", "messages": louder})


@pytest.mark.slow
def test_a_training_on_its_snapshot_is_evaluated(
    curated: None, lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any], tmp_path: Path
) -> None:
    result = trained_on(lake, instance, resources, tmp_path / "adapter", lambda train, held: train)
    (found,) = result.get_asset_check_evaluations()
    assert found.passed and was_evaluated(result)
    received: Any = found.metadata["received"].value
    assert received["train/examples"] > 100
    refuse_eval_rows(lake, SPECIALIZATIONS[LINE], digest_of(result))


@pytest.mark.parametrize(
    ("change", "place", "why"),
    [
        (
            lambda train, held: [*train, under_another_id(held)],
            "train/examples/innocent",
            "1 of the eval side or a copy",
        ),
        pytest.param(
            lambda train, held: [*train, held],
            "train/examples/",
            "1 of the eval side or a copy",
            marks=pytest.mark.slow,
        ),
        pytest.param(lambda train, held: train[1:], "train/examples/", "1 missing", marks=pytest.mark.slow),
    ],
)
def test_a_planted_row_holds_the_evaluation_back_under_whatever_id(
    curated: None,
    lake: Lake,
    instance: dg.DagsterInstance,
    resources: dict[str, Any],
    tmp_path: Path,
    change: Change,
    place: str,
    why: str,
) -> None:
    result = trained_on(lake, instance, resources, tmp_path / "adapter", change)
    (found,) = result.get_asset_check_evaluations()
    assert not found.passed and not was_evaluated(result)
    first: Any = found.metadata["first"].value
    (planted,) = first
    assert planted.startswith(place) and why in (found.description or "")
    with pytest.raises(LeakFound, match=why):
        refuse_eval_rows(lake, SPECIALIZATIONS[LINE], digest_of(result))


@pytest.mark.slow
def test_a_model_that_does_not_say_what_it_received_is_not_evaluated(
    curated: None, lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any], tmp_path: Path
) -> None:
    result = trained_on(lake, instance, resources, tmp_path / "adapter", None)
    assert not result.success and not was_evaluated(result)
    with pytest.raises(IncompleteArtifact, match=r"received\.json"):
        refuse_eval_rows(lake, SPECIALIZATIONS[LINE], digest_of(result))


@pytest.mark.slow
def test_a_golden_row_that_was_frozen_later_is_found_by_who_reads_the_model(
    curated: None, lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any], tmp_path: Path
) -> None:
    result = trained_on(lake, instance, resources, tmp_path / "adapter", lambda train, held: train)
    (made,) = result.asset_materializations_for_node("train_eval_split")
    row = read_side(lake.artifact("snapshot", str(made.metadata["digest"].value)).path, "train")[0]
    golden = {"id": "g", "cluster_id": "c", "task_type": "debugging", "slice": "seen"}
    messages = [{"role": turn.role, "content": turn.content} for turn in row.messages]
    (tmp_path / "golden.jsonl").write_text(json.dumps({**golden, "messages": messages}) + "\n")
    spec = SPECIALIZATIONS[LINE]
    evaluation = spec.evaluation.model_copy(update={"golden_set": tmp_path / "golden.jsonl", "golden_sha256": None})
    with pytest.raises(LeakFound, match="1 of the golden set"):
        refuse_eval_rows(lake, spec.model_copy(update={"evaluation": evaluation}), digest_of(result))
    assert conversation_digest(messages) == conversation_digest(row.messages)
