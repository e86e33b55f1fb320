"""How much of a snapshot one user or one source may be, so that nobody's taste becomes the model's.

A limit holds for what is left: a user's share is counted of the snapshot after the limits, never of a flood before it.

What it cannot do: ids are what clients send. Who leaves the id out is nobody's excess: such rows are limited by their
source alone, and the summary counts them (`rows_without_user`). Who owns 10,000 accounts may bring 10,000 times the
limit. Both end at `most_rows_per_source`, because the source is what the operator's own collector writes.
"""

import hashlib
import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ft_assets.dataset.select import Selection

if TYPE_CHECKING:
    import polars as pl

    from ft_assets.dataset.rules import Rules
    from ft_assets.dataset.split import SplitFractions

USER_CAP = "user_cap"
SOURCE_CAP = "source_cap"
USER = "limited_user"  # the user's id as it is compared; null: nobody's
HELD_OUT_SLACK = 2  # a held-out side is small, so honest rows fall on it unevenly


@dataclass(frozen=True)
class Limit:
    """At most `least` rows of one value of `column`, or `share` of the rows that stay where that is more.

    `side`: only the rows of this side, as a small snapshot of its own. Null in the column is no value.
    """

    reason: str
    column: str
    least: int
    share: Fraction
    side: str | None = None

    def most(self, rows: int) -> int:
        """Rows that one value may have among `rows`."""
        return max(self.least, math.floor(self.share * rows))


def with_users(rows: "pl.DataFrame") -> "pl.DataFrame":
    """The rows with USER: their `user_id` without case and blanks, so that its variants are one user."""
    import polars as pl

    from ft_assets.user_names import same_user

    return rows.with_columns(same_user(pl.col("user_id")).alias(USER))


def limits_of(rules: "Rules", fractions: "SplitFractions", slack: int = 1) -> list[Limit]:
    """The limits in the order in which they act: users on the held-out sides, users, sources.

    Users go first, so that a flood does not push other users' rows out of its source. On a held-out side a user may
    have twice the side's part of the user's limit: otherwise all twenty could be the ones that judge the model.
    """
    exact = {name: Fraction(str(share or 0)) for name, share in _shares(rules).items()}
    limits = []
    if (most := rules.most_rows_per_user) is not None:
        held = Fraction(str(fractions.eval_fraction))
        watched = (1 - held) * Fraction(str(fractions.validation_fraction))
        for side, part in (("eval", held), ("validation", watched)):
            if (least := math.ceil(HELD_OUT_SLACK * part * most)) < most:
                limits.append(Limit(USER_CAP, USER, max(1, least) * slack, exact["user"] * slack, side))
        limits.append(Limit(USER_CAP, USER, most * slack, exact["user"] * slack))
    if (most := rules.most_rows_per_source) is not None:
        limits.append(Limit(SOURCE_CAP, "source", most * slack, exact["source"] * slack))
    return limits


def within_limits(
    rows: "pl.DataFrame", limits: Collection[Limit], key: str, previous: Collection[str] = ()
) -> Selection:
    """The rows that no limit leaves out, in their order; the others count as "user_cap" or "source_cap".

    Of a user's rows stay those of an earlier snapshot (`previous`, example ids), then those that a person verified,
    then the smallest by a hash with `key`: not the best by score, which is what a flood is made of, nor the first.
    `rows` holds example_id, human_verified, side and the columns of the limits.
    """
    drops: dict[str, int] = {}
    rank = _rank(key, previous)
    while True:
        before = rows.height
        for limit in limits:
            kept = _within(rows, limit, rank)
            if kept.height < rows.height:
                drops[limit.reason] = drops.get(limit.reason, 0) + rows.height - kept.height
                rows = kept
        if rows.height == before:
            return Selection(rows, drops)


def leave_room_in_groups(
    rows: "pl.DataFrame", limits: Collection[Limit], key: str, previous: Collection[str] = ()
) -> Selection:
    """The rows without those of groups of near-duplicates that are beyond the limits, counted by group.

    Before one row of a group is chosen: who repeats a thousand of other people's prompts, and rates that well, would
    win the thousand groups, and then lose them to the limit. Call it with limits that leave slack for what is dropped
    in between.
    """
    import polars as pl

    if rows.height == rows["duplicate_group"].n_unique():
        return Selection(rows, {})  # nothing to win
    drops: dict[str, int] = {}
    for column in dict.fromkeys(limit.column for limit in limits if limit.side is None):
        own = [limit for limit in limits if limit.column == column and limit.side is None]
        narrow = rows.select("example_id", "human_verified", "side", "duplicate_group", column)
        is_new, unverified = ~pl.col("example_id").is_in(list(previous)), ~pl.col("human_verified").fill_null(False)
        best = narrow.sort(is_new, unverified, maintain_order=True)
        groups = best.unique([column, "duplicate_group"], keep="first", maintain_order=True)
        allowed = within_limits(groups, own, key, previous)
        if allowed.drops:
            pairs = allowed.rows.select(column, "duplicate_group")
            kept = rows.join(pairs, on=pairs.columns, how="semi", nulls_equal=True, maintain_order="left")
            drops[own[0].reason] = rows.height - kept.height
            rows = kept
    return Selection(rows, drops)


def _shares(rules: "Rules") -> dict[str, float | None]:
    return {"user": rules.largest_user_share, "source": rules.largest_source_share}


Rank = Callable[["pl.DataFrame"], "pl.Series"]


def _rank(key: str, previous: Collection[str]) -> Rank:
    """Rows to their places in the order in which they stay. Hashed are only rows of somebody over a limit."""
    import polars as pl

    earlier, prefix = set(previous), f"limits\0{key}\0".encode()

    def places(rows: pl.DataFrame) -> pl.Series:
        drawn = [hashlib.sha256(prefix + name.encode()).digest() for name in rows["example_id"]]
        order = pl.DataFrame(
            {
                "is_new": [name not in earlier for name in rows["example_id"]],
                "unverified": ~rows["human_verified"].fill_null(False),
                "drawn": pl.Series(drawn, dtype=pl.Binary),
            }
        )
        return order.select(pl.struct(pl.all()).rank("ordinal")).to_series()

    return places


def _within(rows: "pl.DataFrame", limit: Limit, rank: Rank) -> "pl.DataFrame":
    """The rows that this one limit leaves, for the largest number of them that it allows."""
    import polars as pl

    mine = rows.select(limit.column, "side", place=pl.int_range(pl.len()))
    concerned = mine.filter((pl.col("side") == limit.side) if limit.side else pl.lit(True))
    counts = concerned.drop_nulls(limit.column).group_by(limit.column).len()
    over = counts.filter(pl.col("len") > limit.least)
    if not over.height:
        return rows
    *_, most = _settling(limit, concerned.height, over["len"].to_list())
    crowded = counts.filter(pl.col("len") > most)
    theirs = concerned.join(crowded, on=limit.column, how="semi", maintain_order="left")
    if not theirs.height:
        return rows
    ranked = theirs.with_columns(rank(rows[theirs["place"]]).alias("rank"))
    dropped = ranked.filter(pl.col("rank").rank("ordinal").over(limit.column) > most)["place"]
    return rows.filter(~pl.int_range(rows.height, eager=True).is_in(dropped.implode()))


def _settling(limit: Limit, rows: int, counts: list[int]) -> Iterator[int]:
    """Ever smaller numbers of rows that one value may have; the last is the largest that keeps to what it leaves.

    Fewer rows leave a smaller share. The sizes fall towards the largest that maps to itself, because a larger
    snapshot never allows less (Knaster and Tarski).
    """
    size = rows
    while True:
        most = limit.most(size)
        yield most
        left = rows - sum(max(0, count - most) for count in counts)
        if left == size:
            return
        size = left
