import multiprocessing
from pathlib import Path

import pytest

from ft_assets.errors import LeaseLost
from ft_assets.state_leases import Lease, Leases

LINE = "qa-engineer"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state.db"


def epoch_taken(url: str, holder: str) -> int:
    return Leases(url).take(LINE, holder).epoch


def test_each_taker_gets_the_next_epoch_of_its_own_specialization(url: str) -> None:
    leases = Leases(url)
    assert [leases.take(LINE, "run a").epoch, leases.take(LINE, "run b").epoch] == [1, 2]
    assert leases.take("devops-engineer", "run c") == Lease(url, "devops-engineer", 1, "run c")


def test_an_older_epoch_is_refused_and_told_of_the_newer(url: str) -> None:
    old = Leases(url).take(LINE, "run a, attempt 1")
    old.require()
    new = Leases(url).take(LINE, "run a, attempt 2")
    new.require()
    with pytest.raises(LeaseLost, match=r"lease of epoch 1, and the newest is epoch 2, of run a, attempt 2"):
        old.require()


def test_a_lease_that_nobody_took_is_refused(url: str) -> None:
    with pytest.raises(LeaseLost, match="nobody's"):
        Leases(url).require(LINE, 1)


def test_the_url_of_a_lease_is_not_printed(url: str) -> None:
    assert "sqlite" not in repr(Leases(url).take(LINE, "run a"))


@pytest.mark.slow
def test_processes_that_take_at_once_get_different_epochs(url: str) -> None:
    Leases(url).take(LINE, "first")
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        epochs = pool.starmap(epoch_taken, [(url, f"process {n}") for n in range(8)])
    assert sorted(epochs) == list(range(2, 10))
