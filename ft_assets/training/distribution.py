"""How one training is spread over the processes that torchrun started; with one process nothing is spread.

The recipe means the same on any number of devices: each optimizer step reads the same rows, so that N devices take an
Nth of the accumulation each. Adapters train under DDP (every device holds the base), full fine-tuning under FSDP2
(weights, gradients and optimizer in N parts).
"""

import os
from typing import TYPE_CHECKING, Any

from ft_assets.compute import compute_device
from ft_assets.errors import BadConfiguration
from ft_assets.training.recipe import Recipe

if TYPE_CHECKING:
    from transformers import TrainerCallback

SHARDED = "ACCELERATE_USE_FSDP"  # accelerate's own name, set for the processes by several_devices.py


def processes() -> int:
    """Processes of this training: torchrun's WORLD_SIZE, otherwise 1."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def sharded() -> bool:
    """Whether the processes of this training hold a part of the model each (FSDP2)."""
    return processes() > 1 and os.environ.get(SHARDED) == "true"


def shards_by_default(recipe: Recipe) -> bool:
    """FSDP2 for full fine-tuning; an adapter's gradients are small, so DDP, whose base need not travel at each step."""
    return recipe.method == "full"


def accumulation_on(recipe: Recipe, devices: int) -> int:
    """Forwards per optimizer step on each of so many devices, for the same rows in a step as on one.

    Raises:
        BadConfiguration: the accumulation does not divide by the number of devices.
    """
    if recipe.gradient_accumulation_steps % devices:
        raise BadConfiguration(
            f"gradient_accumulation_steps is {recipe.gradient_accumulation_steps} and there are {devices} devices. "
            "Each step has to read the same rows on any number of devices, so the accumulation is divided by it. "
            f"Write a multiple of {devices} (a smaller per_device_train_batch_size makes room), or let this line use "
            "fewer devices."
        )
    return recipe.gradient_accumulation_steps // devices


def device_arguments(recipe: Recipe) -> dict[str, Any]:
    """The part of transformers.TrainingArguments that depends on the number of processes and on sharding.

    Raises:
        BadConfiguration: the accumulation does not divide by the number of processes.
    """
    arguments: dict[str, Any] = {"gradient_accumulation_steps": accumulation_on(recipe, processes())}
    if sharded():
        arguments["fsdp"] = True
        arguments["fsdp_config"] = {
            "version": 2,
            "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",  # one part per layer, which the model class names
            "state_dict_type": "FULL_STATE_DICT",  # one file that any number of devices reads, sealed like any other
            "reshard_after_forward": True,
        }
    elif processes() > 1:
        arguments["ddp_find_unused_parameters"] = False  # every trained weight is used; the search costs each step
    return arguments


def keep_sums_in_float32(arguments: Any) -> None:
    """Under FSDP2 with bfloat16: layers compute in it, while gradients are added up and losses given in float32.

    accelerate's own policy rounds both to bfloat16. A validation loss of 7 then moves in steps of 0.03, and early
    stopping and the choice of a checkpoint read noise. `arguments` are transformers.TrainingArguments.
    """
    if getattr(arguments, "fsdp_plugin_args", None) and arguments.bf16:
        from torch import bfloat16, float32
        from torch.distributed.fsdp import MixedPrecisionPolicy

        policy = MixedPrecisionPolicy(param_dtype=bfloat16, reduce_dtype=float32, output_dtype=float32)
        arguments.fsdp_plugin_args["mixed_precision_policy"] = policy


def shard_on_a_cpu_too() -> None:
    """Lets accelerate shard between processes on a CPU, so that FSDP2 can be tested without a GPU.

    accelerate (1.15) takes FSDP for accelerators only, and silently trains with DDP on a CPU; torch itself shards there
    over gloo. So accelerate is told that the processes are those of GPUs, when it asks, and not where tensors lie.
    """
    if compute_device() != "cpu" or os.environ.get(SHARDED) != "true":
        return
    from accelerate.state import AcceleratorState, PartialState  # type: ignore[import-untyped]
    from accelerate.utils import DistributedType  # type: ignore[import-untyped]

    asked = AcceleratorState.__init__

    def told(self: Any, *args: Any, **kwargs: Any) -> None:
        if PartialState._shared_state.get("distributed_type") == DistributedType.MULTI_CPU:
            PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
        asked(self, *args, **kwargs)

    AcceleratorState.__init__ = told


def sharded_as_asked() -> "TrainerCallback":
    """A callback that stops a run which should be sharded and is not, before its first step.

    Raises (in training):
        BadConfiguration: accelerate ignored FSDP, so that each device would hold the whole model.
    """
    from torch.distributed.fsdp import FSDPModule
    from transformers import TrainerCallback

    class Sharded(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if os.environ.get(SHARDED) == "true" and not isinstance(kwargs["model"], FSDPModule):
                raise BadConfiguration(
                    "FSDP2 was asked for, and the model was not sharded. This accelerate does not shard on this "
                    "device. Train with DDP (fsdp: false), or use the versions of constraints.txt."
                )

    return Sharded()
