import re

import pytest

from ft_assets.training.estimate import EXPECTED_MFU, StageTokens, estimate, estimate_problems
from ft_assets.training.model_shape import model_shape
from ft_assets.training.recipe import Recipe
from ft_assets.training.training_device import TrainingDevice, device_asked_for, host_memory
from ft_assets_tests.training.test_model_shape import LLAMA_8B

SHAPE = model_shape(LLAMA_8B)
ROWS = StageTokens(rows=800, train=1_500_000, validation=0, learned=500_000)
H200 = TrainingDevice("cuda", "NVIDIA H200", 1, 989e12, 141 * 10**9, dollars_per_hour=4.0)


def line(**knobs: object) -> Recipe:
    return Recipe.model_validate({"max_length": 2048, **knobs})


def test_steps_tokens_hours_and_cost_follow_from_rows_and_epochs():
    found = estimate(line(), SHAPE, {"sft": ROWS}, H200)
    assert (found.steps, found.tokens) == (300, 4_500_000)
    seconds = 4 * SHAPE.matmul_parameters * 4_500_000 / (989e12 * EXPECTED_MFU)
    assert found.hours == pytest.approx(seconds / 3600)
    assert found.dollars == pytest.approx(found.hours * 4.0)


def test_a_price_or_a_peak_that_nobody_told_stays_unknown():
    unpriced = estimate(line(), SHAPE, {"sft": ROWS}, TrainingDevice("cuda", "NVIDIA H200", 1, 989e12))
    assert unpriced.hours is not None and unpriced.dollars is None
    unknown = estimate(line(), SHAPE, {"sft": ROWS}, TrainingDevice("cuda", "a new card", dollars_per_hour=4.0))
    told = unknown.as_metadata()
    assert (told["expected_hours"], told["expected_dollars"], told["device_memory_gib"]) == ("unknown",) * 3
    assert list(estimate_problems(unknown)) == []


def test_two_devices_halve_the_hours_and_not_the_cost():
    one = estimate(line(), SHAPE, {"sft": ROWS}, H200)
    two = estimate(line(), SHAPE, {"sft": ROWS}, TrainingDevice("cuda", "NVIDIA H200", 2, 989e12, dollars_per_hour=4.0))
    assert two.steps == one.steps, "a step reads the same rows on both"
    assert two.hours == pytest.approx(one.hours / 2)
    assert two.dollars == pytest.approx(one.dollars)


def test_a_second_stage_adds_its_steps_and_its_reference():
    pairs = StageTokens(rows=160, train=400_000)
    found = estimate(line(approach="sft+dpo"), SHAPE, {"sft": ROWS, "dpo": pairs}, H200)
    alone = estimate(line(), SHAPE, {"sft": ROWS}, H200)
    assert found.steps == alone.steps + 20
    assert found.stages[1].flops == SHAPE.matmul_parameters * 400_000 * (4 + 2)


@pytest.mark.parametrize(
    ("knobs", "memory", "told"),
    [
        ({"per_device_train_batch_size": 8, "gradient_accumulation_steps": 1}, 60, r"per_device_train_batch_size: \d"),
        ({"max_length": 8192}, 40, "gradient_checkpointing: true"),
        ({"max_length": 8192, "gradient_checkpointing": True}, 20, r"max_length: \d+; longer rows are refused"),
        ({}, 8, "No max_length fits"),
    ],
)
def test_a_stage_that_does_not_fit_is_refused_with_what_would(knobs, memory, told):
    device = TrainingDevice("cuda", "a card", 1, None, memory * 10**9)
    (problem,) = estimate_problems(estimate(line(**knobs), SHAPE, {"sft": ROWS}, device))
    assert problem.code == "memory_over_device" and problem.refuses
    assert re.search(told, problem.message), problem.message


def test_what_fits_is_not_refused():
    assert list(estimate_problems(estimate(line(), SHAPE, {"sft": ROWS}, H200))) == []


def test_a_cluster_s_card_is_known_by_its_name_or_by_the_label_of_its_node():
    label = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    device = device_asked_for(1, None, label, 2.5)
    assert device is not None
    assert (device.peak_flops, device.memory_bytes, device.dollars_per_hour) == (989e12, 80 * 10**9, 2.5)
    named = device_asked_for(2, "NVIDIA L4", label, None)
    assert named is not None and named.peak_flops == 121e12
    nameless = device_asked_for(1, None, {}, None)
    assert nameless is not None and nameless.memory_bytes is None
    assert device_asked_for(0, "NVIDIA L4", {}, None) is None


def test_the_memory_of_this_machine_is_a_positive_number_of_bytes():
    found = host_memory()
    assert found is None or found > 2**28
