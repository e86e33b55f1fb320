import errno
import os
import signal
import threading
from pathlib import Path

import pytest

from ft_assets.training.checkpoint_saver import CheckpointSaver, Termination, TrainingInterrupted
from ft_assets.training.checkpoint_store import LocalCheckpoints
from ft_assets_tests.training.kill_at_io import TRAINING, save, write_stand_in


@pytest.fixture
def store(tmp_path: Path) -> LocalCheckpoints:
    return LocalCheckpoints(tmp_path / "work", TRAINING)


def disk_is_full(stage: Path) -> None:
    write_stand_in(stage, 20)
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_save_that_fails_leaves_the_earlier_ones_and_no_files(store: LocalCheckpoints) -> None:
    saver = CheckpointSaver(store, keep_last=1)
    save(saver, 10, best_step=10)
    assert saver.save(20, 20, disk_is_full) is None
    assert [path.name for path in store.work_dir.iterdir()] == ["checkpoint-10"]
    assert saver.has_best(10) and not saver.has_best(20)
    assert save(saver, 30, best_step=10)
    assert store.steps() == [30, 10]


def test_failures_in_a_row_raise_one_alert(store: LocalCheckpoints) -> None:
    alerts: list[str] = []
    saver = CheckpointSaver(store, alert_after=2, on_alert=alerts.append)
    for step in (10, 20, 30):
        saver.save(step, None, disk_is_full)
    assert len(alerts) == 1
    assert "Checkpoint 20 was not saved" in alerts[0] and "No space left on device" in alerts[0]
    assert "2 in a row" in alerts[0]
    save(saver, 40)
    assert saver.failures_in_a_row == 0
    for step in (50, 60):
        saver.save(step, None, disk_is_full)
    assert len(alerts) == 2


def test_an_error_in_our_own_code_is_not_taken_for_a_disk(store: LocalCheckpoints) -> None:
    with pytest.raises(ZeroDivisionError):
        CheckpointSaver(store).save(10, None, lambda stage: 1 / 0)


def test_the_last_save_is_measured(store: LocalCheckpoints) -> None:
    times = iter([100.0, 107.5])
    saver = CheckpointSaver(store, clock=lambda: next(times))
    save(saver, 10)
    assert saver.last_save_seconds == 7.5


def test_a_save_fits_while_the_grace_period_has_room_for_it() -> None:
    now = [0.0]
    termination = Termination(30, clock=lambda: now[0])
    with termination.heard():
        os.kill(os.getpid(), signal.SIGTERM)
    assert termination.asked
    now[0] = 10.0
    assert termination.fits(16) and not termination.fits(16.1)  # 20 s are left, a quarter of the save is spare
    now[0] = 31.0
    assert not termination.fits(0)


def test_sigterm_is_passed_on_once_training_has_left() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        termination = Termination(30)
        with termination.heard():
            os.kill(os.getpid(), signal.SIGTERM)
            assert heard == []
            with pytest.raises(TrainingInterrupted, match="step 20 is saved"):
                termination.leave("step 20 is saved")
        assert heard == [signal.SIGTERM]
        os.kill(os.getpid(), signal.SIGTERM)
        assert len(heard) == 2
    finally:
        signal.signal(signal.SIGTERM, before)


def test_outside_of_the_main_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    entered = []

    def listen() -> None:
        with Termination(30).heard():
            entered.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert entered == [before]
