"""What was under way while a person was forgotten, and ends when the erasure has passed."""

import json
from pathlib import Path

import polars as pl
import pytest

from ft_assets.dataset.rows import read_side
from ft_assets.erasure.late import refuse_erased_rows, taint_late
from ft_assets.errors import Erased, PromotionRefused, Rerunnable
from ft_assets.lake import Artifact
from ft_assets.release.promotion import ReportedVerdict, promote_if_allowed
from ft_assets.release.registration import register_version
from ft_assets.state_relearn import must_relearn
from ft_assets.state_taints import taints
from ft_assets.training.received import write_received
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets_tests.erasure.world import BASE, FIRST, LINE, USER, World, forgotten, record

pytestmark = pytest.mark.slow


def rows_of(world: World, snapshot: str) -> TrainingRows:
    folder = world.lake.artifact("snapshot", snapshot).path
    return TrainingRows(*(SideRows(examples=read_side(folder, side)) for side in ("train", "validation")))


def ended(world: World, snapshot: str, rows: TrainingRows) -> Artifact:
    """A training that read its rows long ago stores its model now."""

    def write(folder: Path) -> None:
        (folder / "adapter_model.safetensors").write_text("weights of another seed")
        origin = {"specialization": LINE, "snapshot": snapshot, "base_digest": BASE, "recipe_digest": "recipe"}
        (folder / "provenance.json").write_text(json.dumps(origin))
        write_received(folder, rows)

    adapter = world.stored("adapter", write)
    taint_late(world.lake, world.state, adapter.digest, "lora_checkpoint")
    world.state.record_trained(LINE, snapshot, "recipe", BASE, adapter.digest)
    return adapter


def test_a_model_whose_training_ended_after_the_erasure_is_never_champion(
    world: World, digests: dict[str, str]
) -> None:
    rows = rows_of(world, digests["snapshot"])
    forgotten(world)
    late = ended(world, digests["snapshot"], rows)
    assert "asked to be forgotten" in taints(world.state)[late.digest][0].reason
    with pytest.raises(Erased):
        world.lake.artifact("snapshot", digests["snapshot"])  # nobody can evaluate it either
    register_version(world.state, LINE, "hybrid", "tiny-base", 1, late, "ada")
    verdict = ReportedVerdict(LINE, late.digest, digests["adapter"], "promote", "it is better", "e" * 64)
    decision = promote_if_allowed(world.state, LINE, late.digest, verdict, "somebody")
    assert decision.promotion is None and "is tainted" in decision.why_not
    with pytest.raises(PromotionRefused, match="tainted"):
        world.state.promote(LINE, late.digest, digests["adapter"], "somebody", "by hand", "e" * 64)
    assert "is tainted" in str(must_relearn(world.state, LINE)), "it is not the clean model that the line waits for"


def test_a_model_that_learned_from_nothing_erased_is_left_alone(world: World, digests: dict[str, str]) -> None:
    assert not taint_late(world.lake, world.state, digests["adapter"], "nobody was forgotten yet")
    forgotten(world)
    world.ingest()
    world.curate()
    clean = world.train(world.snapshot())
    assert not taint_late(world.lake, world.state, clean.digest, "registered_model")
    assert clean.digest not in taints(world.state)


def test_a_snapshot_of_tables_from_before_the_erasure_is_not_stored(world: World, tmp_path: Path) -> None:
    late, clean = tmp_path / "late", tmp_path / "clean"
    late.mkdir()
    clean.mkdir()
    world.write_snapshot(late)
    refuse_erased_rows(world.state, late)
    forgotten(world)
    with pytest.raises(Rerunnable, match="erased by request"):
        refuse_erased_rows(world.state, late)
    world.write_snapshot(clean)
    refuse_erased_rows(world.state, clean)


def test_somebody_elses_copy_of_the_same_text_is_not_theirs_when_the_erasure_is_run_again(world: World) -> None:
    copy = record(2, USER) | {"interaction_id": "row-copy", "user_id": "user-3"}
    world.lake.land(FIRST, "copy.jsonl", f"{json.dumps(copy)}\n".encode())
    world.ingest()
    world.curate()
    world.snapshot()
    first = forgotten(world)
    world.ingest()
    world.curate()
    [shared] = world.lake.scan("curated_examples").collect().filter(interaction_ids=["row-copy"])["example_id"]
    assert shared in first.found.examples, "the same text has the same id"
    snapshot = world.snapshot()
    adapter = world.train(snapshot)
    report = world.stored("report", lambda folder: (folder / "rows.txt").write_text(f"row {shared}"))
    again = forgotten(world)
    assert adapter.digest not in again.found.models and snapshot.digest not in again.found.snapshots
    assert shared in world.lake.scan("curated_examples").collect()["example_id"]
    assert world.lake.artifact("report", report.digest) and world.lake.artifact("snapshot", snapshot.digest)
    assert not taint_late(world.lake, world.state, adapter.digest, "registered_model")


def test_somebody_elses_pair_of_the_same_texts_stays_when_the_erasure_is_run_again(world: World) -> None:
    copy = record(1, USER) | {"interaction_id": "row-copy", "user_id": "user-3"}
    told = [
        {
            "interaction_id": name,
            "correction": "Given a better plan at the harbour, when the last tram ends, all lights of the town go out.",
            "user_id": "user-4",
        }
        for name in ("own-1", "row-copy")
    ]
    world.lake.land(FIRST, "copy.jsonl", "".join(f"{json.dumps(each)}\n" for each in (copy, *told)).encode())
    world.ingest()
    world.curate()
    [theirs] = world.pairs().filter(pl.col("interaction_ids").list.contains("own-1"))["pair_id"]
    first = forgotten(world)
    assert theirs in first.found.pairs and theirs not in world.lake.scan("preference_pairs").collect()["pair_id"]
    world.ingest()
    world.curate()
    assert world.pairs().filter(pair_id=theirs)["interaction_ids"].to_list() == [["row-copy"]], "the same id"
    forgotten(world)
    assert theirs in world.lake.scan("preference_pairs").collect()["pair_id"]
