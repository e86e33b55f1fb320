"""Allocations that fail for real: in a child whose memory ends soon."""

import resource
from pathlib import Path
from typing import Any

import pytest

from ft_assets.errors import TooLittleMemory
from ft_assets.memory_errors import is_out_of_memory
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets.training.checkpoint_store import LocalCheckpoints
from ft_assets.training.out_of_memory import fitting_length, lowered, with_less_memory
from ft_assets.training.recipe import Recipe
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets.training.train import train
from ft_assets_tests.training.little_memory import MIB, end_memory_after, in_child
from ft_assets_tests.training.samples import BASE, commit_rows, needs_base, preference_recipe, tiny_recipe

pytestmark = pytest.mark.torch

ROW_MIB = 512  # of a pretended stage, per row of its micro-batch; a long test run leaves no hole as large in its heap


def ladder(recipe: Recipe) -> list[tuple[int, int, bool]]:
    """Micro-batch, accumulation and checkpointing of the stage and of all its lowered forms."""
    forms = []
    while True:
        forms.append(
            (recipe.per_device_train_batch_size, recipe.gradient_accumulation_steps, recipe.gradient_checkpointing)
        )
        smaller = lowered(recipe)
        if smaller is None:
            return forms
        recipe, sentence = smaller
        assert sentence.startswith(f"{recipe.objective} ran out of memory")


def test_the_micro_batch_is_halved_and_the_rows_of_a_step_stay() -> None:
    stage = tiny_recipe(per_device_train_batch_size=4, gradient_accumulation_steps=2)
    assert ladder(stage) == [(4, 2, False), (2, 4, False), (1, 8, False), (1, 8, True)]
    odd = tiny_recipe(per_device_train_batch_size=6, gradient_accumulation_steps=1)
    assert ladder(odd) == [(6, 1, False), (3, 2, False), (1, 6, False), (1, 6, True)]
    smaller = lowered(stage)
    assert smaller is not None
    assert smaller[0].steps(100) == stage.steps(100), "checkpoints of both count the same steps"


def test_kto_keeps_its_micro_batch_because_its_loss_is_made_of_it() -> None:
    assert ladder(preference_recipe("kto")) == [(4, 1, False), (4, 1, True)]
    assert ladder(preference_recipe("kto", loss_type="apo_zero_unpaired"))[1] == (2, 2, False)
    assert ladder(preference_recipe("dpo"))[1] == (2, 2, False)


def _pretended_stage(recipe: Recipe) -> int:
    """Needs ROW_MIB per row, half of it with checkpointing, and holds what it has in frames and in a circle."""
    import torch

    class Trainer:
        def __init__(self) -> None:
            self.itself = self
            self.memory: list[torch.Tensor] = []

        def take(self, rows: int) -> int:
            for _ in range(rows * (1 if recipe.gradient_checkpointing else 2)):
                self.memory.append(torch.empty(ROW_MIB * MIB // 8))  # asked for, and never touched
            return rows

    return Trainer().take(recipe.per_device_train_batch_size)


@pytest.mark.parametrize(("rows_that_fit", "form"), [(8.0, (8, 1)), (5.0, (4, 2)), (1.5, (1, 8)), (0.75, (1, 8))])
def test_the_first_form_that_fits_gives_the_result_and_every_lowering_is_told(
    rows_that_fit: float, form: tuple[int, int]
) -> None:
    stage = tiny_recipe(per_device_train_batch_size=8, gradient_accumulation_steps=1)

    def work() -> Any:
        result, used, told = with_less_memory(stage, _pretended_stage, lambda recipe: None)
        return result, used.per_device_train_batch_size, used.gradient_accumulation_steps, told

    done = in_child(work, int(rows_that_fit * ROW_MIB * MIB) + 8 * MIB)
    rows, *used, told = done["returned"]
    assert (rows, tuple(used)) == (form[0], form)
    forms = ladder(stage)
    checkpointed = rows_that_fit < 1
    assert len(told) == forms.index((*form, checkpointed))
    assert not told or "8 became 4 and gradient_accumulation_steps 1 became 2; each step reads the same 8" in told[0]


def test_nothing_fits_so_the_length_that_would_is_named_and_one_alert_goes_out() -> None:
    stage = tiny_recipe(per_device_train_batch_size=2)

    def work() -> Any:
        alerts: list[str] = []
        try:
            with_less_memory(stage, _pretended_stage, lambda recipe: 192, alerts.append)
        except TooLittleMemory as error:
            return error.verdict, str(error), alerts

    verdict, message, alerts = in_child(work, 16 * MIB)["returned"]
    assert verdict == "out_of_memory"
    assert "at max_length 256" in message
    assert "max_length 192 would fit" in message
    assert "can't allocate memory" in message
    assert alerts == [message]


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    calls: list[Recipe] = []

    def attempt(recipe: Recipe) -> None:
        calls.append(recipe)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        with_less_memory(tiny_recipe(per_device_train_batch_size=4), attempt, lambda recipe: None)
    assert len(calls) == 1
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(OSError(12, "Cannot allocate memory"))
    assert is_out_of_memory(RuntimeError("could not create a primitive"))


def test_several_processes_stop_at_once_and_say_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")

    def work() -> Any:
        with_less_memory(tiny_recipe(per_device_train_batch_size=4), _pretended_stage, lambda recipe: None)

    done = in_child(work, 16 * MIB)
    assert done["error"] == "TooLittleMemory"
    assert "2 processes trained together" in done["message"]


def limited(more_bytes: int) -> Any:
    """A callback that lets the process take so many bytes more than the first attempt has at its first step."""
    from transformers import TrainerCallback

    class Limited(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY:
                end_memory_after(more_bytes)

    return Limited()


def trained(folder: Path, more_bytes: int, **knobs: Any) -> dict[str, Any]:
    """A whole training in a child: steps, planned steps and lowerings, or its error."""

    def work() -> Any:
        outcome = train(
            base_dir=BASE,
            rows=TrainingRows(SideRows(commit_rows(160, 1)), SideRows(commit_rows(4, 2))),
            recipe=tiny_recipe(max_length=1024, num_train_epochs=1, **knobs),
            work_dir=folder / "work",
            checkpoints=lambda stage: CheckpointSaver(LocalCheckpoints(folder / "work" / stage, "7" * 64)),
            out_dir=folder / "adapter",
            system_prompt=None,
            on_progress=lambda progress: None,
            provenance={"snapshot": "5" * 64, "base_id": "tiny-base", "base_digest": "b" * 64},
            callbacks=[limited(more_bytes)],
        )
        return outcome.last.steps, outcome.last.planned_steps, outcome.last.lowered

    return in_child(work)


@needs_base
@pytest.mark.slow
def test_a_training_that_is_too_large_goes_on_in_smaller_pieces(tmp_path: Path) -> None:
    done = trained(tmp_path, 650 * MIB, per_device_train_batch_size=8, gradient_accumulation_steps=1)
    assert "returned" in done, done
    steps, planned, told = done["returned"]
    assert steps == planned == 1
    assert told
    assert "per_device_train_batch_size 8 became 4" in told[0]
    assert '"lowered"' in (tmp_path / "adapter" / "provenance.json").read_text()


@needs_base
def test_a_training_that_fits_in_no_form_leaves_no_adapter_and_cuts_no_row(tmp_path: Path) -> None:
    done = trained(tmp_path, 1 * MIB, per_device_train_batch_size=1, gradient_checkpointing=True)
    assert done.get("error") == "TooLittleMemory", done
    assert "at max_length 1024. No adapter was saved and no row was cut. By estimate" in done["message"]
    assert not (tmp_path / "adapter").exists()


@needs_base
def test_the_named_length_fits_what_is_left_and_is_always_shorter_than_what_failed() -> None:
    stage = tiny_recipe(max_length=1024, per_device_train_batch_size=1, gradient_checkpointing=True)
    fitting_length(BASE, stage)  # its imports take address space
    named = [in_child(lambda: fitting_length(BASE, stage), more * MIB)["returned"] for more in (32, 160, 192, 2048)]
    assert named[0] is None, "the kernels alone need more"
    assert 64 <= named[1] < named[2] < 1024
    assert 64 <= named[3] <= 960, "the arithmetic thinks that 1024 fits, and it failed"
