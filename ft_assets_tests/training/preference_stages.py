"""A stage of preferences on the tiny base, set up by hand, for the tests that look into its trainer."""

from pathlib import Path
from typing import Any

from ft_assets.chat import Chat, load_model
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets.training.checkpoint_store import LocalCheckpoints
from ft_assets.training.dpo import dpo_data, dpo_trainer
from ft_assets.training.kto import kto_data, kto_trainer
from ft_assets.training.recipe import Recipe
from ft_assets.training.stage import StageSetup
from ft_assets.training.stage_data import SideRows
from ft_assets.training.trainable_model import adapter_config
from ft_assets_tests.training.samples import BASE, judged_answers, preference_pairs

MADE_BY = {"dpo": (dpo_data, dpo_trainer), "kto": (kto_data, kto_trainer)}


def trainer_of(recipe: Recipe, work_dir: Path, adapter: Path | None = None, rows: int = 24, **knobs: Any) -> Any:
    """The trainer of a stage: on a new adapter, on the trained one in `adapter`, or on the whole model under full."""
    tokenise, make = MADE_BY[recipe.objective]
    chat, model = Chat(BASE), load_model(BASE)
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter), is_trainable=True)
    train, validation = (
        tokenise(SideRows((), preference_pairs(count, seed), judged_answers(count, seed)), side, recipe, chat, None)
        for count, seed, side in ((rows, 1, "train"), (8, 2, "validation"))
    )
    setup = StageSetup(
        recipe=recipe,
        intervals=recipe.intervals(recipe.steps(len(train))),
        chat=chat,
        model=model,
        peft_config=adapter_config(recipe, model) if adapter is None else None,
        train=train,
        validation=validation,
        work_dir=work_dir,
        saver=CheckpointSaver(LocalCheckpoints(work_dir, "7" * 64)),
        callbacks=[],
        **knobs,
    )
    return make(setup)


def random_adapter(directory: Path, seed: int) -> Path:
    """An adapter that changes what the base says: both of its matrices are random."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    model = get_peft_model(load_model(BASE), LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    model.save_pretrained(str(directory))
    return directory
