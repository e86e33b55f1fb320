"""Supervised fine-tuning with TRL, on packed rows, with the loss on the answers only."""

from typing import TYPE_CHECKING, Any

from ft_assets.compute import compute_device
from ft_assets.training.answer_head import answer_head
from ft_assets.training.attention import attention_for
from ft_assets.training.checkpoint_callback import sealing
from ft_assets.training.stage import StageSetup
from ft_assets.training.trainer_arguments import shared_arguments

if TYPE_CHECKING:
    from trl import SFTTrainer


def sft_trainer(setup: StageSetup) -> "SFTTrainer":
    """A sealed SFTTrainer: `train()` resumes by itself and ends with the weights of the lowest validation loss."""
    from trl import SFTConfig, SFTTrainer

    class AnswersOnly(SFTTrainer):
        def train(self, *args: Any, **kwargs: Any) -> Any:
            with answer_head():
                return super().train(*args, **kwargs)

    setup.model.set_attn_implementation(attention_for(compute_device(), setup.recipe.max_length))
    arguments = SFTConfig(
        **shared_arguments(setup),
        # already tokenised and packed; the packing flag makes the collator restart positions
        dataset_kwargs={"skip_prepare_dataset": True},
        packing=True,
        packing_strategy="bfd",
        pad_to_multiple_of=64,  # few row lengths: a CPU prepares its kernels for each new one, a sixth of the time
        per_device_eval_batch_size=1,
    )
    trainer: SFTTrainer = sealing(AnswersOnly)(
        saver=setup.saver,
        model=setup.model,
        args=arguments,
        train_dataset=setup.train,
        eval_dataset=setup.validation,
        processing_class=setup.chat.tokenizer,
        peft_config=setup.peft_config,
        callbacks=list(setup.callbacks),
    )
    return trainer
