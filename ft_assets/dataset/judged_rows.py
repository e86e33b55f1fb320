"""The judged answers of a snapshot, liked or disliked, for whoever learns from single thumbs (KTO).

Liked are the rows of the snapshot itself, as far as the high-score rule takes them (section 13 of the specification).
Disliked are other rows of the line, held to everything that a row of the snapshot is held to but for the score.

A verdict has to be clear. An answer is disliked when an expert rejected it, or when every score that counts lies below
`disliked_below`: the bound under which no answer may be the chosen one of a pair either. Three stars, or a judge who
finds it middling, fail the high-score rule and condemn nothing; an answer that pleased one and not the other neither.
A fault decides nothing: nobody has judged the answer by it, rules that find faults err, and who did not like a
truncated answer has said so. Nor does a correction: what an expert rewrote may have lacked one word (pairs hold it).

The eval side has no judged rows. Nothing is judged by thumbs, and no training may read that side.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from ft_assets.dataset.contamination import drop_copies, drop_golden
from ft_assets.dataset.duplicates import drop_repeated_answers, one_per_group
from ft_assets.dataset.golden import GoldenRow
from ft_assets.dataset.limits import leave_room_in_groups, limits_of, with_users, within_limits
from ft_assets.dataset.preference_rows import HELD, TURN, prompt_texts
from ft_assets.dataset.preference_scores import CONFLICTING, NOT_TRUSTED
from ft_assets.dataset.rows import read_lines, write_lines
from ft_assets.dataset.rules import NO_RULES, Rules, apply_filters, apply_transformers
from ft_assets.dataset.select import Selection, Selector, select
from ft_assets.dataset.split import BRIDGES, NO_LEDGER, SplitFractions, assign_sides
from ft_assets.errors import BadInput, IncompleteArtifact
from ft_assets.records import Message, Side

JUDGED_FILE = "judged.jsonl"
NO_VERDICT, NOT_CLEAR, LIKED_ELSEWHERE = "no_verdict", "neither_liked_nor_disliked", "near_copy_is_liked"
ON_EVAL = "on_the_eval_side"
SIGNAL = pl.Struct({"name": pl.String, "value": pl.Float64, "source": pl.String})
KEPT: dict[str, Any] = {"signals": pl.List(SIGNAL), "conflicting": pl.Boolean}


class JudgedRow(BaseModel):
    """One answer on its side with one verdict. The last message is the answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    example_id: str
    cluster_id: str
    interaction_ids: list[str]
    side: Side
    role: str | None
    task_type: str | None
    reasoning_mode: str
    messages: list[Message]
    liked: bool


def judged_rows(
    curated: pl.LazyFrame | pl.DataFrame,
    rows: pl.DataFrame,
    selector: Selector,
    split_key: str,
    fractions: SplitFractions,
    golden: Sequence[GoldenRow],
    *,
    rules: Rules = NO_RULES,
    ledger: Mapping[str, Side] = NO_LEDGER,
    disliked_below: float = 0.5,
) -> Selection:
    """Columns of JudgedRow, sorted by example_id, and how many other low-score rows of the line there were, by reason.

    `rows` are those of the snapshot with their `side`, `curated` is `curated_examples`. `disliked_below` lies in 0..1;
    a rating of 1 to 5 counts as 0 to 1. A disliked answer stands on the side of its cluster, by the ledger or by
    `side_of`. It is left out when its prompt is asked on another side, when it repeats the golden set or the eval side,
    when a near copy of it has a high score, and beyond the limits of users and sources. These limits hold for liked and
    disliked rows apart.
    """
    drops = Counter[str]()

    def after(step: Selection) -> pl.DataFrame:
        drops.update(step.drops)
        return step.rows

    low = _with_signals(curated.lazy()).filter(~pl.col("high_score").fill_null(False))
    drops.update(_undecided(low, selector, disliked_below))
    clear = low.filter(_undecided_for(disliked_below).is_null())
    any_score = selector.model_copy(update={"high_score_only": False, "min_quality_score": None})
    taken = after(apply_filters(after(select(clear, any_score)), rules))
    telling = after(drop_repeated_answers(apply_transformers(taken, rules), curated, rules.most_prompts_per_answer))
    unasked = after(drop_golden(telling, golden))
    sided = after(assign_sides(unasked, split_key, fractions.eval_fraction, fractions.validation_fraction, ledger))
    learned = after(_not_on_eval(sided))
    apart = with_users(after(_asked_on_one_side(after(_not_liked(learned, curated.lazy())), rows)))
    roomy = after(leave_room_in_groups(apart, limits_of(rules, fractions, slack=2), split_key))
    kept = after(one_per_group(roomy))
    limits, before = limits_of(rules, fractions), -1
    while before != kept.height:  # with fewer rows a text may be no idiom any more, and a share may be smaller
        before = kept.height
        kept = after(without_copies(kept, rows, golden))
        kept = after(within_limits(kept, limits, split_key))
    liked = rows.filter(pl.col("high_score").fill_null(False) & (pl.col("side") != "eval"))
    columns = [name for name in JudgedRow.model_fields if name != "liked"]
    both = [liked.select(*columns, liked=pl.lit(True)), kept.select(*columns, liked=pl.lit(False))]
    return Selection(pl.concat(both).sort("example_id"), dict(sorted((+drops).items())))


def write_judged(rows: pl.DataFrame, directory: Path) -> None:
    """Writes the rows of `judged_rows` into `directory`, as lines of canonical JSON sorted by example_id."""
    write_lines(rows.sort("example_id"), JudgedRow, directory / JUDGED_FILE)


def read_judged(directory: Path, side: Side) -> list[JudgedRow]:
    """The judged rows of one side of the snapshot in `directory`, sorted by example_id; none of the eval side.

    Raises:
        IncompleteArtifact: the file is not there; materialize train_eval_split again.
        BadInput: a line is no judged row; names file and line.
    """
    path = directory / JUDGED_FILE
    if not path.is_file():
        raise IncompleteArtifact(
            f"{path} does not exist, so this snapshot has no judged rows. Materialize train_eval_split."
        )
    return [row for _, row in read_lines(path, JudgedRow) if row.side == side]


def judged_sides(directory: Path) -> dict[str, Side]:
    """The side of every cluster of a snapshot's judged rows, for the ledger; none for an earlier one without the file.

    Raises:
        BadInput: as `read_judged`.
    """
    found = judged_frame(directory, {"cluster_id": pl.String, "side": pl.String}).unique("cluster_id")
    return dict(found.select("cluster_id", "side").iter_rows())


def judged_frame(directory: Path, columns: Mapping[str, Any]) -> pl.DataFrame:
    """These columns of a snapshot's judged rows, without a Python object per row; empty for a snapshot without them.

    Raises:
        BadInput: as `read_judged`.
    """
    path = directory / JUDGED_FILE
    if not path.is_file() or not path.stat().st_size:
        return pl.DataFrame(schema=dict(columns))
    try:
        return pl.read_ndjson(path, schema=dict(columns))
    except pl.exceptions.PolarsError as error:
        list(read_lines(path, JudgedRow))  # names the line
        raise BadInput(f"{path} is not a table of judged rows. Materialize train_eval_split again.") from error


def without_copies(disliked: pl.DataFrame, rows: pl.DataFrame, golden: Sequence[GoldenRow]) -> Selection:
    """The disliked rows that repeat neither a golden row nor a row of the eval side."""
    held = rows.filter(pl.col("side") == "eval").select(HELD)
    clean = drop_copies(pl.concat([held, disliked.select(HELD)]), golden)
    return Selection(disliked.join(clean.rows, on="example_id", how="semi", maintain_order="left"), clean.drops)


# ---- the verdict -----------------------------------------------------------------------------------------------------
def _undecided_for(disliked_below: float) -> pl.Expr:
    """Why a low-score row is not clearly disliked; null where it is."""
    name, value, source = (TURN.field(field) for field in ("name", "value", "source"))
    by_judge = name.str.starts_with("judge:") & (source != NOT_TRUSTED).fill_null(True)
    rating = _mean(pl.when(name == "rating").then((value - 1) / 4))
    judge = _mean(pl.when(by_judge).then(value))
    verdict = _mean(pl.when(name == "expert_verdict").then(value))
    rejected = (verdict == 0).fill_null(False)
    return pl.coalesce(
        pl.when(pl.col("conflicting").fill_null(False)).then(pl.lit(CONFLICTING)),
        pl.when(pl.all_horizontal(rating.is_null(), judge.is_null(), verdict.is_null())).then(pl.lit(NO_VERDICT)),
        pl.when(~rejected & (pl.max_horizontal(rating, judge, verdict) >= disliked_below)).then(pl.lit(NOT_CLEAR)),
    )


def _with_signals(curated: pl.LazyFrame) -> pl.LazyFrame:
    """Rows from before curation kept the signals of an answer have none: nobody's verdict on them is known."""
    there = curated.collect_schema()
    return curated.with_columns(pl.lit(None, kind).alias(name) for name, kind in KEPT.items() if name not in there)


def _mean(values: pl.Expr) -> pl.Expr:
    return pl.col("signals").list.eval(values).list.mean().round(9)  # three times 0.5 is not below 0.5


def _undecided(low: pl.LazyFrame, selector: Selector, disliked_below: float) -> dict[str, int]:
    """How many of the line's low-score rows have no clear verdict, by reason; their texts are not read."""
    wanted = [pl.col(column).is_in(list(names)).fill_null(False) for column, names in selector.wanted().items()]
    of_the_line = low.filter(*wanted) if wanted else low
    why = of_the_line.select(why=_undecided_for(disliked_below)).drop_nulls()
    return dict(why.group_by("why").len().collect().iter_rows())


# ---- the sides -------------------------------------------------------------------------------------------------------
def _not_on_eval(rows: pl.DataFrame) -> Selection:
    learned = rows.filter(pl.col("side") != "eval")
    return Selection(learned, {ON_EVAL: rows.height - learned.height})


def _not_liked(rows: pl.DataFrame, curated: pl.LazyFrame) -> Selection:
    """The rows of which no near copy has a high score: about those the verdicts contradict each other."""
    groups = rows["duplicate_group"].unique().implode()
    liked = curated.filter("high_score", pl.col("duplicate_group").is_in(groups)).select("duplicate_group").collect()
    kept = rows.join(liked, on="duplicate_group", how="anti", maintain_order="left")
    return Selection(kept, {LIKED_ELSEWHERE: rows.height - kept.height})


def _asked_on_one_side(disliked: pl.DataFrame, rows: pl.DataFrame) -> Selection:
    """The rows whose prompt, as it came in and as it was changed, no row of another side of the snapshot asks."""
    asked = prompt_texts(pl.col("messages"))
    keys = [(each.select("example_id", "side", "prompt_id", asked=asked)) for each in (disliked, rows)]
    kept = disliked
    for key in ("prompt_id", "asked"):
        theirs = keys[1].select(key, their_side="side").drop_nulls(key).unique()
        elsewhere = keys[0].join(theirs, on=key).filter(pl.col("side") != pl.col("their_side"))
        kept = kept.join(elsewhere, on="example_id", how="anti", maintain_order="left")
    first = kept.with_columns(asked=asked).filter(pl.col("side").first().over("asked") == pl.col("side"))
    return Selection(first.drop("asked"), {BRIDGES: disliked.height - first.height})
