"""Kahneman-Tversky optimisation with TRL, from answers that were liked or not: Ethayarajh et al. 2024."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ft_assets.chat import Chat
from ft_assets.system_prompts import SystemPrompt
from ft_assets.training.preference_tokens import judged_tokens
from ft_assets.training.preference_trainer import preference_trainer
from ft_assets.training.recipe import Recipe
from ft_assets.training.stage import StageSetup
from ft_assets.training.trainer_arguments import shared_arguments

if TYPE_CHECKING:
    from datasets import Dataset
    from trl import KTOTrainer

    from ft_assets.training.stage_data import SideRows


def kto_data(rows: "SideRows", side: str, recipe: Recipe, chat: Chat, system_prompt: SystemPrompt) -> "Dataset":
    """One row of prompt_ids, completion_ids, label per judged answer, and KL_completion_ids under loss_type kto.

    The KL term asks how likely the answers of a forward are after each other's prompts. So the rows of a forward are
    fixed here, in an order from the seed, and TRL reads them in that order in every epoch: nothing is drawn while the
    training runs, and a resumed run meets the same rows beside each other.

    Raises:
        BadInput: no rows, one longer than `max_length`, one without an answer, or all with the same thumb.
    """
    import random

    from datasets import Dataset

    tokens = judged_tokens(rows.judged, side, chat, system_prompt, recipe.max_length)
    random.Random(recipe.seed).shuffle(tokens)
    return Dataset.from_list(
        tokens if recipe.loss_type != "kto" else _with_mismatched(tokens, recipe.per_device_train_batch_size)
    )


def kto_trainer(setup: StageSetup) -> "KTOTrainer":
    """A sealed KTOTrainer: `train()` resumes by itself and ends with the weights of the lowest validation loss.

    Per liked answer the loss is 1 - sigmoid(beta x (gain - KL)), per other 1 - sigmoid(beta x (KL - gain)); gain is its
    log-probability less the reference's, KL the mean gain of the forward's answers after each other's prompts, 0 at
    least. `trainer.reference` says what answered as the reference.

    `train()` raises WrongReference where the policy does not start at its reference.
    """
    from trl import KTOConfig, KTOTrainer

    recipe = setup.recipe
    estimates_kl = recipe.loss_type == "kto"
    arguments = KTOConfig(
        **shared_arguments(setup),
        per_device_eval_batch_size=recipe.per_device_train_batch_size,  # the rows of a forward are fixed
        train_sampling_strategy="sequential" if estimates_kl else "random",
        beta=recipe.beta,
        loss_type=recipe.loss_type,
        desirable_weight=recipe.desirable_weight,
        undesirable_weight=recipe.undesirable_weight,
        precompute_ref_log_probs=recipe.precompute_ref_log_probs,
        disable_dropout=recipe.disable_dropout,
    )
    columns = ("ref_logps", "ref_KL_logps") if estimates_kl else ("ref_logps",)
    trainer: KTOTrainer = preference_trainer(_with_own_kl(KTOTrainer), setup, arguments, columns)
    return trainer


def _with_own_kl(trainer_class: type) -> Any:
    """A subclass of KTOTrainer whose KL term is that of its own forward, on any number of devices.

    TRL (1.16) takes the mean over all processes before it clamps at 0. The same recipe would then train something else
    on two devices than on one, by 2 % of the loss at the tiny model.
    """

    class KlOfTheForward(trainer_class):
        def __init__(self, **kwargs: Any):
            super().__init__(**kwargs)
            self._gathers_kl_next = False
            self.accelerator.gather_for_metrics = self._without_kl(self.accelerator.gather_for_metrics)

        def _compute_kl_logps(self, *args: Any) -> Any:
            self._gathers_kl_next = self.calculate_KL
            return super()._compute_kl_logps(*args)

        def _without_kl(self, gather: Callable[..., Any]) -> Callable[..., Any]:
            def gather_others(given: Any, *args: Any, **kwargs: Any) -> Any:
                if not self._gathers_kl_next:
                    return gather(given, *args, **kwargs)
                self._gathers_kl_next = False
                return given

            return gather_others

    return KlOfTheForward


def _with_mismatched(rows: list[dict[str, Any]], batch: int) -> list[dict[str, Any]]:
    """Each row with the answer of the row before it in its forward; the first one's is the forward's last.

    A row that would be alone in the last forward takes the answer of the row before it: its own would make KL equal to
    its gain, and it would teach nothing.
    """
    paired = []
    for start in range(0, len(rows), batch):
        forward = rows[start : start + batch]
        before = forward[-1] if len(forward) > 1 else rows[start - 1]
        for row in forward:
            paired.append({**row, "KL_completion_ids": before["completion_ids"]})
            before = row
    return paired
