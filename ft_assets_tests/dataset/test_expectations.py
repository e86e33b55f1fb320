"""What a snapshot is expected to be: the figures, the bounds, and what Great Expectations makes of them."""

import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from ft_assets.dataset.expectations_figures import (
    BALANCE,
    LENGTHS,
    READINESS,
    SCORES,
    VOLUME,
    Figure,
    Line,
    allowed_gap,
    figures_of,
    largest_gap,
)
from ft_assets.dataset.expectations_limits import DEFAULT, Expectations, HardFloor

slow = pytest.mark.slow
LINE = Line("qa-engineer", ("qa-engineer",), ("test_cases", "bug_identification"), minimum_examples=10)


def rows_of(count: int, **differs: Sequence[Any]) -> pl.DataFrame:
    """Rows as `snapshot_rows` gives them: 80 % train, two tasks in turn."""
    sides = ["eval" if i % 10 == 9 else "validation" if i % 10 == 8 else "train" for i in range(count)]
    columns = {
        "example_id": [f"e{i:05d}" for i in range(count)],
        "cluster_id": [f"c{i:05d}" for i in range(count)],
        "side": sides,
        "role": ["qa-engineer"] * count,
        "task_type": [("test_cases", "bug_identification")[i % 2] for i in range(count)],
        "n_tokens": [20 + i % 50 for i in range(count)],
        "answer_characters": [40 + i % 60 for i in range(count)],
        "quality_score": [0.7 + (i % 30) / 100 for i in range(count)],
        "human_verified": [i % 4 == 0 for i in range(count)],
        **differs,
    }
    return pl.DataFrame(columns)


def figure(figures: list[Figure], words: str) -> Figure:
    (found,) = [each for each in figures if words in each.name]
    return found


def holds(each: Figure) -> bool:
    above = each.at_least is None or each.value >= each.at_least
    return above and (each.at_most is None or each.value <= each.at_most)


def test_the_gap_is_the_two_sample_kolmogorov_smirnov_statistic():
    same = pl.Series([1.0, 2.0, 3.0, 4.0])
    assert largest_gap(same, same) == 0
    assert largest_gap(same, same + 10) == 1
    assert largest_gap(same, pl.Series([3.0, 4.0, 5.0, 6.0, None])) == 0.5
    assert largest_gap(same, pl.Series([None], dtype=pl.Float64)) == 0


def test_two_small_samples_of_one_population_may_differ_by_chance():
    assert allowed_gap(100_000, 100_000, DEFAULT) == DEFAULT.largest_drift
    assert allowed_gap(50, 50, DEFAULT) == pytest.approx(1.63 * 0.2)
    assert allowed_gap(0, 50, DEFAULT) == DEFAULT.largest_drift


def test_a_balanced_snapshot_holds_every_figure_but_the_recommended_size():
    figures = figures_of(rows_of(900), rows_of(800), LINE, DEFAULT)
    assert [each.name for each in figures if not holds(each)] == ["train rows"]
    assert {each.check for each in figures} == {VOLUME, BALANCE, LENGTHS, SCORES, READINESS}


def test_without_an_earlier_snapshot_nothing_is_compared_with_one():
    figures = figures_of(rows_of(100), None, LINE, DEFAULT)
    assert not [each for each in figures if "last snapshot" in each.name]


def test_fewer_rows_than_last_time_are_told():
    shrunk = figure(figures_of(rows_of(500), rows_of(1_000), LINE, DEFAULT), "as a share of the last")
    assert shrunk.value == 0.5 and not holds(shrunk)


def test_longer_rows_and_better_scores_than_last_time_are_told():
    last = rows_of(1_000)
    now = last.with_columns(n_tokens=pl.col("n_tokens") * 3, quality_score=pl.lit(1.0))
    figures = figures_of(now, last, LINE, DEFAULT)
    drifted = [each.check for each in figures if "gap to the last" in each.name and not holds(each)]
    assert drifted == [LENGTHS, SCORES]


def test_one_task_that_has_nearly_all_rows_and_one_that_has_none_are_told():
    lopsided = rows_of(1_000, task_type=["test_cases"] * 1_000)
    figures = figures_of(lopsided, None, LINE, DEFAULT)
    assert figure(figures, "largest share of one task").value == 1
    assert figure(figures, "smallest share of a task").value == 0
    assert figure(figures, "rarest task").value == 0


def test_a_line_of_one_role_has_it_whole_and_that_is_no_imbalance():
    figures = figures_of(rows_of(100), None, LINE, DEFAULT)
    assert not [each for each in figures if "one role" in each.name]
    two = Line("two", roles=("qa-engineer", "product-manager"))
    assert figure(figures_of(rows_of(100), None, two, DEFAULT), "largest share of one role").value == 1


def test_preference_pairs_count_only_for_a_line_that_learns_from_them():
    assert not [each for each in figures_of(rows_of(50), None, LINE, DEFAULT, 3) if "pairs" in each.name]
    line = Line("dpo", needs_preferences=True)
    assert figure(figures_of(rows_of(50), None, line, DEFAULT, None), "preference pairs").value == 0


def test_the_thresholds_of_readiness_are_those_that_are_recommended():
    sft, pairs = (DEFAULT.sft_minimum, DEFAULT.sft_ideal), (DEFAULT.preference_minimum, DEFAULT.preference_ideal)
    assert (sft, pairs) == ((1_000, 10_000), (1_000, 5_000))
    assert DEFAULT.hard_floor == HardFloor(eval_clusters=0, preference_pairs=0, human_verified_share=0)


def test_an_unknown_expectation_is_refused():
    with pytest.raises(ValidationError, match="least_rows"):
        Expectations.model_validate({"least_rows": 3})


@pytest.fixture
def validated() -> Callable[..., Any]:
    from ft_assets.dataset.expectations import validate

    def run(rows: pl.DataFrame, last: pl.DataFrame | None = None, limits: Expectations = DEFAULT) -> Any:
        return validate(rows, figures_of(rows, last, LINE, limits), LINE, limits)

    return run


@slow
def test_great_expectations_judges_rows_and_figures(validated: Callable[..., Any]):
    broken = [each for each in validated(rows_of(900), rows_of(800)).outcomes if not each.passed]
    assert [(each.check, each.observed) for each in broken] == [(READINESS, "720")]
    assert broken[0].expected == "train rows: at least 1,000"


@slow
@pytest.mark.parametrize(
    ("differs", "check", "said"),
    [
        ({"n_tokens": [2_000] * 100}, LENGTHS, "5%: 2,000, 50%: 2,000, 95%: 2,000"),
        ({"quality_score": [1.5] * 100}, SCORES, "100 of 100 rows do not"),
        ({"example_id": ["same"] * 100}, VOLUME, "100 of 100 rows do not"),
        ({"side": ["elsewhere"] * 100}, VOLUME, "100 of 100 rows do not"),
        ({"task_type": ["test_cases"] * 100}, BALANCE, "1 are missing"),
    ],
)
def test_a_broken_row_expectation_says_what_was_found(validated: Callable[..., Any], differs, check, said):
    outcomes = validated(rows_of(100, **differs)).of(check)
    assert said in [each.observed for each in outcomes if not each.passed]


@slow
def test_a_snapshot_without_tokens_scores_or_rows_is_judged_all_the_same(validated: Callable[..., Any]):
    nothing = rows_of(50).with_columns(
        n_tokens=pl.lit(None, pl.Int64), quality_score=pl.lit(None, pl.Float64), task_type=pl.lit(None, pl.String)
    )
    for rows in (nothing, nothing.clear()):
        found = validated(rows, rows_of(100))
        assert not [each for each in found.outcomes if "could not" in each.observed]


@slow
def test_the_documents_need_no_network_hold_no_values_and_are_the_same_every_time(
    validated: Callable[..., Any], tmp_path: Path
):
    from ft_assets.dataset.expectations_docs import write_docs

    rows = rows_of(100, example_id=["a secret"] * 100)
    pages = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_docs(tmp_path / name, validated(rows, rows_of(90)), "qa-engineer", "a" * 64, "b" * 64)
        pages.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert pages[0] == pages[1]
    page = pages[0]["index.html"].decode()
    assert not [word for word in ("http:", "https:", "<script", "<img", "<link", "@import", "url(") if word in page]
    assert b"a secret" not in b"".join(pages[0].values())
    assert "each example stands in it once" in page and "train rows: at least 1,000; found 80" in page


@slow
def test_nothing_is_reported_to_anybody(validated: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    asked: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: asked.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: asked.append(host) or [])
    assert validated(rows_of(20)).outcomes
    assert asked == []
