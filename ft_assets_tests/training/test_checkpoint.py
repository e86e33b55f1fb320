from pathlib import Path

import pytest

from ft_assets.errors import IncompleteArtifact
from ft_assets.training.checkpoint import missing_from, opened, step_of
from ft_assets.training.checkpoint_store import LocalCheckpoints
from ft_assets_tests.training.kill_at_io import FILES, TRAINING, write_stand_in

NAMES = [*FILES, "trainer_state.json"]


@pytest.fixture
def store(tmp_path: Path) -> LocalCheckpoints:
    return LocalCheckpoints(tmp_path / "work", TRAINING)


def sealed(store: LocalCheckpoints, step: int = 10) -> Path:
    stage = store.stage(step)
    write_stand_in(stage, step)
    return store.seal(stage, step, trainer={"loss": 0.1}).path


def test_what_is_sealed_is_opened_with_all_that_was_written_down(store: LocalCheckpoints) -> None:
    path = sealed(store)
    found = opened(path, TRAINING)
    assert (found.step, found.path, found.trainer, found.best) == (10, path, {"loss": 0.1}, None)


@pytest.mark.parametrize("name", [*NAMES, "checkpoint.json", "manifest.json"])
def test_a_byte_that_changed_or_is_gone_anywhere_is_noticed(store: LocalCheckpoints, name: str) -> None:
    file = sealed(store) / name
    whole = file.read_bytes()
    for damaged in (b"", whole[:-1], whole + b"\n", bytes([whole[0] ^ 1]) + whole[1:], b"\0" * len(whole)):
        file.write_bytes(damaged)
        with pytest.raises(IncompleteArtifact, match="not used"):
            opened(file.parent, TRAINING)
    file.unlink()
    with pytest.raises(IncompleteArtifact):
        opened(file.parent, TRAINING)
    file.write_bytes(whole)
    assert opened(file.parent, TRAINING).step == 10


@pytest.mark.parametrize("manifest", [b"[]", b"{}", b"null", b"3", b'[{"path": 1}]', b"[[1]]", b"\xff", b"[" * 5000])
def test_a_manifest_that_is_none_is_no_crash(store: LocalCheckpoints, manifest: bytes) -> None:
    path = sealed(store)
    (path / "manifest.json").write_bytes(manifest)
    assert store.newest_valid() is None


def test_a_file_that_nobody_listed_makes_it_invalid(store: LocalCheckpoints) -> None:
    path = sealed(store)
    (path / "extra.bin").write_bytes(b"x")
    with pytest.raises(IncompleteArtifact, match=r"extra\.bin is not in the manifest"):
        opened(path, TRAINING)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_file_that_a_resume_needs_nothing_is_sealed(store: LocalCheckpoints, name: str) -> None:
    stage = store.stage(10)
    write_stand_in(stage, 10)
    (stage / name).unlink()
    with pytest.raises(IncompleteArtifact, match="step 10 lacks"):
        store.seal(stage, 10)
    assert store.steps() == []


def test_every_process_has_its_random_state() -> None:
    ranks = ["model.safetensors", "optimizer.bin", "scheduler.pt", "trainer_state.json", "rng_state_0.pth"]
    assert missing_from(ranks, processes=2) == ["rng_state_1.pth"]
    assert missing_from([*ranks, "rng_state_1.pth"], processes=2) == []
    sharded = ["pytorch_model_fsdp_0/a.distcp", "optimizer_0/a.distcp", *ranks[2:], "rng_state_1.pth"]
    assert missing_from(sharded, processes=2) == []


def test_a_checkpoint_of_another_training_or_step_is_not_taken(store: LocalCheckpoints) -> None:
    path = sealed(store)
    with pytest.raises(IncompleteArtifact, match="belongs to the training 777"):
        opened(path, "8" * 64)
    moved = path.rename(path.with_name("checkpoint-99"))
    with pytest.raises(IncompleteArtifact, match="holds the state of step 10"):
        opened(moved, TRAINING)


def test_only_names_of_checkpoints_are_steps() -> None:
    names = ["checkpoint-0", "checkpoint-20", "checkpoint-020", "checkpoint-", "checkpoint-2.tmp", ".checkpoint-2"]
    assert [step_of(name) for name in names] == [0, 20, None, None, None, None]
