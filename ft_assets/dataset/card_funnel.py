"""From the records that came in to the rows of a snapshot: what each step took away, and whether it adds up."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from ft_assets.dataset.select import BY_SELECTOR, DUPLICATE, Selector, select
from ft_assets.dataset.summary import SnapshotSummary

OTHER_LINES = "examples that this line does not select"
# What a reason means, for a reader who does not know the rules. One that is not here is shown by its name.
MEANINGS = {
    "not_json": "a line that is no JSON",
    "not_an_object": "a line that is no record",
    "unknown_format": "a record in none of the known formats",
    "duplicate_interaction": "an answer that came in before",
    "exact_duplicate": "the same conversation again",
    "answer_too_short": "shorter than its task needs",
    "ends_without_answer": "the last turn is not the model's",
    DUPLICATE: "the same example again",
    "near_duplicate": "nearly the same as a row that stays",
    "no signal": "nobody has rated it",
    "rating too low": "users did not like it",
    "judge mean too low": "the judge did not like it",
    "expert rejected": "an expert said no",
    "conflicting votes": "votes about it contradict each other",
    "in_golden_set": "a question that models are examined with",
    "near_copy_of_eval": "nearly a row that is held back",
    "bridges_train_and_eval": "belongs to both sides at once",
    "repeated_answer": "one answer to many unrelated prompts",
    "user_cap": "more of one user than one voice may have",
    "source_cap": "more of one source than one may have",
    "tool calls that cannot be read": "a call of a tool that is no JSON or names no function",
    "fault refusal": "the answer refuses",
    "fault truncated": "the answer breaks off",
    "fault repeating": "the answer repeats itself",
    "fault empty_praise": "praise instead of an answer",
    "fault addresses_the_judge": "speaks to the judge instead of the user",
}


@dataclass(frozen=True)
class Step:
    """`count` of something, and what was taken away before the next step, by reason."""

    name: str
    count: int
    taken: dict[str, int]


@dataclass(frozen=True)
class Funnel:
    """`steps` in their order. `problems` says where the numbers do not meet, and why; empty when all adds up."""

    steps: list[Step]
    problems: list[str]


@dataclass(frozen=True)
class Landed:
    """What all landing files of the lake gave, by table: rows of raw_interactions and of feedback; 0 where it is not
    there."""

    interactions: int
    feedback: int


def funnel_of(
    summary: SnapshotSummary,
    selector: Selector,
    curated: pl.LazyFrame | pl.DataFrame,
    rejections: pl.LazyFrame | pl.DataFrame | None,
    landed: Landed,
) -> Funnel:
    """The funnel of a snapshot from today's tables and its own counts.

    Copies of an answer that curation merged into one example are taken away there once; the snapshot's own count of
    duplicates tells them again, so they are left out of its step. The tables hold all lines until the selector acts.
    """
    ingest, curation = (_rejected(rejections, stage) for stage in ("ingest", "curation"))
    examples = curated.lazy().select(pl.len()).collect().item()
    selection = select(curated, selector)
    merged = int(selection.rows.select((pl.col("interaction_ids").list.len().cast(pl.Int64) - 1).sum()).item() or 0)
    drops = Counter(summary.drops)
    drops[DUPLICATE] -= merged
    own_drops = Counter(selection.drops)
    own_drops[DUPLICATE] -= merged
    mine = selection.rows.height + own_drops.total()
    kept = sum(summary.rows_by_side.values())
    read = landed.interactions + landed.feedback + sum(ingest.values())
    steps = [
        Step("records in the landing files", read, ingest | _if_any("feedback about answers", landed.feedback)),
        Step("logged answers", landed.interactions, curation),
        Step("curated examples, all lines", examples, _if_any(OTHER_LINES, examples - mine)),
        Step("examples of this line", mine, dict(sorted((+drops).items()))),
        Step("rows of the snapshot", kept, {}),
    ]
    problems = [f"{DUPLICATE} {drops[DUPLICATE]}: the copies were merged after the snapshot was made"] * (
        drops[DUPLICATE] < 0
    )
    return Funnel(steps, [*problems, *_gaps(steps)])


def grouped(taken: Mapping[str, int], most: int = 12) -> dict[str, int]:
    """The reasons, most frequent first; from the `most`-th on they are one."""
    ordered = sorted(taken.items(), key=lambda each: (-each[1], each[0]))
    rest = ordered[most - 1 :] if len(ordered) > most else []
    shown = ordered[: most - 1] if rest else ordered
    return dict(shown) | ({f"{len(rest)} other reasons": sum(number for _, number in rest)} if rest else {})


def in_words(reason: str) -> str:
    """A reason as a sentence's part: rules are named with underscores."""
    if reason.startswith(BY_SELECTOR):
        return reason
    return re.sub(r"(?<=\w)_(?=\w)", " ", reason)


def explained(reason: str) -> str:
    """A reason in words, with its meaning where it has a known one."""
    meaning = MEANINGS.get(reason)
    return f"{in_words(reason)} ({meaning})" if meaning else in_words(reason)


def _gaps(steps: list[Step]) -> list[str]:
    """Where a step is not what the one before it left."""
    problems = []
    for before, after in pairwise(steps):
        left = before.count - sum(before.taken.values())
        if left != after.count:
            problems.append(
                f"{before.count:,} {before.name} less {sum(before.taken.values()):,} leave {left:,}, and there are "
                f"{after.count:,} {after.name}: the tables moved since (days were curated again, raw rows are past "
                "their retention, or new days came in)"
            )
    return problems


def _rejected(rejections: pl.LazyFrame | pl.DataFrame | None, stage: str) -> dict[str, int]:
    if rejections is None:
        return {}
    of_stage = rejections.lazy().filter(pl.col("stage") == stage).group_by("rule").len().sort("rule")
    return dict(of_stage.collect().iter_rows())


def _if_any(reason: str, number: int) -> dict[str, int]:
    return {reason: number} if number else {}
