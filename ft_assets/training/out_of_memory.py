"""Too little memory for a stage: the same training in smaller pieces, step by step, and then a clear end.

First the micro-batch is halved and the accumulation doubled. Each optimizer step reads the same rows, and their number
is the same, so a lowered attempt goes on from the checkpoints there are: transformers counts optimizer steps, and skips
rows in their order from the seed. Losses are means over the rows of a step (over its tokens under SFT); what changes is
rounding, the draw of dropout, and under DPO and KTO the weights inside the last step of an epoch, where it is not full.
So a training that met this does not end with the bytes of one that did not, and its provenance says so.

KTO with its KL term is never halved: the term is a mean over the answers of a forward, so the micro-batch is part of
what is learned, and validation losses before and after could not be compared.

At a micro-batch of 1 gradient checkpointing goes on: the same numbers, a third more time. After that nothing is left
that would not change the task. Rows are never cut; the error names the `max_length` that would fit.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ft_assets.errors import TooLittleMemory
from ft_assets.memory_errors import forget, free_memory, is_out_of_memory
from ft_assets.training.distribution import processes
from ft_assets.training.recipe import Recipe

log = logging.getLogger(__name__)

Result = TypeVar("Result")
# How far the arithmetic of memory.py may be from a measured peak.
MAY_ERR = {"cpu": 1.3, "cuda": 1.15}
PROCESS_STATUS = Path("/proc/self/status")


def lowered(recipe: Recipe) -> tuple[Recipe, str] | None:
    """The same stage with less memory, and a sentence for the decision log; None when nothing is left to lower.

    Rows per optimizer step stay what they are: the new micro-batch is the largest divisor of them up to half the old.
    """
    rows, micro_batch = recipe.effective_batch, recipe.per_device_train_batch_size
    if micro_batch > 1 and recipe.loss_type != "kto":
        smaller = next(number for number in range(micro_batch // 2, 0, -1) if rows % number == 0)
        changed = {"per_device_train_batch_size": smaller, "gradient_accumulation_steps": rows // smaller}
        told = (
            f"per_device_train_batch_size {micro_batch} became {smaller} and gradient_accumulation_steps "
            f"{recipe.gradient_accumulation_steps} became {rows // smaller}; each step reads the same {rows} rows"
        )
    elif not recipe.gradient_checkpointing:
        changed = {"gradient_checkpointing": True}
        told = "gradient_checkpointing went on; activations are computed twice and fewer of them are kept"
    else:
        return None
    return recipe.model_copy(update=changed), f"{recipe.objective} ran out of memory: {told}."


def lowered_by(recipe: Recipe, times: int) -> tuple[Recipe, list[str]]:
    """The stage as it is after `times` lowerings, and their sentences: what earlier attempts died of before they spoke.

    Raises:
        TooLittleMemory: nothing was left to lower before that.
    """
    told: list[str] = []
    for _ in range(times):
        smaller = lowered(recipe)
        if smaller is None:
            raise TooLittleMemory(
                f"out_of_memory: {recipe.objective} was killed for want of memory {times} times, and has no smaller "
                f"form than per_device_train_batch_size {recipe.per_device_train_batch_size} with "
                "gradient_checkpointing. Raise compute.memory of the line, or use method qlora, a lower r, a shorter "
                "max_length or a smaller base model."
            )
        recipe, sentence = smaller
        told.append(sentence)
    return recipe, told


def with_less_memory(
    recipe: Recipe,
    attempt: Callable[[Recipe], Result],
    fitting_length: Callable[[Recipe], int | None],
    on_alert: Callable[[str], object] = log.error,
) -> tuple[Result, Recipe, list[str]]:
    """What `attempt` gives for the stage, or for the first lowered one that fits; that recipe; a sentence per lowering.

    `attempt` has to make everything anew from the recipe it gets: all that a failed one held is let go before the next.
    `fitting_length` is asked for the longest `max_length` that would fit, when nothing else is left.

    Raises:
        TooLittleMemory: nothing fits, or several processes train together, which have to be lowered alike, by hand.
            `on_alert` got the message once.
    """
    told: list[str] = []
    while True:
        found, error = _tried(attempt, recipe)
        if error is None:
            return found[0], recipe, told
        free_memory()
        smaller = lowered(recipe)
        if smaller is None or processes() > 1:
            message = _message(recipe, error, smaller, fitting_length)
            on_alert(message)
            raise TooLittleMemory(message)
        recipe, sentence = smaller
        told.append(sentence)
        log.warning("%s It said: %s", sentence, error)


def fitting_length(base_dir: Path, recipe: Recipe) -> int | None:
    """The longest `max_length` below the recipe's that the memory left now would hold; None where nobody can tell.

    An estimate, made once the failed attempt is let go. All but the weights is taken to be `MAY_ERR` times what the
    arithmetic of memory.py says; where the failed form would fit even so, its growing part is raised until it misses.
    """
    import json
    from dataclasses import replace

    from ft_assets.compute import compute_device, fastest_dtype
    from ft_assets.errors import UnknownShape
    from ft_assets.training.memory import RUNTIME, DeviceType, MemoryQuestion, estimate_memory, largest_max_length
    from ft_assets.training.model_shape import model_shape

    left = memory_left()
    try:
        shape = model_shape(json.loads((base_dir / "config.json").read_text()))
    except UnknownShape:
        return None
    if left is None:
        return None
    device: DeviceType = "cpu" if compute_device() == "cpu" else "cuda"
    question = MemoryQuestion(shape, recipe, device, half=fastest_dtype().itemsize == 2)
    estimate, may_err = estimate_memory(question), MAY_ERR[device]
    fixed = estimate.total - estimate.growing
    growth = max(may_err, (may_err * left - fixed) / estimate.growing)
    careful = replace(question, growth=growth, offset=round((may_err - 1) * (fixed - estimate.weights)))
    return largest_max_length(careful, left + RUNTIME[device])  # what was there before any tensor is there already


def memory_left() -> int | None:
    """Bytes that this process can still take on its device: of a GPU, or of main memory within its limits."""
    import resource

    import torch

    from ft_assets.compute import compute_device
    from ft_assets.training.training_device import host_memory

    if compute_device() == "cuda":
        free, _ = torch.cuda.mem_get_info()
        return int(free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated())
    ends = {
        "VmRSS": host_memory(),
        "VmSize": resource.getrlimit(resource.RLIMIT_AS)[0],
        "VmData": resource.getrlimit(resource.RLIMIT_DATA)[0],
    }
    taken = _taken()
    left = [end - taken[of] for of, end in ends.items() if of in taken and end not in (None, resource.RLIM_INFINITY)]
    return max(0, min(left)) if left else None


def _taken() -> dict[str, int]:
    """What Linux says that this process holds, by its own names, in bytes; nothing on other systems."""
    if not PROCESS_STATUS.exists():
        return {}
    pairs = (line.split(":", 1) for line in PROCESS_STATUS.read_text().splitlines())
    return {name: int(value.split()[0]) * 1024 for name, value in pairs if value.endswith("kB")}


def _tried(attempt: Callable[[Recipe], Result], recipe: Recipe) -> tuple[list[Result], str | None]:
    """The result, or what was said when memory ran out. The error itself does not leave: its frames hold tensors."""
    try:
        return [attempt(recipe)], None
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        words = (str(error) or type(error).__name__).splitlines()[0]
        forget(error)
        return [], words


def _message(recipe: Recipe, said: str, smaller: Any, fitting: Callable[[Recipe], int | None]) -> str:
    if smaller is not None:
        return (
            f"out_of_memory: {recipe.objective} ran out of memory ({said}) while {processes()} processes trained "
            "together, which cannot be lowered one by one. No adapter was saved. Write a smaller "
            "per_device_train_batch_size with a larger gradient_accumulation_steps, or gradient_checkpointing: true."
        )
    length = fitting(recipe)
    advice = (
        f"By estimate max_length {length} would fit, if every example does (longer ones are refused, never cut)"
        if length
        else "By estimate no shorter max_length would fit, or nobody can tell"
    )
    return (
        f"out_of_memory: {recipe.objective} ran out of memory ({said}) at per_device_train_batch_size "
        f"{recipe.per_device_train_batch_size} with gradient_checkpointing, at max_length {recipe.max_length}. No "
        f"adapter was saved and no row was cut. {advice}. Or use a device with more memory, method qlora, a lower r, "
        "or a smaller base model."
    )
