import json
from pathlib import Path

import pytest

from ft_assets.errors import BadInput, NotRerunnable
from ft_assets.training.checkpoint_saver import TrainingInterrupted
from ft_assets.training.device_job import DeviceJob, DeviceLost, error_in, read_job, write_error, write_exits, write_job
from ft_assets.training.distribution import accumulation_on
from ft_assets.training.recipe import Recipe
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets_tests.training.samples import commit_rows, tiny_recipe


def test_a_job_comes_back_with_its_recipe_and_the_text_of_its_rows(tmp_path: Path) -> None:
    job = DeviceJob(
        base_dir=Path("base"),
        recipe=tiny_recipe(seed=5),
        work_dir=Path("work"),
        lake_url="s3://bucket/lake",
        training_ids={"sft": "7"},
        out_dir=Path("out"),
        system_prompt=None,
        provenance={"snapshot": "5"},
        tokens_dir=Path("tokens"),
    )
    write_job(tmp_path, job, TrainingRows(SideRows(examples=commit_rows(3, 1)), SideRows(examples=commit_rows(2, 2))))
    again, rows = read_job(tmp_path)
    assert again == job
    assert again.recipe.digest() == job.recipe.digest()
    assert [row.example_id for row in rows.train.examples] == ["row-1-0", "row-1-1", "row-1-2"]
    asked, answered = commit_rows(3, 1)[0].messages
    messages = rows.train.examples[0].messages
    assert [(m["role"], m["content"]) for m in messages] == [(m.role, m.content) for m in (asked, answered)]
    assert len(rows.validation.examples) == 2 and not rows.validation.pairs


def test_an_error_keeps_its_type_across_the_border_even_when_the_others_lost_their_neighbour(tmp_path: Path) -> None:
    write_error(tmp_path, 1, RuntimeError("connection closed by peer"))
    write_error(tmp_path, 0, BadInput("row-7 is too long"))
    write_exits(tmp_path, {0: 1, 1: 1})
    error = error_in(tmp_path, [])
    assert isinstance(error, BadInput) and isinstance(error, NotRerunnable)
    assert str(error) == "row-7 is too long"


def test_a_killed_process_is_the_cause_and_not_what_the_others_say_about_it(tmp_path: Path) -> None:
    write_error(tmp_path, 0, RuntimeError("connection closed by peer"))
    write_exits(tmp_path, {1: -9, 0: 1})
    error = error_in(tmp_path, ["last words"])
    assert isinstance(error, DeviceLost)
    assert "process 1 got signal 9" in str(error) and "last words" in str(error)


def test_a_process_that_torchrun_ended_for_another_s_error_is_not_the_cause(tmp_path: Path) -> None:
    write_error(tmp_path, 0, TypeError("no such argument"))
    write_exits(tmp_path, {0: 1, 1: -15})
    assert repr(error_in(tmp_path, [])) == "TypeError('no such argument')"


def test_of_several_that_say_the_same_the_first_process_is_heard(tmp_path: Path) -> None:
    write_error(tmp_path, 1, TrainingInterrupted("SIGTERM came; nothing could be saved"))
    write_error(tmp_path, 0, TrainingInterrupted("SIGTERM came; step 4 is saved"))
    assert "step 4 is saved" in str(error_in(tmp_path, []))


def test_an_interruption_stays_one_and_an_unknown_type_becomes_a_runtime_error(tmp_path: Path) -> None:
    write_error(tmp_path, 0, TrainingInterrupted("SIGTERM came"))
    assert isinstance(error_in(tmp_path, []), TrainingInterrupted)
    (tmp_path / "error-0.json").write_text(json.dumps({"module": "gone", "name": "Odd", "message": "hm"}))
    assert repr(error_in(tmp_path, [])) == "RuntimeError('Odd: hm')"


@pytest.mark.parametrize(("devices", "each"), [(1, 8), (2, 4), (8, 1)])
def test_devices_share_the_accumulation_so_that_a_step_reads_the_same_rows(devices: int, each: int) -> None:
    assert accumulation_on(Recipe(), devices) == each
