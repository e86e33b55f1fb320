"""Direct preference optimisation with TRL: Rafailov et al. 2023, and the losses that came after it."""

from typing import TYPE_CHECKING

from ft_assets.chat import Chat
from ft_assets.system_prompts import SystemPrompt
from ft_assets.training.preference_tokens import pair_tokens
from ft_assets.training.preference_trainer import preference_trainer
from ft_assets.training.recipe import Recipe
from ft_assets.training.stage import StageSetup
from ft_assets.training.trainer_arguments import shared_arguments

if TYPE_CHECKING:
    from datasets import Dataset
    from trl import DPOTrainer

    from ft_assets.training.stage_data import SideRows

KEPT_COLUMNS = ("ref_chosen_logps", "ref_rejected_logps")


def dpo_data(rows: "SideRows", side: str, recipe: Recipe, chat: Chat, system_prompt: SystemPrompt) -> "Dataset":
    """One row of prompt_ids, chosen_ids, rejected_ids per pair; `side` is named in errors.

    Raises:
        BadInput: no pairs, one longer than `max_length`, one without an answer, or one that prefers nothing.
    """
    from datasets import Dataset

    return Dataset.from_list(pair_tokens(rows.pairs, side, chat, system_prompt, recipe.max_length))


def dpo_trainer(setup: StageSetup) -> "DPOTrainer":
    """A sealed DPOTrainer: `train()` resumes by itself and ends with the weights of the lowest validation loss.

    Per pair the loss is -log sigmoid(beta x margin), margin the gain of the chosen answer's log-probability over the
    reference less that of the rejected one. `trainer.reference` says what answered as the reference.

    `train()` raises WrongReference where the policy does not start at its reference.
    """
    from trl import DPOConfig, DPOTrainer

    recipe = setup.recipe
    arguments = DPOConfig(
        **shared_arguments(setup),
        per_device_eval_batch_size=recipe.per_device_train_batch_size,
        beta=recipe.beta,
        loss_type=[recipe.loss_type],
        label_smoothing=recipe.label_smoothing,
        ld_alpha=recipe.ld_alpha,
        precompute_ref_log_probs=recipe.precompute_ref_log_probs,
        disable_dropout=recipe.disable_dropout,
    )
    trainer: DPOTrainer = preference_trainer(DPOTrainer, setup, arguments, KEPT_COLUMNS)
    return trainer
