"""The rules by themselves: on made-up curves, thousands of them."""

import math
import random
from collections.abc import Iterable

import pytest

from ft_assets.training.verdicts import IN_A_ROW, SLOW_SECONDS, SLOW_STEPS, Verdict, Verdicts

RUNS, ENTRIES = 300, 50


def judged(
    curve: Iterable[float], norms: Iterable[float] | None = None, rules: Verdicts | None = None
) -> list[Verdict]:
    """The verdicts on a curve of training losses, after a validation loss of its first value."""
    rules, losses = rules or Verdicts(), list(curve)
    rules.entry({"eval_loss": losses[0]})
    pairs = zip(losses, norms or [0.5] * len(losses), strict=True)
    found = [rules.entry({"loss": loss, "grad_norm": norm}) for loss, norm in pairs]
    return [verdict for verdict in found if verdict]


def falling(rng: random.Random, start: float, end: float, noise: float) -> list[float]:
    """A loss that falls from `start` to `end`, with log-normal noise as small batches have it."""
    rate = math.log(start / end) / (ENTRIES / 4)
    return [
        max(end, start * math.exp(-rate * entry)) * math.exp(rng.gauss(-noise * noise / 2, noise))
        for entry in range(ENTRIES)
    ]


@pytest.mark.parametrize(
    ("start", "end", "noise"), [(4.0, 1.2, 0.3), (2.0, 0.8, 0.6), (0.693, 0.05, 0.7), (3, 1e-4, 1)]
)
def test_fewer_than_one_noisy_healthy_curve_in_a_hundred_gets_a_verdict(start: float, end: float, noise: float) -> None:
    rng = random.Random(f"{start} {end} {noise}")
    stopped = 0
    for _ in range(RUNS):
        norms = [rng.lognormvariate(-0.5, 1.0) for _ in range(ENTRIES)]
        stopped += bool(judged(falling(rng, start, end, noise), norms))
    assert stopped <= RUNS // 100


@pytest.mark.parametrize("at", [0, 3, 10, 40])
def test_a_loss_that_stays_far_above_its_median_is_stopped_with_the_fourth_entry(at: int) -> None:
    curve = falling(random.Random(at), 2.0, 0.8, 0.3)
    wrong = [*curve[: at + 1], *[8.0] * (IN_A_ROW - 1)]
    assert judged(wrong) == []
    assert [verdict.name for verdict in judged([*wrong, 8.0])] == ["loss_diverged"]


def test_a_spike_while_the_rate_warms_up_is_left_alone() -> None:
    assert judged([4.0, 4.2, 6.5, 9.5, 9.8, 9.2, 7.0, 4.1, 3.5, 3.0]) == []


def test_gradients_that_explode_are_told_from_norms_that_were_near_zero() -> None:
    learned = [0.01] * 12
    assert judged([0.01] * 16, [*learned, 3.0, 2.0, 4.0, 3.0]) == []
    (verdict,) = judged([0.01] * 16, [*learned, 300.0, 200.0, 400.0, 300.0])
    assert verdict.name == "exploding_gradients"
    assert "300" in verdict.found


def test_a_set_that_is_learned_by_heart_reaches_zero_and_one_that_is_cut_off_falls_to_it() -> None:
    by_heart = [2.0 * 0.5**entry for entry in range(40)]
    assert by_heart[-1] < 1e-6
    assert judged(by_heart) == []
    assert [verdict.name for verdict in judged([2.0, 1.5, *[0.0] * IN_A_ROW])] == ["loss_at_zero"]
    assert [
        verdict.name for verdict in judged([2.0, 1.5, *[0.0] * IN_A_ROW], rules=Verdicts(zero_is_reached=True))
    ] == []


def test_zero_is_no_fault_where_the_validation_loss_is_there_too() -> None:
    rules = Verdicts()
    rules.entry({"eval_loss": 0.001})
    assert [rules.entry({"loss": 0.0, "grad_norm": 0.0}) for _ in range(10)] == [None] * 10


def validated(*losses: float) -> list[str | None]:
    rules = Verdicts(patience=3, min_delta=0.01)
    found = [rules.entry({"eval_loss": loss}) for loss in losses]
    return [verdict.name if verdict else None for verdict in found]


def test_a_validation_loss_that_was_never_better_than_before_training_is_a_failure() -> None:
    assert validated(2.0, 2.1, 2.2, 2.3) == [None, None, None, "validation_only_rises"]
    assert validated(2.0, 1.995, 2.1, 2.2, 2.3)[-1] == "validation_only_rises", "0.005 is less than min_delta"


def test_a_validation_loss_that_rises_after_it_fell_is_left_to_early_stopping() -> None:
    assert not any(validated(2.0, 1.5, 1.6, 1.9, 2.5, 3.0, 4.0))
    assert not any(validated(0.693, 0.695, 0.69, 0.7, 0.69, 0.7)), "noise within min_delta"
    assert not any(validated(2.0, 2.5, 2.4, 1.9)), "a warm-up that recovers"


def test_a_validation_loss_that_comes_back_from_a_bump_of_the_warm_up_is_left_alone() -> None:
    assert not any(validated(2.0, 2.3, 2.2, 2.1, 1.8))
    assert validated(2.0, 2.3, 2.2, 2.4)[-1] == "validation_only_rises", "it rises in the end"


def test_a_short_training_whose_best_weights_are_worse_than_none_is_a_failure() -> None:
    for losses, name in (((2.0, 2.5, 2.4), "validation_only_rises"), ((2.0, 2.5, 2.005), None), ((2.0,), None)):
        rules = Verdicts(patience=3, min_delta=0.01)
        for loss in losses:
            assert rules.entry({"eval_loss": loss}) is None
        verdict = rules.end()
        assert (verdict and verdict.name) == name


def test_a_number_that_is_none_is_named() -> None:
    nan = float("nan")
    for entry, what in (
        ({"loss": nan}, "the loss"),
        ({"loss": 1.0, "grad_norm": float("inf")}, "the gradient's norm"),
        ({"eval_loss": nan}, "the validation loss"),
    ):
        verdict = Verdicts().entry(entry)
        assert verdict is not None
        assert (verdict.name, verdict.found) == ("non_finite", f"{what} is not finite")


def paced(*seconds: float) -> int | None:
    """The number of steps after which the pace is called collapsed."""
    rules = Verdicts()
    return next((number for number, one in enumerate(seconds, 1) if rules.step(one)), None)


def test_steps_ten_times_slower_are_stopped_after_ten_of_them_and_two_minutes() -> None:
    usual = [1.0] * 20
    assert paced(*usual, *[20.0] * 30) == 20 + SLOW_STEPS
    assert paced(*usual, *[11.0] * 30) == 20 + math.ceil(SLOW_SECONDS / 11)
    assert paced(*[0.01] * 20, *[0.2] * 100) is None, "it cost 20 seconds"
    assert paced(*usual, *[8.0] * 100) is None, "a slower machine, not a broken one"
    assert paced(*usual, *[90.0, 1.0, 1.0] * 20) is None, "a slow disk now and then"
    assert paced(300.0, 200.0, *[1.0] * 50) is None, "kernels are compiled in the first steps"


def test_a_recalled_log_judges_on_as_if_it_had_never_stopped() -> None:
    curve = [*falling(random.Random(1), 2.0, 0.8, 0.3)[:20], *[8.0] * IN_A_ROW]
    history = [{"eval_loss": 2.0}, *({"loss": loss, "grad_norm": 0.5} for loss in curve)]
    for cut in range(len(history) - 1):
        rules = Verdicts()
        rules.recall(history[:cut])
        found = [rules.entry(entry) for entry in history[cut:]]
        assert [verdict and verdict.name for verdict in found] == [*[None] * (len(found) - 1), "loss_diverged"]
