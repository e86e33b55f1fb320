"""Records of people who asked to be forgotten are not taken any more, wherever they come from."""

import polars as pl

from ft_assets.forgotten_users import ForgottenUsers
from ft_assets.ingest.duplicates import Problem

RULE = "user_forgotten"
REASON = "it is of or about a user who asked to be forgotten, so nothing of it is taken; remove the record"


def without_forgotten(
    rows: pl.DataFrame, forgotten: ForgottenUsers | None, is_feedback: bool = False
) -> tuple[pl.DataFrame, list[Problem]]:
    """The rows of everybody else, in their order, and why the others fell. Costs nothing while nobody was forgotten.

    A row without a user falls when it has the id of an answer that was theirs; feedback about such an answer falls,
    whoever gave it, since it may repeat it.
    """
    if forgotten is None or not rows.height:
        return rows, []
    theirs = forgotten.among(rows["user_id"])
    is_theirs = pl.col("user_id").is_in(theirs.implode()).fill_null(False)
    if forgotten.interactions:
        is_about = pl.col("interaction_id").is_in(sorted(forgotten.interactions)).fill_null(False)
        is_theirs |= is_about if is_feedback else is_about & pl.col("user_id").is_null()
    refused = rows.filter(is_theirs)
    if not refused.height:
        return rows, []
    places = refused.select("source_file", "source_line").iter_rows()
    return rows.filter(~is_theirs), [(file, line, RULE, REASON) for file, line in places]
