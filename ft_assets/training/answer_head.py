"""The LM head of supervised fine-tuning on a CPU: on answer tokens only, each logit computed once.

TRL leaves the other tokens out only where it finds Triton, and its function for the head forgets the logits of a
training step and computes them again for the gradients. On a GPU that saves memory. On a CPU it costs an eighth of the
time at 60 M parameters, and more memory than it saves.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

MOST_LOGITS = 2**25  # tokens x vocabulary that may stay in memory until the backward: 134 MB
COMPUTED = {"log_probs", "entropy", "is_top1"}  # of the outputs that TRL's function knows


@contextmanager
def answer_head() -> Iterator[None]:
    """Lets TRL's trainers, while they train, compute the head this way on a CPU. Same loss and gradients.

    TRL asks two private names; if one is gone, training is slower and right.
    """
    from trl.trainer import utils

    chunked: Any = getattr(utils, "_ChunkedLogProbFunction", None)
    use_triton: Any = getattr(utils, "_use_triton", None)
    if chunked is None or use_triton is None:
        log.warning("this TRL computes its LM head in another way: on every token, so training is slower on a CPU")
        yield
        return

    class Head:
        @staticmethod
        def apply(hidden: "torch.Tensor", weight: "torch.Tensor", *args: Any) -> Any:
            if _can_be_held(hidden, weight, *args):
                return _per_token(hidden, weight, *args)
            return chunked.apply(hidden, weight, *args)

    utils._ChunkedLogProbFunction, utils._use_triton = Head, lambda device: True
    try:
        yield
    finally:
        utils._ChunkedLogProbFunction, utils._use_triton = chunked, use_triton


def _can_be_held(
    hidden: "torch.Tensor",
    weight: "torch.Tensor",
    bias: "torch.Tensor | None",
    targets: "torch.Tensor",
    temperature: float,
    chunk_size: int,
    final_logit_softcapping: float | None,
    logit_scale: float,
    outputs: tuple[str, ...],
) -> bool:
    plain = (temperature, final_logit_softcapping, logit_scale) == (1.0, None, 1.0) and COMPUTED.issuperset(outputs)
    return plain and hidden.device.type == "cpu" and len(hidden) * len(weight) <= MOST_LOGITS


def _per_token(
    hidden: "torch.Tensor", weight: "torch.Tensor", bias: "torch.Tensor | None", targets: "torch.Tensor", *_: Any
) -> "tuple[torch.Tensor, torch.Tensor, None, None, torch.Tensor]":
    """Log-probability of each target (N), and of each distribution the entropy and whether the target is its mode.

    hidden (N, H), weight (V, H), targets (N).
    """
    import torch
    from torch.nn.functional import cross_entropy, linear

    kind = hidden.dtype  # FSDP2 gives bfloat16 states and gathers float32 weights
    logits = linear(hidden, weight.to(kind), None if bias is None else bias.to(kind)).float()
    log_probs = -cross_entropy(logits, targets, reduction="none")
    with torch.no_grad():  # for the log only
        log_z = logits.gather(-1, targets[:, None])[:, 0] - log_probs
        entropy = log_z - torch.linalg.vecdot((logits - log_z[:, None]).exp_(), logits)
        is_top1 = logits.argmax(-1) == targets
    return log_probs, entropy, None, None, is_top1
