import pytest

from ft_assets.training.loss_plot import loss_curve, training_curves

FALLING = [
    {"step": 0, "eval_loss": 8.0},
    {"step": 5, "loss": 4.0, "learning_rate": 1e-3},
    {"step": 5, "eval_loss": 3.5},
    {"step": 10, "loss": 0.3, "learning_rate": 1e-4},
    {"step": 10, "eval_loss": 0.4},
]


@pytest.mark.parametrize("history", [FALLING, FALLING[:1], FALLING[:2], []])
def test_any_history_gives_a_picture(history):
    assert loss_curve(history).startswith(b"\x89PNG")


def test_the_same_history_gives_the_same_picture():
    assert loss_curve(FALLING) == loss_curve(FALLING) != loss_curve(FALLING[:3])


def test_what_moved_beside_the_loss_has_a_panel_each_and_nothing_else():
    norms = [{"step": step, "loss": 1.0, "grad_norm": 1 / step, "learning_rate": 1e-3} for step in range(1, 9)]
    pairs = [{"step": step, "eval_rewards/margins": step / 9, "eval_rewards/accuracies": 0.7} for step in range(1, 9)]
    assert training_curves(norms) == training_curves(norms)
    heights = [height_of(training_curves(history)) for history in (norms, norms + pairs)]
    assert heights[0] < heights[1]
    assert training_curves([{"step": 1, "loss": 2.0}]) is None


def height_of(png: bytes | None) -> int:
    assert png is not None
    return int.from_bytes(png[20:24], "big")
