"""No attention is chosen for packed rows before this test ran with it on that kind of device."""

import pytest

from ft_assets.chat import Chat, load_model
from ft_assets.compute import compute_device
from ft_assets.training.attention import (
    BY_CONVERSATION,
    FASTEST_FIRST,
    ISOLATION_PROVED,
    SDPA,
    attention_for,
    register_by_conversation,
)
from ft_assets.training.packed_rows import packed, tokenised
from ft_assets_tests.training.samples import BASE, commit_rows, needs_base

pytestmark = [pytest.mark.torch, needs_base]
# logits of the tiny base are about 10; bfloat16 alone moves them by 0.1, a leak by 1.5 and more
LARGEST_DIFFERENCE = 0.25


def largest_difference(implementation: str) -> float:
    """Between logits of conversations packed into a row of 256 tokens, and of each alone with plain attention."""
    import torch

    register_by_conversation()
    model = load_model(BASE)
    examples = tokenised(commit_rows(4, 1), "train", Chat(BASE), None, 256)
    (row,) = packed(examples, 256)
    positions = [position for length in row["seq_lengths"] for position in range(length)]
    ids = torch.tensor([row["input_ids"]], device=model.device)
    with torch.no_grad():
        alone = [
            model(input_ids=part, use_cache=False).logits[0]
            for part in ids.split(row["seq_lengths"], dim=1)  # each conversation by itself: nothing to leak from
        ]
        model.set_attn_implementation(implementation)
        together = model(
            input_ids=ids, position_ids=torch.tensor([positions], device=model.device), use_cache=False
        ).logits[0]
    return float((together - torch.cat(alone)).abs().max())


@pytest.mark.parametrize("implementation", ISOLATION_PROVED["cpu"])
def test_what_is_chosen_on_a_cpu_keeps_packed_conversations_apart(implementation: str) -> None:
    if compute_device() != "cpu":
        pytest.skip("on a GPU the test below asks")
    assert largest_difference(implementation) < LARGEST_DIFFERENCE


@pytest.mark.gpu
@pytest.mark.parametrize("implementation", FASTEST_FIRST)
def test_an_attention_keeps_packed_conversations_apart_on_a_gpu(implementation: str) -> None:
    if compute_device() != "cuda":
        pytest.skip("no GPU here")
    if implementation not in ISOLATION_PROVED["cuda"]:
        pytest.importorskip("flash_attn" if implementation.startswith("flash") else "torch")
    assert largest_difference(implementation) < LARGEST_DIFFERENCE


def test_rows_that_are_not_packed_and_devices_that_nobody_tried_get_the_plain_one() -> None:
    assert attention_for("cuda", None) == attention_for("tpu", 1024) == SDPA


def test_on_a_cpu_long_rows_are_taken_apart_and_short_ones_are_not() -> None:
    assert attention_for("cpu", 512) == BY_CONVERSATION
    assert attention_for("cpu", 256) == SDPA
