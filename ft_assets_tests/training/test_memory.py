import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ft_assets.training.memory import (
    RUNTIME,
    MemoryQuestion,
    calibrated,
    estimate_memory,
    largest_max_length,
    needed,
)
from ft_assets.training.model_shape import model_shape
from ft_assets.training.recipe import Recipe
from ft_assets_tests.training.test_model_shape import LLAMA_8B

ROOT = Path(__file__).resolve().parents[2]
GIB = 2**30


def asked(device: str = "cuda", flash: bool = False, **knobs: object) -> MemoryQuestion:
    recipe = Recipe.model_validate({"max_length": 2048, **knobs})
    return MemoryQuestion(model_shape(LLAMA_8B), recipe, device=device, flash=flash)


def test_weights_take_four_two_or_half_a_byte_by_method():
    sizes = {method: estimate_memory(asked(method=method)).weights for method in ("full", "lora", "qlora")}
    parameters = model_shape(LLAMA_8B).parameters
    assert (sizes["full"], sizes["lora"]) == (4 * parameters, 2 * parameters)
    matrices = model_shape(LLAMA_8B).layer_weights  # embedding and LM head stay as they are
    assert sizes["qlora"] == pytest.approx(matrices * 4.127 / 8 + 2 * (parameters - matrices), rel=1e-3)


def test_full_fine_tuning_pays_for_gradients_and_moments_of_every_weight():
    full, adapter = estimate_memory(asked(method="full")), estimate_memory(asked(method="lora"))
    assert full.gradients + full.optimizer == 12 * model_shape(LLAMA_8B).parameters
    assert adapter.gradients + adapter.optimizer < GIB
    assert estimate_memory(asked(method="full", optim="adamw_bnb_8bit")).optimizer * 4 == full.optimizer


def test_checkpointing_and_flash_attention_keep_less():
    plain = estimate_memory(asked()).activations
    assert estimate_memory(asked(gradient_checkpointing=True)).activations < plain / 8
    assert estimate_memory(asked(flash=True)).activations < plain


def test_a_pair_is_two_rows_and_only_full_without_kept_answers_needs_a_second_model():
    sft, dpo = estimate_memory(asked(flash=True, lora_dropout=0)), estimate_memory(asked(flash=True, approach="dpo"))
    assert dpo.activations == pytest.approx(2 * sft.activations)
    assert dpo.reference == 0
    second = estimate_memory(asked(approach="dpo", method="full", precompute_ref_log_probs=False))
    assert second.reference == second.weights


def test_devices_share_what_full_fine_tuning_holds_and_each_has_an_adapter_s_base():
    one, four = (estimate_memory(replace(asked(method="full"), devices=count)) for count in (1, 4))
    for part in ("weights", "gradients", "optimizer"):
        assert getattr(four, part) * 4 == pytest.approx(getattr(one, part), rel=1e-6)
    assert four.activations == one.activations
    assert four.half_copies < one.half_copies / 8
    assert needed(replace(asked(method="full"), devices=64)) > one.weights, "it is read whole"
    assert estimate_memory(replace(asked(), devices=4)) == estimate_memory(asked())


def test_the_longest_rows_that_fit_are_found_and_the_next_step_does_not_fit():
    question = asked(max_length=8192)
    budget = 40 * GIB
    length = largest_max_length(question, budget)
    assert length is not None and length % 64 == 0
    assert needed(question.at(max_length=length)) <= budget < needed(question.at(max_length=length + 64))
    assert largest_max_length(question, 10 * GIB) is None
    assert largest_max_length(asked(max_length=64), 1000 * GIB) == 64


def test_two_measured_points_make_the_estimate_true_there_and_between_them():
    truth = replace(asked(), growth=1.3, offset=700_000_000)
    points = [(length, 1, estimate_memory(truth.at(max_length=length)).total) for length in (512, 2048)]
    found = calibrated(asked(), points)
    assert (found.growth, found.offset) == (pytest.approx(1.3), pytest.approx(700_000_000, rel=1e-3))
    between = estimate_memory(truth.at(max_length=1024)).total
    assert estimate_memory(found.at(max_length=1024)).total == pytest.approx(between, rel=1e-3)
    with pytest.raises(ValueError, match="same number of tokens"):
        calibrated(asked(), [points[0], points[0]])


def test_what_is_there_before_any_tensor_counts_for_the_device_and_not_for_the_allocator():
    assert needed(asked()) - estimate_memory(asked()).total == RUNTIME["cuda"]


@pytest.mark.torch
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="resident memory is read from Linux's /proc")
def test_a_training_in_a_process_of_its_own_needs_what_was_estimated():
    case = {
        "method": "full",
        "max_length": 256,
        "hidden": 512,
        "layers": 6,
        "intermediate": 1376,
        "heads": 8,
        "kv_heads": 8,
    }
    command = [sys.executable, str(ROOT / "benchmarks" / "memory.py"), "--one", json.dumps(case)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert 0.7 < found["measured"] / found["estimated"] < 1.3
