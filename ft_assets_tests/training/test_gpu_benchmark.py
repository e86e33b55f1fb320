"""The GPU benchmark's code, on whatever is here, with a toy shape: so that it runs when a GPU is lent."""

import sys
from pathlib import Path

import pytest

from ft_assets_tests.training.samples import needs_base

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch):
    if not BENCHMARKS.exists():
        pytest.skip("an installation without benchmarks/")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    yield gpu
    for name in ("gpu", "training_models"):
        sys.modules.pop(name, None)


@pytest.mark.torch
@pytest.mark.slow
@needs_base
def test_one_configuration_gives_speed_memory_loss_and_gradient(gpu, tmp_path: Path) -> None:
    from training_models import write_random_model

    run = gpu.SMOKE[0]
    figures = gpu.measured(run, write_random_model(run.shape, tmp_path), seconds=300)
    assert "error" not in figures, figures
    assert all(figures[key] > 0 for key in ("tokens_per_second", "mfu", "peak_gb", "loss", "grad_norm"))
    assert figures["first_loss"] == pytest.approx(8.3, abs=0.3)  # log of 4,096 words: random weights
    assert run.name in gpu.line(run.name, figures)


def test_bars_hold_on_the_card_that_they_were_set_for_and_nowhere_else(gpu) -> None:
    fast = {"device": "NVIDIA H200", "tokens_per_second": 70_000.0}
    slow = {"device": "NVIDIA H200", "tokens_per_second": 5_000.0}
    found = {
        "8B ours sft lora 4096": slow,
        "1B ours sft lora 4096": fast,
        "1B trl sft lora 1024": slow,
        "8B trl sft lora 1024": {"error": "out of memory"},
    }
    assert [held for _, held in gpu.bars(found)] == [False, True, True]
    assert gpu.bars({name: {**figures, "device": "AMD EPYC"} for name, figures in found.items()}) == []
