"""A trainer that was given up and comes back, and one whose predecessors were killed for want of memory."""

from pathlib import Path

import pytest

from ft_assets.errors import LeaseLost, TooLittleMemory
from ft_assets.state_leases import Lease, Leases
from ft_assets.training.checkpoint_store import LocalCheckpoints
from ft_assets.training.device_job import DeviceJob, read_job, write_job
from ft_assets.training.launch import saver_of
from ft_assets.training.out_of_memory import lowered_by
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets_tests.training.kill_at_io import save
from ft_assets_tests.training.samples import commit_rows, tiny_recipe


def job_with(lease: Lease, folder: Path) -> DeviceJob:
    return DeviceJob(
        base_dir=Path("base"),
        recipe=tiny_recipe(),
        work_dir=folder,
        lake_url=str(folder),
        training_ids={"sft": "7" * 64},
        out_dir=Path("out"),
        system_prompt=None,
        provenance={"snapshot": "5"},
        tokens_dir=Path("tokens"),
        lowerings=2,
        lease=lease,
    )


def test_a_trainer_that_comes_back_late_shows_no_checkpoint_beside_its_successors(tmp_path: Path) -> None:
    leases = Leases(f"sqlite:///{tmp_path}/state.db")
    late, successor = (
        saver_of(job_with(leases.take("qa-engineer", holder), tmp_path), print, "sft") for holder in ("a", "b")
    )
    with pytest.raises(LeaseLost, match="epoch 2, of b"):
        save(late, 20)
    assert save(successor, 10)
    assert LocalCheckpoints(tmp_path / ("7" * 64), "7" * 64).steps() == [10]


def test_the_lease_and_the_lowerings_reach_the_processes_of_several_devices(tmp_path: Path) -> None:
    job = job_with(Lease("sqlite:///state.db", "qa-engineer", 3, "run a"), tmp_path)
    rows = SideRows(examples=commit_rows(1, 1))
    write_job(tmp_path, job, TrainingRows(rows, rows))
    assert read_job(tmp_path)[0] == job


def test_each_killed_attempt_halves_the_micro_batch_until_nothing_is_left() -> None:
    recipe = tiny_recipe(per_device_train_batch_size=4, gradient_accumulation_steps=2)
    smaller, told = lowered_by(recipe, 2)
    assert (smaller.per_device_train_batch_size, smaller.gradient_accumulation_steps) == (1, 8)
    assert len(told) == 2 and "4 became 2" in told[0]
    assert lowered_by(recipe, 0) == (recipe, [])
    with pytest.raises(TooLittleMemory, match=r"killed for want of memory 4 times.*compute\.memory"):
        lowered_by(recipe, 4)
