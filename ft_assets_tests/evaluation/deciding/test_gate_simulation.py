"""A small grid: enough to notice a gate that lets equal or worse models through. The whole one, with the bars on its
99 % bounds, is `python benchmarks/gate.py`; FT_ASSETS_GATE_RUNS asks for more runs here."""

import os

import numpy as np
import pytest

from ft_assets.evaluation.deciding.gate_simulation import (
    BETTER,
    EQUAL,
    LEAST_BETTER,
    MOST_EQUAL,
    MOST_WORSE,
    WORSE,
    Cell,
    Rates,
    bar_missed,
    drawn_pairs,
    grid,
    simulate,
    upper_bound,
)

RUNS = int(os.environ.get("FT_ASSETS_GATE_RUNS", "40"))
SEED = 7


@pytest.mark.parametrize(
    ("cell", "most"),
    [
        (Cell(50, 0.5, 1, EQUAL), MOST_EQUAL),
        (Cell(100, 0.3, 10, EQUAL), MOST_EQUAL),
        (Cell(50, 0.4, 3, WORSE), MOST_WORSE),
        (Cell(300, 0.5, 1, WORSE), MOST_WORSE),
    ],
)
def test_models_that_are_no_better_are_hardly_ever_promoted(cell: Cell, most: float):
    rates = simulate(cell, RUNS, SEED)
    assert rates.lower <= most, f"promoted {rates.promoted} of {RUNS}"
    assert rates.promoted <= 2 + 2 * most * RUNS
    assert rates.naive > 0.1 * RUNS  # what `>=` does to the same models


@pytest.mark.parametrize("cell", [Cell(300, 0.2, 1, BETTER), Cell(300, 0.1, 3, BETTER)])
def test_ten_points_are_seen_at_300_clusters(cell: Cell):
    rates = simulate(cell, RUNS // 2, SEED)
    assert 1 - upper_bound(rates.held + rates.rejected, rates.runs) <= LEAST_BETTER or rates.promoted == rates.runs
    assert rates.promoted_rate >= 0.85


def test_thirty_clusters_are_never_enough():
    rates = simulate(Cell(30, 0.2, 1, BETTER), 10, SEED)
    assert (rates.promoted, rates.held) == (0, 10)


def test_the_same_seed_gives_the_same_rates_and_another_seed_others():
    cell = Cell(100, 0.3, 3, BETTER)
    assert simulate(cell, 12, SEED) == simulate(cell, 12, SEED)
    assert simulate(cell, 12, SEED) != simulate(cell, 12, SEED + 1)


def test_the_drawn_models_have_the_quality_that_was_asked_for():
    pairs = drawn_pairs(Cell(20_000, 0.3, 3, BETTER), np.random.default_rng(1))
    differences = np.asarray(pairs.candidate) - np.asarray(pairs.other)
    assert differences.mean() == pytest.approx(0.1, abs=0.01)
    assert np.abs(differences).mean() == pytest.approx(0.3, abs=0.01)
    in_cluster = differences.reshape(-1, 3)
    assert np.corrcoef(in_cluster[:, 0], in_cluster[:, 1])[0, 1] == pytest.approx(0.49, abs=0.03)  # 0.7 squared


def test_a_missed_bar_is_named_by_its_bound_and_not_by_its_rate():
    def rates(promoted: int):
        return Rates(2_000, promoted, 0, 2_000 - promoted, 1_000)

    assert bar_missed(Cell(50, 0.5, 1, EQUAL), rates(77)) is None
    assert "up to 5." in (bar_missed(Cell(50, 0.5, 1, EQUAL), rates(79)) or "")
    assert bar_missed(Cell(50, 0.5, 1, WORSE), rates(9)) is None
    assert bar_missed(Cell(50, 0.5, 1, WORSE), rates(12)) is not None
    assert bar_missed(Cell(300, 0.2, 1, BETTER), rates(1_840)) is None
    assert bar_missed(Cell(300, 0.2, 1, BETTER), rates(1_820)) is not None
    assert bar_missed(Cell(300, 0.5, 1, BETTER), rates(900)) is None


def test_the_grid_covers_what_was_promised():
    cells = list(grid())
    assert len(cells) == 225
    assert {cell.clusters for cell in cells} == {30, 50, 100, 300, 1_000}
    assert {cell.cluster_size for cell in cells} == {1, 3, 10}
