from types import SimpleNamespace
from typing import Any

import pytest

from ft_assets.training.telemetry import Pace, flops_figures, measured_in, telemetry
from ft_assets_tests.training.samples import BASE, needs_base

pytestmark = pytest.mark.torch


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def state(step: int, **more: Any) -> SimpleNamespace:
    given = {"max_steps": 10, "epoch": step / 5, "log_history": [], "is_world_process_zero": True, "global_step": step}
    return SimpleNamespace(**{**given, **more})


def steps(callback: Any, clock: Clock, first: int, last: int, seconds: float, pause: float = 0.0) -> None:
    """Steps of so many seconds, each followed by an evaluation that takes `pause`."""
    for step in range(first, last + 1):
        callback.on_step_begin(ARGS, state(step), None)
        clock.now += seconds
        callback.on_step_end(ARGS, state(step), None)
        callback.on_log(ARGS, state(step), None, logs={"loss": 1.0, "num_tokens": 9e9, "epoch": step / 5})
        if pause:
            clock.now += pause
            callback.on_evaluate(ARGS, state(step), None)


ARGS = SimpleNamespace(world_size=2, eval_steps=1)


def test_throughput_counts_real_tokens_and_steps_only():
    clock, told = Clock(), []
    callback = telemetry(told.append, tokens_per_epoch=1000, flops_per_token=6.0, peak_flops=300.0, clock=clock)
    callback.on_train_begin(ARGS, state(0), None)
    steps(callback, clock, 1, 4, seconds=2.0, pause=50.0)
    last = told[-1]
    assert last["tokens"] == 800
    assert last["tokens_per_second"] == pytest.approx(100)  # 200 tokens a step in 2 s; the pauses do not count
    assert last["mfu"] == pytest.approx(6 * 100 / (300 * 2))
    assert last["eta_seconds"] == pytest.approx(6 * 2 + 6 * 50)
    assert last["peak_memory_bytes"] > 1e6
    assert "num_tokens" not in last  # it counts padding


def test_one_slow_step_does_not_move_the_end():
    clock, told = Clock(), []
    callback = telemetry(told.append, 1000, clock=clock)
    callback.on_train_begin(ARGS, state(0), None)
    steps(callback, clock, 1, 1, seconds=500.0)  # kernels are made, caches fill
    steps(callback, clock, 2, 5, seconds=2.0)
    assert told[-1]["eta_seconds"] == pytest.approx(5 * 2)
    assert "mfu" not in told[-1]  # nobody knows the peak


def test_a_resumed_run_tells_the_earlier_entries_first_and_does_not_count_their_steps():
    clock, told = Clock(), []
    callback = telemetry(told.append, 1000, clock=clock)
    history = [{"step": 2, "loss": 3.0, "epoch": 0.4}, {"step": 5, "eval_loss": 2.0, "eval_runtime": 7.0}]
    callback.on_train_begin(ARGS, state(5, log_history=history), None)
    assert told == [
        {"step": 2, "steps": 10, "loss": 3.0, "earlier": True},
        {"step": 5, "steps": 10, "eval_loss": 2.0, "earlier": True},
    ]
    steps(callback, clock, 6, 6, seconds=4.0)
    assert told[-1]["tokens_per_second"] == pytest.approx(200 / 4)
    assert (told[-1]["tokens"], told[-1]["eta_seconds"]) == (1200, pytest.approx(16))


def test_only_the_first_process_reports():
    told: list[Any] = []
    callback = telemetry(told.append, 1000)
    other = state(1, is_world_process_zero=False, log_history=[{"step": 1, "loss": 1.0}])
    callback.on_train_begin(ARGS, other, None)
    callback.on_log(ARGS, other, None, logs={"loss": 1.0})
    assert told == []


def test_what_is_no_measurement_is_left_out():
    assert measured_in({"loss": float("nan"), "grad_norm": 2, "eval_samples_per_second": 3.0}) == {"grad_norm": 2.0}
    assert measured_in({"train_runtime": 3.0, "train_loss": 1.0}) == {}


def test_a_pace_without_steps_promises_nothing():
    assert Pace(Clock()).seconds_left(100, 10) == 0.0


@needs_base
def test_the_tiny_base_has_figures_for_mfu_and_an_unknown_one_has_none(tmp_path):
    flops, peak = flops_figures(BASE, "lora")
    assert flops is not None and flops > 4 * 4e6
    assert peak is not None and peak > 1e8
    (tmp_path / "config.json").write_text('{"model_type": "nobody-knows"}')
    assert flops_figures(tmp_path, "lora") == (None, None)
