"""What several processes of one training (torchrun) tell each other about a checkpoint; with one process, nothing."""

from collections.abc import Callable
from typing import Any


def is_first_process() -> bool:
    """Whether this is rank 0, or the only process there is."""
    import torch.distributed as dist

    return not _several() or dist.get_rank() == 0


def _several() -> bool:
    import torch.distributed as dist

    return bool(dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1)


def from_first_process(ask: Callable[[], Any]) -> Any:
    """What `ask()` gives in rank 0, in every process. All wait here for it; an error of rank 0 is raised everywhere."""
    if not _several():
        return ask()
    import torch.distributed as dist

    answer: list[Any] = [None, None]
    if is_first_process():
        try:
            answer[0] = ask()
        except Exception as error:
            answer[1] = error
    dist.broadcast_object_list(answer, src=0)
    if answer[1] is not None:
        raise answer[1]
    return answer[0]


def everywhere(holds: bool) -> bool:
    """Whether it holds in every process."""
    if not _several():
        return holds
    import torch.distributed as dist

    answers: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(answers, holds)
    return all(answers)


def whole_weights(trainer: Any) -> dict[str, Any] | None:
    """The weights of a sharded model in one piece, in main memory, in rank 0 (elsewhere nothing); None for a whole one.

    Weights that are tied come once, under their first name. Every process has to ask: each gives its part.
    """
    if not trainer.is_fsdp_enabled:
        return None
    gathered: dict[str, Any] = trainer.accelerator.get_state_dict(trainer.model)
    tied = getattr(trainer.model, "all_tied_weights_keys", None) or {}  # transformers': second name -> first name
    return {name: value for name, value in gathered.items() if tied.get(name) not in gathered}
