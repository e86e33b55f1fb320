import pytest

from ft_assets.training.loss_plot import loss_curve

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
