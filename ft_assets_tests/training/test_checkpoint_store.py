import logging
from pathlib import Path

import pytest

from ft_assets.errors import IncompleteArtifact, WriteConflict
from ft_assets.training.checkpoint import BEST_FOLDER
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets.training.checkpoint_store import LocalCheckpoints
from ft_assets_tests.training.kill_at_io import TRAINING, save, write_stand_in


@pytest.fixture
def store(tmp_path: Path) -> LocalCheckpoints:
    return LocalCheckpoints(tmp_path / "work", TRAINING)


@pytest.fixture
def saver(store: LocalCheckpoints) -> CheckpointSaver:
    return CheckpointSaver(store, keep_last=2)


def newest(store: LocalCheckpoints) -> int | None:
    found = store.newest_valid()
    return found.step if found else None


def test_a_training_that_saved_nothing_has_no_checkpoint(store: LocalCheckpoints) -> None:
    assert store.newest_valid() is None
    store.sweep()


def test_damaged_ones_are_skipped_named_and_left(
    store: LocalCheckpoints, saver: CheckpointSaver, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (9, 10, 11):
        save(saver, step, best_step=9)
    (store.path(11) / "optimizer.pt").write_bytes(b"torn")
    (store.path(12)).mkdir()
    with caplog.at_level(logging.WARNING):
        assert newest(store) == 10
    assert "checkpoint-11/optimizer.pt has 4 bytes" in caplog.text
    assert "checkpoint-12 has no whole manifest.json" in caplog.text
    assert store.steps() == [12, 11, 10, 9]


def test_a_step_is_compared_as_a_number(store: LocalCheckpoints, saver: CheckpointSaver) -> None:
    save(saver, 9, best_step=9)
    save(saver, 100, best_step=9)
    assert newest(store) == 100


def test_what_is_staged_is_never_looked_at(store: LocalCheckpoints, saver: CheckpointSaver) -> None:
    save(saver, 10)
    write_stand_in(store.stage(20), 20)
    assert newest(store) == 10
    store.sweep()
    assert [path.name for path in store.work_dir.iterdir()] == ["checkpoint-10"]


def test_a_damaged_one_gives_way_to_a_new_one_of_its_step(store: LocalCheckpoints, saver: CheckpointSaver) -> None:
    save(saver, 10)
    (store.path(10) / "optimizer.pt").write_bytes(b"torn")
    assert save(saver, 10)
    assert newest(store) == 10
    assert [path.name for path in store.work_dir.iterdir()] == ["checkpoint-10"]


def test_a_valid_one_is_never_replaced_by_something_else(store: LocalCheckpoints, saver: CheckpointSaver) -> None:
    save(saver, 10)
    stage = store.stage(10)
    write_stand_in(stage, 10)
    (stage / "optimizer.pt").write_bytes(b"of another run")
    with pytest.raises(WriteConflict, match="another run works at the same training"):
        store.seal(stage, 10, best_step=10)
    assert save(saver, 10)  # the same again is no conflict


def test_the_best_and_the_last_n_are_kept(store: LocalCheckpoints, saver: CheckpointSaver) -> None:
    for step, best_step in ((10, 10), (20, 20), (30, 20), (40, 20), (50, 20)):
        assert save(saver, step, best_step)
    assert store.steps() == [50, 40, 20]
    assert save(saver, 60, best_step=60)
    assert store.steps() == [60, 50]


def test_one_with_a_file_of_the_wrong_size_is_none_of_the_last_n(
    store: LocalCheckpoints, saver: CheckpointSaver
) -> None:
    for step in (10, 20):
        save(saver, step, best_step=step)
    (store.path(20) / "optimizer.pt").write_bytes(b"torn")
    save(saver, 30, best_step=30)
    assert store.steps() == [30, 10]


def test_the_best_is_found_by_its_digest_and_its_loss_is_an_error(
    store: LocalCheckpoints, saver: CheckpointSaver
) -> None:
    for step in (10, 20, 30, 40):
        save(saver, step, best_step=10)
    found = CheckpointSaver(store).resume()
    assert found is not None and found.best is not None
    assert (found.step, found.best.step) == (40, 10)
    assert store.best_path(found.best) == store.path(10)
    (store.path(10) / "adapter_model.safetensors").write_bytes(b"other weights")
    with pytest.raises(IncompleteArtifact, match=r"step 10, are lost.*Remove .*training starts over"):
        CheckpointSaver(store).resume()
    for file in store.path(10).iterdir():
        file.unlink()
    with pytest.raises(IncompleteArtifact, match="no checkpoint whose manifest is"):
        CheckpointSaver(store).resume()


def test_best_weights_that_no_checkpoint_had_travel_in_the_next_one(
    store: LocalCheckpoints, saver: CheckpointSaver
) -> None:
    def with_best(stage: Path) -> None:
        write_stand_in(stage, 30)
        (stage / BEST_FOLDER).mkdir(parents=True)
        (stage / BEST_FOLDER / "adapter_model.safetensors").write_bytes(b"of step 20")

    save(saver, 10, best_step=10)
    saver.save(30, 20, with_best)
    for step in (40, 50, 60):
        save(saver, step, best_step=20)
    assert store.steps() == [60, 50, 30]
    found = CheckpointSaver(store).resume()
    assert found is not None and found.best is not None
    assert store.best_path(found.best) == store.path(30) / BEST_FOLDER
