"""What a stage is measured against: kept once, never another's, and looked at before the first step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ft_assets.errors import WrongReference
from ft_assets.training.preference_trainer import refuse_wrong_reference
from ft_assets.training.reference import refuse_another_adapter
from ft_assets_tests.training.preference_stages import random_adapter, trainer_of
from ft_assets_tests.training.samples import needs_base, preference_recipe

pytestmark = [pytest.mark.torch, needs_base]


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two adapters that a first stage could have left."""
    root = tmp_path_factory.mktemp("adapters")
    return random_adapter(root / "one", seed=1), random_adapter(root / "other", seed=2)


def stage(work_dir: Path, adapter: Path | None, **knobs: Any) -> Any:
    return trainer_of(preference_recipe("dpo", **knobs), work_dir, adapter, rows=8)


def kept_in(work_dir: Path) -> dict[str, tuple[int, bytes]]:
    """Each kept file by name: which write made it, and its bytes."""
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in work_dir.glob("reference-*")}


def test_what_the_reference_answered_is_kept_and_asked_again_only_where_the_file_is_torn(
    tmp_path: Path, adapters: tuple[Path, Path]
) -> None:
    first = stage(tmp_path, adapters[0])
    kept = kept_in(tmp_path)
    assert len(kept) == 2  # a file for each side
    again = stage(tmp_path, adapters[0])
    assert kept_in(tmp_path) == kept
    assert again.train_dataset["ref_chosen_logps"] == first.train_dataset["ref_chosen_logps"]
    torn, changed = (tmp_path / name for name in kept)
    torn.write_bytes(torn.read_bytes()[:-8])
    changed.write_bytes(changed.read_bytes()[:-8] + b"otherone")
    stage(tmp_path, adapters[0])
    assert {name: text for name, (_, text) in kept_in(tmp_path).items()} == {
        name: text for name, (_, text) in kept.items()
    }


def test_another_reference_or_a_knob_that_changes_its_answer_never_reads_that_file(
    tmp_path: Path, adapters: tuple[Path, Path]
) -> None:
    files = []
    for adapter, knobs in ((adapters[0], {}), (adapters[1], {}), (None, {}), (adapters[0], {"ld_alpha": 0.5})):
        before = set(kept_in(tmp_path))
        trainer = stage(tmp_path, adapter, **knobs)
        refuse_wrong_reference(trainer)
        files.append(set(kept_in(tmp_path)) - before)
    assert [len(new) for new in files] == [2, 2, 2, 2]


@pytest.mark.parametrize("precomputed", [True, False])
def test_dropout_in_the_policy_leaves_the_reference_alone(
    tmp_path: Path, adapters: tuple[Path, Path], precomputed: bool
) -> None:
    knobs = {"disable_dropout": False, "lora_dropout": 0.1, "precompute_ref_log_probs": precomputed}
    refuse_wrong_reference(stage(tmp_path / "after_sft", adapters[0], **knobs))
    refuse_wrong_reference(stage(tmp_path / "new", None, **knobs))


def loses_it(trainer: Any) -> None:
    trainer.model.delete_adapter("ref")


def takes_another_one(trainer: Any) -> None:
    import torch

    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            if ".ref." in name:
                parameter.mul_(1.01)


def starts_elsewhere(trainer: Any) -> None:
    import torch

    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            if ".default." in name:
                parameter.mul_(1.01)


def reads_what_another_one_answered(trainer: Any) -> None:
    trainer.train_dataset = trainer.train_dataset.map(lambda row: {"ref_chosen_logps": row["ref_chosen_logps"] - 1})


def answers_under_dropout(trainer: Any) -> None:
    import torch

    for module in trainer.model.modules():
        if hasattr(module, "lora_dropout"):
            module.lora_dropout["ref"] = torch.nn.Dropout(0.1)


@pytest.mark.parametrize(
    ("fault", "precomputed", "told"),
    [
        (loses_it, True, "has no adapter 'ref' any more"),
        (takes_another_one, False, "must be one and the same"),
        (starts_elsewhere, True, "must be one and the same"),
        (reads_what_another_one_answered, True, r"first margin is 0\.1\d\d nats"),
        (answers_under_dropout, False, "asked while dropout is on"),
    ],
)
def test_a_wrong_reference_is_refused_before_the_first_step(
    tmp_path: Path, adapters: tuple[Path, Path], fault: Callable[[Any], None], precomputed: bool, told: str
) -> None:
    trainer = stage(tmp_path, adapters[0], precompute_ref_log_probs=precomputed, disable_dropout=False)
    fault(trainer)
    with pytest.raises(WrongReference, match=told):
        trainer.train()
    assert trainer.state.global_step == 0
    assert not list(tmp_path.glob("checkpoint-*"))


def test_a_new_adapter_that_is_not_zero_is_no_start_from_the_base(tmp_path: Path) -> None:
    import torch

    trainer = stage(tmp_path, None)
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.05)
    with pytest.raises(WrongReference, match=r"first margin is -?\d+\.\d+ nats"):
        trainer.train()


def test_the_adapter_that_the_stage_before_left_is_the_only_reference(
    tmp_path: Path, adapters: tuple[Path, Path]
) -> None:
    reference = stage(tmp_path, adapters[0]).reference
    refuse_another_adapter(reference, adapters[0])
    with pytest.raises(WrongReference, match="the stage before left the adapter"):
        refuse_another_adapter(reference, adapters[1])
