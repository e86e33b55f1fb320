import json
import random
from fractions import Fraction
from typing import Any

import polars as pl
import pytest

from ft_assets.dataset.contamination import leaks
from ft_assets.dataset.limits import leave_room_in_groups, limits_of, with_users, within_limits
from ft_assets.dataset.rules import Rules
from ft_assets.dataset.select import Selector
from ft_assets.dataset.snapshot import build_snapshot, choose, why_waiting
from ft_assets.dataset.split import SplitFractions

TRAIN_ONLY = SplitFractions(eval_fraction=0, validation_fraction=0)


def frame(users: list[str | None], **columns: Any) -> pl.DataFrame:
    """One row for each user named, in a group and on a side of its own choice."""
    names = [f"e{number:06d}" for number in range(len(users))]
    values = {"side": "train", "source": "web", "human_verified": False, "quality_score": 0.9, "day": "2026-01-05"}
    made = pl.DataFrame({"example_id": names, "user_id": pl.Series(users, dtype=pl.String), "duplicate_group": names})
    return with_users(made.with_columns(pl.lit(value).alias(name) for name, value in (values | columns).items()))


def kept(rows: pl.DataFrame, rules: Rules, fractions: SplitFractions = TRAIN_ONLY, **more: Any) -> pl.DataFrame:
    return within_limits(rows, limits_of(rules, fractions), "key", **more).rows


def largest_that_keeps_to_itself(counts: list[int], nobodies: int, least: int, share: Fraction) -> int:
    sizes = range(sum(counts) + nobodies, -1, -1)
    return next(n for n in sizes if n == nobodies + sum(min(c, max(least, int(share * n))) for c in counts))


@pytest.mark.parametrize("seed", range(2))
def test_a_limit_leaves_the_largest_snapshot_that_keeps_to_it_by_its_own_size(seed: int) -> None:
    drawn = random.Random(seed)
    for _ in range(8):
        counts = [drawn.randrange(1, 40) for _ in range(drawn.randrange(1, 8))]
        nobodies, least, share = drawn.randrange(0, 30), drawn.randrange(1, 6), drawn.choice([0, 0.1, 0.29, 0.5, 1])
        users = [None] * nobodies + [f"u{number}" for number, count in enumerate(counts) for _ in range(count)]
        drawn.shuffle(users)
        rules = Rules(most_rows_per_user=least, largest_user_share=share)
        exact = Fraction(str(share))
        assert kept(frame(users), rules).height == largest_that_keeps_to_itself(counts, nobodies, least, exact)


def test_a_larger_limit_never_leaves_fewer_rows() -> None:
    drawn = random.Random(5)
    rows = frame([f"u{min(drawn.randrange(1, 60), 9)}" for _ in range(300)])
    sizes = [kept(rows, Rules(most_rows_per_user=most, largest_user_share=0.2)).height for most in range(1, 300, 40)]
    assert sizes == sorted(sizes)
    assert kept(rows, Rules(most_rows_per_user=None)).height == 300


def test_of_a_user_stays_what_was_there_before_then_what_a_person_verified_and_never_what_scores_best() -> None:
    rows = frame(["u"] * 40).with_columns(
        human_verified=pl.Series([number in (7, 8, 9) for number in range(40)]),
        quality_score=pl.Series([1 - number / 100 for number in range(40)]),
    )
    stay = kept(rows, Rules(most_rows_per_user=6), previous=["e000020", "e000021"])["example_id"].to_list()
    assert {"e000007", "e000008", "e000009", "e000020", "e000021"} < set(stay)
    assert len(stay) == 6 and stay == sorted(stay)
    better = rows.with_columns(quality_score=1 - pl.col("quality_score"))
    assert kept(better, Rules(most_rows_per_user=6), previous=["e000020", "e000021"])["example_id"].to_list() == stay
    shuffled = rows.sample(fraction=1, shuffle=True, seed=3)
    assert set(kept(shuffled, Rules(most_rows_per_user=6), previous=["e000020", "e000021"])["example_id"]) == set(stay)
    other_key = within_limits(rows, limits_of(Rules(), TRAIN_ONLY), "another key").rows["example_id"].to_list()
    assert other_key != kept(rows, Rules())["example_id"].to_list()


def test_spellings_of_one_id_are_one_user_and_rows_without_an_id_are_nobodys() -> None:
    spellings = ["Jane", "jane ", " JANE", "ja\u200bne", "ｊａｎｅ", "j ane"]
    rows = frame(spellings * 5 + [None, " ", ""] * 10)
    left = within_limits(rows, limits_of(Rules(most_rows_per_user=4), TRAIN_ONLY), "key")
    assert left.drops == {"user_cap": 26}
    assert left.rows.height == 34


def test_a_source_has_a_limit_when_it_is_asked_for_and_users_are_cut_before_it() -> None:
    rows = pl.concat([frame(["flood"] * 200), frame([f"u{n}" for n in range(60)]).with_columns(example_id="user_id")])
    assert kept(rows, Rules()).height == 80
    left = within_limits(rows, limits_of(Rules(most_rows_per_source=70), TRAIN_ONLY), "key")
    assert left.drops == {"user_cap": 180, "source_cap": 10}
    assert left.rows.filter(pl.col("user_id") != "flood").height >= 50


def test_no_user_dominates_the_side_that_judges() -> None:
    sides = ["eval"] * 30 + ["validation"] * 30 + ["train"] * 140
    rows = frame(["u"] * 200, side="train").with_columns(side=pl.Series(sides))
    rows = pl.concat([rows, frame([f"v{n}" for n in range(99)])])
    by_side = dict(kept(rows, Rules(), SplitFractions()).filter(pl.col("user_id") == "u").group_by("side").len().rows())
    assert by_side.get("eval", 0) <= 4 and by_side.get("validation", 0) <= 4
    assert sum(by_side.values()) == 20


def test_who_copies_everybodys_prompts_does_not_take_their_rows_along(row, curated) -> None:
    honest = [row(f"h{n:03d}", duplicate_group=f"g{n:03d}", cluster_id=f"c{n:03d}") for n in range(120)]
    copies = [
        row(f"x{n:03d}", duplicate_group=f"g{n:03d}", cluster_id=f"c{n:03d}", quality_score=1.0) for n in range(120)
    ]
    users = pl.Series("user_id", [f"user {n // 2}" for n in range(120)] + ["copier"] * 120)
    table = curated([*honest, *copies]).with_columns(users)
    chosen = choose(table, Selector(), "key", TRAIN_ONLY, [])
    ids = chosen.rows["example_id"].to_list()
    assert sum(name.startswith("x") for name in ids) <= 20
    assert sum(name.startswith("h") for name in ids) >= 80
    assert sum(chosen.drops.values()) == 240 - len(ids)
    alone = frame(["u"] * 50)
    assert leave_room_in_groups(alone, limits_of(Rules(), TRAIN_ONLY, slack=2), "key").rows.equals(alone)


def test_what_a_limit_left_out_is_counted_told_and_leaks_nowhere(many, tmp_path) -> None:
    table = many.with_columns(user_id=pl.lit("one"), source=pl.lit("web"))
    table = table.with_columns(user_id=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit(None)).otherwise("user_id"))
    summary = build_snapshot(table, Selector(), "key", SplitFractions(), [], None, tmp_path / "s")
    assert summary.drops == {"user_cap": 80}
    assert json.loads((tmp_path / "s/counts.json").read_text())["drops"] == {"user_cap": 80}
    assert leaks(tmp_path / "s", []) == []
    assert why_waiting("qa-engineer", 20, 100, {"user_cap": 12, "source_cap": 3}) == (
        "qa-engineer 20 of 100: 12 over the limit of their user, 3 over the limit of their source"
    )
    again = choose(table.sample(fraction=1, shuffle=True, seed=1), Selector(), "key", SplitFractions(), [])
    assert set(again.rows["example_id"]) == set(
        choose(table, Selector(), "key", SplitFractions(), []).rows["example_id"]
    )


@pytest.mark.parametrize(("accounts", "rows_each", "share"), [(1, 9_000, 0.02), (100, 90, 0.67), (10_000, 3, 0.97)])
def test_a_flood_keeps_to_the_limits_and_what_it_still_can_do_is_limited_by_its_source(
    accounts: int, rows_each: int, share: float
) -> None:
    """1,000 honest rows of 250 users of the IDE, and a flood of accounts that anybody may open on the web.

    Every flooded row has the best score, which buys nothing. One account is 2 % of the snapshot. 100 accounts are two
    thirds, 10,000 nearly all of it: each keeps to its limit, and no limit on users can stop that, because who opens
    10,000 accounts is 10,000 users. A limit on rows of a source does, whatever the number: here at half.
    """
    honest = frame([f"colleague {n % 250}" for n in range(1_000)], source="ide")
    flood = frame([f"bot {n % accounts}" for n in range(accounts * rows_each)], source="web", quality_score=1.0)
    rows = pl.concat([honest, flood.with_columns(example_id=pl.format("x{}", "example_id"))])
    left = kept(rows, Rules())
    most = max(20, left.height // 1_000)
    assert left["user_id"].value_counts()["count"].max() <= most
    assert left.filter(pl.col("source") == "ide").height == 1_000
    flooded = left.height - 1_000
    assert flooded == accounts * min(rows_each, most)
    assert flooded / left.height == pytest.approx(share, abs=0.01)
    limited = kept(rows, Rules(most_rows_per_source=1_000))
    assert dict(limited["source"].value_counts().rows()) == {"ide": 1_000, "web": min(flooded, 1_000)}


def test_a_share_for_sources_cuts_an_honest_one_that_brings_most_rows() -> None:
    rows = pl.concat([frame([None] * 900, source="ide"), frame([None] * 100, source="web")])
    assert kept(rows, Rules(most_rows_per_source=10, largest_source_share=0.5)).height == 200
    assert kept(rows, Rules(most_rows_per_source=400)).height == 500
