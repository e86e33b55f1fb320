"""Which curated examples a model line may learn from, and why the others are left out.

Light on purpose (pydantic only): the specialization loader reads `Selector` when definitions load.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ft_assets.errors import BadInput
from ft_assets.example_ids import ID_DIGITS
from ft_assets.records import ReasoningMode, canonical_reasoning_mode, canonical_role

if TYPE_CHECKING:
    import polars as pl

# Columns of `curated_examples` that a snapshot is chosen by and made of.
COLUMNS = (
    "example_id",
    "interaction_ids",
    "day",
    "role",
    "task_type",
    "reasoning_mode",
    "difficulty",
    "domain",
    "source",
    "tags",
    "prompt_id",
    "answer_id",
    "cluster_id",
    "user_id",
    "linked_clusters",
    "duplicate_group",
    "messages",
    "high_score",
    "quality_score",
    "human_verified",
    "n_tokens",
    "low_score_reason",
)
DUPLICATE = "duplicate"
UNREADABLE_CALLS = "tool calls that cannot be read"  # no chat template could write them
# How the reasons begin that a line's own YAML gives (its selector, its filters); the others are curation's.
BY_SELECTOR = ("other ", "quality_score ", "filter ")
# The first number of a reason is what was measured; a later one would be the threshold, which all rows share.
MEASURED = re.compile(r"\s*\b\d+(?:\.\d+)?(?:e-?\d+)?(?: of \d+)?")


class Selector(BaseModel):
    """Whose examples a line takes. An empty list takes everything; all conditions have to hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    roles: tuple[str, ...] = Field(default=(), description="Engineering roles; aliases such as qa are resolved.")
    task_types: tuple[str, ...] = Field(
        default=(), description="Tasks this line should cover; few rows of one are a gap."
    )
    reasoning_modes: tuple[ReasoningMode, ...] = ()
    domains: tuple[str, ...] = ()
    min_quality_score: float | None = Field(
        default=None, ge=0, le=1, description="Below it, or without a score: left out."
    )
    max_characters: int | None = Field(
        default=None, ge=1, description="Longer conversations, in characters, are left out."
    )
    high_score_only: bool = Field(default=True, description="Only examples whose every present signal passes.")

    @field_validator("roles")
    @classmethod
    def _canonical_roles(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(canonical_role(name) or name for name in names)

    @field_validator("reasoning_modes", mode="before")
    @classmethod
    def _canonical_modes(cls, names: object) -> object:
        if not isinstance(names, list | tuple):
            return names
        return tuple(canonical_reasoning_mode(name) if isinstance(name, str) else name for name in names)

    def wanted(self) -> dict[str, tuple[str, ...]]:
        """Column to the values it may have; columns on which everything is taken are absent."""
        by_column = {
            "role": self.roles,
            "task_type": self.task_types,
            "reasoning_mode": self.reasoning_modes,
            "domain": self.domains,
        }
        return {column: values for column, values in by_column.items() if values}


@dataclass(frozen=True)
class Selection:
    """Rows that go on, and how many logged answers did not, by reason."""

    rows: "pl.DataFrame"
    drops: dict[str, int]


def select(curated: "pl.LazyFrame | pl.DataFrame", selector: Selector) -> Selection:
    """The eligible rows with `COLUMNS`, in the order of day and example_id, whatever the order of the input.

    Rows of another line's role are nobody's loss and are not counted. Where the selector names roles, a row of these
    roles that fails another condition is a drop ("other task_type"); where it names none, all its conditions together
    say whose rows these are. Not counted twice: a row is dropped for the first reason that applies.
    The same example on several days stays on its first; it and the copies merged in curation count as "duplicate".
    """
    import polars as pl

    mine = ["role"] if selector.roles else list(selector.wanted())
    _refuse_older_rows(curated.lazy())
    frame = curated.lazy().select(COLUMNS)
    for column in mine:
        frame = frame.filter(_one_of(column, selector))
    rows = _with_readable_calls(frame.with_columns(dropped_for=_first_reason(selector)).collect())
    eligible = rows.filter(pl.col("dropped_for").is_null()).select(COLUMNS)
    if eligible["example_id"].is_unique().all():
        first = eligible.sort("day", "example_id")
    else:
        total_order = ["day", "example_id", pl.col("interaction_ids").list.join(","), "cluster_id"]
        first = eligible.sort(total_order).unique("example_id", keep="first", maintain_order=True)

    drops: Counter[str] = Counter()
    for reason in rows["dropped_for"].drop_nulls():
        drops[reason if reason.startswith(BY_SELECTOR) else without_measured_number(reason)] += 1
    merged = int(first.select((pl.col("interaction_ids").list.len().cast(pl.Int64) - 1).sum()).item())
    drops[DUPLICATE] += eligible.height - first.height + merged
    return Selection(first, dict(sorted((+drops).items())))


def _refuse_older_rows(curated: "pl.LazyFrame") -> None:
    """Raises BadInput for a table with days whose near-duplicates were not grouped, or under longer ids."""
    import polars as pl

    if missing := [column for column in COLUMNS if column not in curated.collect_schema()]:
        older = [f"the columns {', '.join(missing)} are missing"]
    else:
        group = pl.col("duplicate_group")
        without = pl.when(group.is_null()).then(pl.lit("rows without duplicate_group"))
        fault = without.when(group.str.len_bytes() > ID_DIGITS).then(pl.lit("longer ids"))
        found = curated.select("day", fault=fault).drop_nulls("fault").unique().collect().sort("day", "fault")
        older = [f"{day} has {fault}" for day, fault in found.head(3).iter_rows()]
    if older:
        raise BadInput(
            f"curated_examples was written by an earlier version: {'; '.join(older)}. Its near-duplicates are unknown, "
            "so they could stand on both sides. Run the job `recurate` over all days, then run again."
        )


def without_measured_number(reason: str) -> str:
    """A reason that many rows can share, each part of it likewise.

    "rating 2.5 below 4" is "rating below 4"; "rating 2.5 of 5; expert rejected" is "rating too low; expert rejected".
    """
    return "; ".join(_without_number(part) for part in reason.split("; "))


def _without_number(part: str) -> str:
    found = MEASURED.search(part)
    if found is None:
        return part
    rest = part[found.end() :]
    return part[: found.start()] + (rest if rest.strip() else " too low")


def _with_readable_calls(rows: "pl.DataFrame") -> "pl.DataFrame":
    """The rows with a reason against those whose tool calls cannot be read, and null for lists without a call."""
    import polars as pl

    from ft_assets.dataset.call_texts import unreadable_calls, without_empty_calls

    unreadable = pl.when(unreadable_calls(rows["messages"])).then(pl.lit(UNREADABLE_CALLS))
    return rows.with_columns(without_empty_calls(rows["messages"]), dropped_for=pl.coalesce("dropped_for", unreadable))


def _one_of(column: str, selector: Selector) -> "pl.Expr":
    import polars as pl

    return pl.col(column).is_in(list(selector.wanted()[column])).fill_null(False)


def _first_reason(selector: Selector) -> "pl.Expr":
    """The first reason against a row, null where there is none."""
    import polars as pl

    def when(condition: pl.Expr, reason: pl.Expr) -> pl.Expr:
        return pl.when(condition).then(reason)

    reasons = [when(~_one_of(column, selector), pl.lit(f"other {column}")) for column in selector.wanted()]
    if selector.high_score_only:
        why = pl.col("low_score_reason").fill_null("no reason given")
        reasons.append(when(~pl.col("high_score").fill_null(False), why))
    if (least := selector.min_quality_score) is not None:
        low = ~(pl.col("quality_score") >= least).fill_null(False)
        reasons.append(when(low, pl.lit(f"quality_score below {least:g}")))
    if (most := selector.max_characters) is not None:
        turn = pl.element().struct
        characters = turn.field("content").str.len_chars() + turn.field("tool_calls").str.len_chars().fill_null(0)
        length = pl.col("messages").list.eval(characters).list.sum()
        reasons.append(when(length > most, pl.lit(f"other length than max_characters {most}")))
    return pl.coalesce(reasons) if reasons else pl.lit(None, dtype=pl.String)
