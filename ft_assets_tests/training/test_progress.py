import pytest

from ft_assets.training.progress import ProgressReports, in_words, metrics_of, progress_line, spent

AFTER_A_STEP = {
    **{"stage": "sft", "step": 40, "steps": 120, "loss": 1.234, "learning_rate": 2e-4, "tokens": 88_000},
    **{"tokens_per_second": 5210.4, "mfu": 0.314, "eta_seconds": 200.0, "peak_memory_bytes": 5e9},
}


def test_a_line_says_where_how_fast_and_how_long():
    assert progress_line(AFTER_A_STEP) == (
        "sft step 40 of 120: loss 1.23, learning_rate 0.0002, 5,210 tokens/s, MFU 31 %, 4 min left"
    )
    assert progress_line({"step": 0, "steps": 9, "eval_loss": 8.0}) == "step 0 of 9: eval_loss 8"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (59, "59 s"), (61, "2 min"), (3600, "1 h 0 min"), (7500, "2 h 5 min"), (266_400, "3 d 2 h")],
)
def test_durations_in_words(seconds, words):
    assert in_words(seconds) == words


def test_metrics_carry_their_stage_where_there_are_several():
    assert metrics_of(AFTER_A_STEP)["loss"] == 1.234
    several = metrics_of(AFTER_A_STEP, several_stages=True)
    assert several["sft/loss"] == 1.234
    assert not {"sft/step", "sft/steps", "sft/stage", "sft/eta_seconds"} & set(several)


def test_steps_of_an_earlier_attempt_get_no_line_and_their_metrics():
    lines, metrics = [], []
    reports = ProgressReports(lines.append, lambda step, found: metrics.append((step, found)))
    reports({"step": 1, "steps": 9, "loss": 2.0, "earlier": True})
    reports({"step": 2, "steps": 9, "loss": 1.0, "tokens_per_second": 50.0})
    reports({"step": 3, "steps": 9, "loss": 0.5, "tokens_per_second": 70.0})
    assert len(lines) == 2
    assert metrics[0] == (1, {"loss": 2.0})
    assert reports.figures() == {"tokens_per_second": 60.0}


def test_a_cost_stands_only_where_there_is_a_price():
    assert spent(1800.0, 10, devices=2, dollars_per_hour=3.0, is_gpu=True) == {
        "tokens": 10,
        "device_seconds": 3600.0,
        "gpu_seconds": 3600.0,
        "cost_dollars": 3.0,
    }
    assert spent(1800.0, 10, 1, None) == {"tokens": 10, "device_seconds": 1800.0, "gpu_seconds": 0.0}
