"""The arguments that the trainers of all objectives share, from the recipe and the intervals of a stage."""

from typing import TYPE_CHECKING, Any

from ft_assets.compute import compute_device, fastest_dtype
from ft_assets.errors import BadConfiguration
from ft_assets.training.distribution import device_arguments
from ft_assets.training.recipe import Recipe

if TYPE_CHECKING:
    from ft_assets.training.stage import StageSetup

OF_BITSANDBYTES = ("adamw_bnb_8bit", "paged_adamw_8bit")


def shared_arguments(setup: "StageSetup") -> dict[str, Any]:
    """Keyword arguments for SFTConfig, DPOConfig and KTOConfig, which all are transformers.TrainingArguments."""
    recipe, intervals = setup.recipe, setup.intervals
    return {
        "output_dir": str(setup.work_dir),
        "seed": recipe.seed,
        # rows and batches
        "max_length": recipe.max_length,
        "per_device_train_batch_size": recipe.per_device_train_batch_size,
        **device_arguments(recipe),  # the accumulation, and how the weights are spread
        "dataloader_pin_memory": False,
        # optimisation
        "num_train_epochs": recipe.num_train_epochs,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": recipe.lr_scheduler_type,
        "warmup_steps": intervals.warmup_steps,
        "weight_decay": recipe.weight_decay,
        "optim": recipe.optim,
        "max_grad_norm": recipe.max_grad_norm,
        # the machine; checkpointing trades time for memory that short chats do not need
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "bf16": fastest_dtype().itemsize == 2,  # products only; weights that are trained stay float32
        "use_cpu": compute_device() == "cpu",
        # looking, keeping the best, stopping
        "eval_strategy": "steps",
        "eval_steps": intervals.eval_steps,
        "eval_on_start": True,
        "save_strategy": "steps",
        "save_steps": intervals.save_steps,
        "restore_callback_states_from_checkpoint": True,  # early stopping goes on counting; the saver prunes
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
        "logging_steps": intervals.logging_steps,
        "logging_nan_inf_filter": False,  # the default replaces a NaN by the running mean and trains on
        "report_to": "none",
        "disable_tqdm": True,
    }


def refuse_unusable_optimizer(recipe: Recipe) -> None:
    """Stops an optimizer that this machine lacks, before anything is loaded.

    Raises:
        BadConfiguration: bitsandbytes is not installed, or its paged optimizer is asked for without a GPU, where it
            would silently be the one without pages.
    """
    from transformers.utils import is_bitsandbytes_available

    if recipe.optim in OF_BITSANDBYTES and not is_bitsandbytes_available():
        raise BadConfiguration(
            f"optim {recipe.optim} is of bitsandbytes, which is not installed here. Install it, or write "
            "adamw_torch_fused."
        )
    if recipe.optim == "paged_adamw_8bit" and compute_device() == "cpu":
        raise BadConfiguration(
            "optim paged_adamw_8bit moves its state between the memory of a GPU and main memory, and this machine has "
            "no GPU, so there is nothing to page. Write adamw_bnb_8bit, which also keeps its state in eight bits."
        )
