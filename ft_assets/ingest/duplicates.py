"""An id belongs to the row that had it first: of this day in file and line order, and of all other days before it."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import numpy as np
import polars as pl

Problem = tuple[str, int, str, str]  # file, line, rule, reason
KnownIds = pl.DataFrame | Mapping[str, str] | AbstractSet[str] | None
_FEEDBACK_KEY = ["interaction_id", "user_id", "kind", "value", "timestamp"]


def without_known(rows: pl.DataFrame, known: KnownIds, day: str) -> tuple[pl.DataFrame, list[Problem]]:
    """The rows whose id no other day holds and no earlier row of these has, in their order, and why the others fell.

    `known` says which day holds an id; this day's own ids in it do not count.
    """
    ids = rows.select("interaction_id", "source_file", "source_line").with_row_index("row")
    others = _other_days(known, day)
    taken = ids.join(others, on="interaction_id", how="inner").unique("row", keep="first")
    new = ids.join(taken, on="row", how="anti") if taken.height else ids
    is_first = new["interaction_id"].is_first_distinct()
    kept = new.filter(is_first)
    if kept.height == rows.height:
        return rows, []
    again = new.filter(~is_first).join(kept, on="interaction_id", how="left", suffix="_first")
    problems: list[Problem] = [
        (file, line, "duplicate_interaction", f"the same interaction id arrived on {where} already")
        for file, line, where in taken.select("source_file", "source_line", "known_day").iter_rows()
    ]
    places = again.select("source_file", "source_line", "source_file_first", "source_line_first").iter_rows()
    problems += [
        (file, line, "duplicate_interaction", f"the same interaction id stands at {first}:{first_line} of this day")
        for file, line, first, first_line in places
    ]
    is_kept = np.zeros(rows.height, bool)
    is_kept[kept["row"].to_numpy()] = True
    return rows.filter(is_kept), problems  # a tenth of the price of picking rows from pieces by their numbers


def without_repeats(feedback: pl.DataFrame) -> tuple[pl.DataFrame, list[Problem]]:
    """The feedback rows without those that say the same of the same interaction at the same time once more."""
    is_first = feedback.select(pl.struct(_FEEDBACK_KEY).is_first_distinct()).to_series()
    reason = "the same user gave the same feedback on the same interaction at the same time in an earlier record"
    again = feedback.filter(~is_first).select("source_file", "source_line").iter_rows()
    problems: list[Problem] = [(file, line, "duplicate_feedback", reason) for file, line in again]
    return feedback.filter(is_first), problems


def _other_days(known: KnownIds, day: str) -> pl.DataFrame:
    """Ids and the day that holds each, without this day."""
    if isinstance(known, pl.DataFrame):
        ids = known.select("interaction_id", known_day="day")
    elif isinstance(known, Mapping):
        ids = pl.DataFrame({"interaction_id": list(known), "known_day": list(known.values())}, _KNOWN)
    else:
        ids = pl.DataFrame({"interaction_id": list(known or ())}, {"interaction_id": pl.String})
        ids = ids.with_columns(known_day=pl.lit("another day"))
    return ids.filter(pl.col("known_day") != day)


_KNOWN = {"interaction_id": pl.String, "known_day": pl.String}
