import pytest

from ft_assets.training.intervals import derive_intervals
from ft_assets.training.recipe import Recipe


@pytest.mark.parametrize(("rows", "steps"), [(90, 9), (100, 12), (96, 9), (0, 0)])
def test_the_steps_of_a_run_are_counted_as_the_trainer_counts_them(rows, steps):
    assert Recipe(per_device_train_batch_size=4).steps(rows) == steps


@pytest.mark.parametrize(
    ("steps", "epochs", "patience"), [(9, 3, 3), (47, 5, 3), (235, 5, 3), (235, 12, 2), (10_000, 3, 4)]
)
def test_every_run_evaluates_often_enough_for_early_stopping_to_act(steps, epochs, patience):
    intervals = derive_intervals(steps, epochs, patience)
    assert steps // intervals.eval_steps >= max(epochs, 3 * patience)
    assert intervals.save_steps == intervals.eval_steps >= intervals.logging_steps >= 1


def test_a_run_shorter_than_its_evaluations_evaluates_at_every_step():
    assert derive_intervals(4, 1, 3).eval_steps == 1


@pytest.mark.parametrize("steps", [1, 9, 10, 33, 1_000])
def test_the_warm_up_never_takes_more_than_a_tenth_of_the_steps(steps):
    assert derive_intervals(steps, 3, 3, warmup_ratio=0.10).warmup_steps <= steps / 10


def test_a_longer_warm_up_with_its_reason_is_what_was_asked_for():
    assert Recipe(warmup_ratio=0.3, outside_range={"warmup_ratio": "why"}).intervals(100).warmup_steps == 30


def test_intervals_that_are_written_are_taken_and_a_save_always_falls_on_an_evaluation():
    written = Recipe(eval_steps=5, save_steps=20, logging_steps=2, warmup_steps=7).intervals(100)
    assert (written.eval_steps, written.save_steps, written.logging_steps, written.warmup_steps) == (5, 20, 2, 7)
    assert Recipe(eval_steps=5).intervals(100).save_steps == 5
    saved = Recipe(save_steps=25).intervals(100)
    assert (saved.save_steps, saved.eval_steps) == (25, 5)


def test_a_run_without_steps_is_refused():
    with pytest.raises(ValueError, match="0 optimizer steps"):
        derive_intervals(0, 1, 3)
