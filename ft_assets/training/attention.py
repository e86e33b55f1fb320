"""Which attention a packed row is trained with, by device. Packed rows need one that never looks across conversations.

transformers tells conversations apart by positions that restart. SDPA then needs a dense mask of length x length, which
costs more the longer the row. FlashAttention and flex attention skip what the mask hides, on a GPU. On a CPU SDPA is
asked for one conversation at a time, without any mask: `sdpa_by_conversation`.
"""

import importlib.util
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

SDPA, BY_CONVERSATION, FLEX, FLASH = "sdpa", "sdpa_by_conversation", "flex_attention", "flash_attention_2"
# That one conversation's logits in a packed row are those of it alone is tested for these (test_attention.py). An entry
# is added when the test ran on such a device, and only then chosen for it.
ISOLATION_PROVED: dict[str, tuple[str, ...]] = {"cpu": (SDPA, BY_CONVERSATION), "cuda": (SDPA,)}
FASTEST_FIRST = (FLASH, FLEX, BY_CONVERSATION, SDPA)
SHORT_ROW = 512  # tokens; below it one call with a dense mask costs less than a call for each conversation


def attention_for(device: str, max_length: int | None) -> str:
    """The `attn_implementation` for a device ("cpu" or "cuda"): the fastest whose isolation is proved there.

    `max_length` is that of packed rows. None: rows are not packed and there is nothing to be isolated from; SDPA then
    needs no mask of its own and is fast.
    """
    if max_length is None:
        return SDPA
    proved = ISOLATION_PROVED.get(device, (SDPA,))
    chosen = next(name for name in FASTEST_FIRST if name in proved and _can_run(name, max_length))
    if chosen == BY_CONVERSATION:
        register_by_conversation()
    return chosen


def register_by_conversation() -> None:
    """Makes `sdpa_by_conversation` an `attn_implementation` of transformers. Packed rows only, and no cache."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(BY_CONVERSATION, _by_conversation)
    AttentionMaskInterface.register(BY_CONVERSATION, lambda *args, **kwargs: None)


def _by_conversation(
    module: Any,
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: None,
    position_ids: "torch.Tensor | None" = None,
    **kwargs: Any,
) -> "tuple[torch.Tensor, None]":
    """Attention within each conversation of the one row of a batch. Shapes as transformers' sdpa_attention_forward."""
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if attention_mask is not None or position_ids is None or len(query) != 1:
        raise ValueError(f"{BY_CONVERSATION} reads one packed row with position_ids and no mask; use {SDPA} instead")
    lengths = [stop - start for start, stop in pairwise(_bounds(position_ids))]
    # split, not a slice for each: the backward of a slice fills and adds a whole row of zeros
    parts = zip(*(states.split(lengths, dim=2) for states in (query, key, value)), strict=True)
    outputs = [sdpa_attention_forward(module, *part, None, **kwargs)[0] for part in parts]
    return torch.cat(outputs, dim=1), None


def _bounds(position_ids: "torch.Tensor") -> list[int]:
    """Where conversations begin, and the row's end. Padding, whose positions all are 0, counts as one conversation."""
    positions = position_ids[0]
    starts: list[int] = (positions == 0).nonzero()[:, 0].tolist()
    size = len(positions)
    padding = size
    while starts and starts[-1] == padding - 1:
        padding = starts.pop()
    return [*starts, *([padding] if padding < size else []), size]


def _can_run(name: str, max_length: int) -> bool:
    if name == FLASH:
        return importlib.util.find_spec("flash_attn") is not None
    return name != BY_CONVERSATION or max_length >= SHORT_ROW
