"""883 real comparisons, as they are, through ingest and curation to pairs; every one is counted."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest

import ft_assets
from ft_assets.curation.curate import curate
from ft_assets.dataset.preference_rows import preference_rows
from ft_assets.dataset.preference_schema import PREFERENCE_PAIRS
from ft_assets.dataset.preference_truth import pairs_of_one_answer, untrue_pairs
from ft_assets.dataset.preferences import Preferences, pairs_of_days
from ft_assets.dataset.select import Selector
from ft_assets.dataset.snapshot import choose
from ft_assets.dataset.split import SplitFractions
from ft_assets.ingest.landing import ingest_day
from ft_assets.lake import Lake
from ft_assets.validated import validated
from ft_assets_tests.dataset.preference_samples import LATER, SCHEMA

DATA = Path(ft_assets.__file__).parents[2] / "shared" / "data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="the folder with real data is not there"),
]
DAY, RECORDS = "2026-01-05", 883


@cache
def through() -> tuple[pl.DataFrame, pl.DataFrame, Preferences]:
    """The raw answers, the examples and the pairs."""
    with TemporaryDirectory() as root:
        lake = Lake(root)
        lake.land(DAY, "preferences.jsonl", (DATA / "preferences.jsonl").read_bytes())
        raw = ingest_day(lake, DAY, {}).rows
    examples = curate(raw).examples
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in LATER.items() if name not in examples.columns]
    examples = examples.with_columns(missing).select(list(SCHEMA))
    return raw, examples, pairs_of_days(examples, [DAY])


def test_every_comparison_is_a_pair_or_is_counted() -> None:
    raw, examples, made = through()
    assert raw.height == 2 * RECORDS and raw["interaction_id"].is_unique().all()
    became = set(examples["interaction_ids"].explode())
    names = {name.removesuffix(":chosen") for name in raw["interaction_id"] if name.endswith(":chosen")}
    assert len(names) == RECORDS
    whole, one_side, none = (
        sum(len({f"{name}:chosen", f"{name}:rejected"} & became) == sides for name in names) for sides in (2, 1, 0)
    )
    assert whole + one_side + none == RECORDS and whole > 850
    assert made.drops[DAY].pop("one_side_is_no_example") == one_side
    assert made.pairs.height + sum(made.drops[DAY].values()) == whole
    assert set(made.pairs["origin"]) == {"file"}


def test_the_pairs_are_what_the_checks_and_the_schema_want() -> None:
    _, examples, made = through()
    assert validated(PREFERENCE_PAIRS, made.pairs, [DAY]) is made.pairs
    assert pairs_of_one_answer(made.pairs) == [] and untrue_pairs(made.pairs, examples) == {}


def test_each_pair_of_a_snapshot_is_on_a_side_or_counted() -> None:
    _, examples, made = through()
    rated = examples.with_columns(high_score=pl.lit(True), low_score_reason=pl.lit(None, dtype=pl.String))
    rows = choose(rated, Selector(), "key", SplitFractions(), []).rows
    taken = preference_rows(made.pairs, examples, rows, Selector(), "key", SplitFractions(), [])
    assert taken.rows.height + sum(taken.drops.values()) == made.pairs.height
    assert set(taken.rows["side"]) == {"train", "validation", "eval"} and taken.rows.height > 700
    prompts = {side: set(taken.rows.filter(side=side)["prompt"].hash()) for side in ("train", "validation", "eval")}
    assert not prompts["train"] & prompts["eval"] and not prompts["train"] & prompts["validation"]
