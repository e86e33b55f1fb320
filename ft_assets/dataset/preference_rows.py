"""The preference pairs of a snapshot: those a model line takes, each on the side of its cluster, none that leaks.

A pair is held to what a row of the snapshot is held to, with both its answers, but for the high score: what one learns
from a pair is the difference. So the pairs go through the same steps as the rows, once with the chosen answer behind
the prompt, once with the rejected one, and stay where both stay.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict

from ft_assets.dataset.call_texts import said
from ft_assets.dataset.contamination import drop_copies, drop_golden
from ft_assets.dataset.duplicates import drop_repeated_answers
from ft_assets.dataset.golden import GoldenRow
from ft_assets.dataset.limits import limits_of, with_users, within_limits
from ft_assets.dataset.preference_schema import CORRECTION, RATINGS
from ft_assets.dataset.preference_scores import CONFLICTING, FAULTY, SAME_ANSWERS
from ft_assets.dataset.preferences import ALREADY, same_answers
from ft_assets.dataset.rows import read_lines, write_lines
from ft_assets.dataset.rules import NO_RULES, Rules, apply_filters, apply_transformers
from ft_assets.dataset.select import COLUMNS, Selection, Selector, select
from ft_assets.dataset.split import BRIDGES, NO_LEDGER, SplitFractions, assign_sides
from ft_assets.errors import IncompleteArtifact
from ft_assets.records import SIDES, Message, Side

PREFERENCES_FILE = "preferences.jsonl"
GONE, BETTER_PAIRS = "example_is_gone", "prompt_has_better_pairs"
OF_EXAMPLES = (
    "example_id", "prompt_id", "answer_id", "cluster_id", "linked_clusters", "domain", "tags", "n_tokens", "faults",
    "conflicting",
)  # fmt: skip
HELD = ("example_id", "cluster_id", "task_type", "messages", "side")
TURN = pl.element().struct


class PreferenceRow(BaseModel):
    """One pair on its side. `chosen` and `rejected` are one turn of the assistant each, to follow on `prompt`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    pair_id: str
    cluster_ids: list[str]  # the chosen example's, then the rejected one's where that is another
    example_ids: list[str]
    interaction_ids: list[str]
    side: Side
    origin: str
    gap: float | None
    role: str | None
    task_type: str | None
    reasoning_mode: str
    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]


def preference_rows(
    pairs: pl.LazyFrame | pl.DataFrame,
    curated: pl.LazyFrame | pl.DataFrame,
    rows: pl.DataFrame,
    selector: Selector,
    split_key: str,
    fractions: SplitFractions,
    golden: Sequence[GoldenRow],
    *,
    rules: Rules = NO_RULES,
    ledger: Mapping[str, Side] = NO_LEDGER,
    most_pairs_per_prompt: int = 1,
) -> Selection:
    """The pairs of a snapshot with their `side`, sorted by pair_id, and how many others there were, by reason.

    `pairs` is `preference_pairs`, `curated` is `curated_examples`, `rows` are those of the snapshot with their `side`.
    A pair stands on the side of its clusters, by the ledger or by `side_of`. It is left out when they are on several
    sides, or when its prompt stands on another side of the snapshot (`bridges_train_and_eval`); when it asks or repeats
    what the golden set or the eval side holds; and when an example that it was made from is gone, has faults now or is
    in doubt. Filters, the limit of repeated answers and of users and sources are those of the line's `rules`.
    """
    drops = Counter[str]()

    def after(step: Selection) -> pl.DataFrame:
        drops.update(step.drops)
        return step.rows

    living = after(_living(pairs.lazy().collect(), curated.lazy()))
    any_score = selector.model_copy(update={"high_score_only": False, "min_quality_score": None})
    chosen = after(apply_filters(after(select(_as_examples(living, "chosen"), any_score)), rules))
    telling = after(drop_repeated_answers(apply_transformers(chosen, rules), curated, rules.most_prompts_per_answer))
    chosen = after(drop_golden(telling, golden))
    rejected = after(select(_as_examples(_among(living, chosen), "rejected"), any_score))
    rejected = after(drop_golden(apply_transformers(rejected, rules), golden))
    told_apart = after(_different(_among(chosen, rejected), rejected))
    sided = after(assign_sides(told_apart, split_key, fractions.eval_fraction, fractions.validation_fraction, ledger))
    kept = after(_asked_on_one_side(sided, rows)).join(
        living.select("example_id", "user_id", "origin", "gap"), on="example_id", maintain_order="left"
    )
    kept = with_users(after(_best_of_each_prompt(kept, most_pairs_per_prompt)))
    limits, before = limits_of(rules, fractions), -1
    while before != kept.height:  # with fewer pairs a text may be no idiom any more, and a share may be smaller
        before = kept.height
        kept = after(without_copies(kept, rejected, rows, golden))
        kept = after(within_limits(kept, limits, split_key))
    return Selection(_as_pairs(kept, rejected, living), dict(sorted((+drops).items())))


def write_preferences(rows: pl.DataFrame, directory: Path) -> None:
    """Writes the rows of `preference_rows` into `directory`, as lines of canonical JSON sorted by pair_id."""
    write_lines(rows.sort("pair_id"), PreferenceRow, directory / PREFERENCES_FILE)


def read_preferences(directory: Path, side: Side) -> list[PreferenceRow]:
    """The pairs of one side of the snapshot in `directory`, sorted by pair_id.

    Raises:
        IncompleteArtifact: the file is not there; materialize train_eval_split again.
        BadInput: a line is no pair; names file and line.
    """
    path = directory / PREFERENCES_FILE
    if not path.is_file():
        raise IncompleteArtifact(f"{path} does not exist, so this snapshot has no pairs. Materialize train_eval_split.")
    return [row for _, row in read_lines(path, PreferenceRow) if row.side == side]


def preference_sides(directory: Path) -> dict[str, Side]:
    """The side of every cluster that a pair of the snapshot was made from: what the ledger records of them.

    Raises:
        IncompleteArtifact, BadInput: as `read_preferences`.
    """
    return {cluster: side for side in SIDES for row in read_preferences(directory, side) for cluster in row.cluster_ids}


def _living(pairs: pl.DataFrame, curated: pl.LazyFrame) -> Selection:
    """Each pair once, with what `curated` says of its examples now; example_id is the pair's own."""
    once = pairs.sort("day", "pair_id").unique("pair_id", keep="first", maintain_order=True)
    ids = once["example_ids"].explode().unique().implode()
    known = curated.filter(pl.col("example_id").is_in(ids)).select("day", *OF_EXAMPLES).collect().sort("day")
    of_chosen = known.unique("example_id", keep="first", maintain_order=True).drop("day")
    of_rejected = of_chosen.select(
        "example_id", "conflicting", "linked_clusters", their_cluster="cluster_id", found=pl.lit(True)
    )
    joined = (
        once.drop("cluster_id")
        .with_columns(example_id=pl.col("example_ids").list.first(), their_id=pl.col("example_ids").list.last())
        .join(of_chosen, on="example_id", how="left")
        .join(of_rejected, left_on="their_id", right_on="example_id", how="left", suffix="_rejected")
    )
    reasons = [
        pl.when(pl.col("cluster_id").is_null() | pl.col("found").is_null()).then(pl.lit(GONE)),
        pl.when(pl.col("faults").list.len() > 0).then(pl.lit(FAULTY)),
        pl.when(pl.any_horizontal("conflicting", "conflicting_rejected")).then(pl.lit(CONFLICTING)),
    ]
    judged = joined.with_columns(dropped_for=pl.coalesce(reasons))
    drops = dict(judged["dropped_for"].drop_nulls().value_counts().rows())
    if copies := pairs.height - once.height:
        drops[ALREADY] = copies
    clusters = pl.concat_list(pl.col("linked_clusters", "linked_clusters_rejected").fill_null([]), "their_cluster")
    own = pl.col("cluster_id")
    living = judged.filter(pl.col("dropped_for").is_null()).with_columns(
        example_id="pair_id",
        cluster_ids=pl.concat_list(own, "their_cluster").list.unique(maintain_order=True),
        linked_clusters=clusters.list.unique(maintain_order=True).list.set_difference(pl.concat_list(own)),
    )
    return Selection(living, drops)


def _as_examples(living: pl.DataFrame, side: str) -> pl.DataFrame:
    """The prompts with the answers of one side, as rows of `curated_examples` that the snapshot's steps take."""
    made = {
        "messages": pl.col("prompt").list.concat(pl.col(side)),
        "interaction_ids": pl.concat_list("example_id"),
        "duplicate_group": pl.col("example_id"),
        "high_score": pl.lit(True),
        "difficulty": pl.lit(None, dtype=pl.String),
        "quality_score": pl.lit(None, dtype=pl.Float64),
        "human_verified": pl.col("origin") == CORRECTION,
        "low_score_reason": pl.lit(None, dtype=pl.String),
    }
    return living.select(made.get(name, pl.col(name)).alias(name) for name in COLUMNS)


def _among(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    return rows.join(others.select("example_id"), on="example_id", how="semi", maintain_order="left")


def _different(chosen: pl.DataFrame, rejected: pl.DataFrame) -> Selection:
    """The pairs whose sides the line's transformers did not make the same."""
    theirs = chosen.select("example_id").join(rejected, on="example_id", maintain_order="left")["messages"]
    same = same_answers(chosen["messages"].list.tail(1), theirs.list.tail(1))
    return Selection(chosen.filter(~same), {SAME_ANSWERS: int(same.sum())})


def _asked_on_one_side(pairs: pl.DataFrame, rows: pl.DataFrame) -> Selection:
    """The pairs whose prompt no row of another side of the snapshot asks, and no pair of one that stands before it."""
    keyed = pairs.with_columns(asked=prompt_texts(pl.col("messages")))
    theirs = rows.select(asked=prompt_texts(pl.col("messages")), their_side="side").unique()
    elsewhere = keyed.join(theirs, on="asked").filter(pl.col("side") != pl.col("their_side"))
    alone = keyed.join(elsewhere, on="example_id", how="anti", maintain_order="left")
    kept = alone.filter(pl.col("side").first().over("asked") == pl.col("side"))
    return Selection(kept.drop("asked"), {BRIDGES: pairs.height - kept.height})


def prompt_texts(messages: pl.Expr) -> pl.Expr:
    """All turns but the answer as one text, with their tool calls."""
    turn = pl.concat_str(TURN.field("role"), TURN.field("content"), separator="\x1f")
    return said(messages.list.slice(0, messages.list.len() - 1)).list.eval(turn).list.join("\x1e")


def _best_of_each_prompt(pairs: pl.DataFrame, most: int) -> Selection:
    """Of the pairs from ratings, each prompt's with the widest gaps, whatever day they are of; all others."""
    best = pairs.filter(origin=RATINGS).sort(-pl.col("gap"), "day", "example_id")
    best = best.group_by("prompt_id", maintain_order=True).head(most)
    ids = best["example_id"].implode()
    kept = pairs.filter((pl.col("origin") != RATINGS) | pl.col("example_id").is_in(ids))
    return Selection(kept, {BETTER_PAIRS: pairs.height - kept.height})


def without_copies(
    chosen: pl.DataFrame, rejected: pl.DataFrame, rows: pl.DataFrame, golden: Sequence[GoldenRow]
) -> Selection:
    """The pairs to learn from that repeat, with either answer, neither a golden row nor a row or a pair to judge by."""
    sides = chosen.select("example_id", "side")
    drops = Counter[str]()
    for answers in (chosen, rejected.join(sides, on="example_id", maintain_order="left")):
        both = [rows, chosen, rejected.join(sides, on="example_id", maintain_order="left")]
        held = [each.filter(pl.col("side") == "eval").select(HELD) for each in both]
        learned = _among(answers, chosen).filter(pl.col("side") != "eval").select(HELD)
        clean = drop_copies(pl.concat([*held, learned]), golden)
        drops.update(clean.drops)
        gone = learned.join(clean.rows, on="example_id", how="anti")
        chosen = chosen.join(gone, on="example_id", how="anti", maintain_order="left")
    return Selection(chosen, drops)


def _as_pairs(kept: pl.DataFrame, rejected: pl.DataFrame, living: pl.DataFrame) -> pl.DataFrame:
    """Columns of PreferenceRow, source and user_id, with the turns as the line's transformers left them."""
    own = kept.select(
        "example_id",
        "side",
        prompt=pl.col("messages").list.slice(0, pl.col("messages").list.len() - 1),
        chosen=pl.col("messages").list.tail(1),
    )
    theirs = rejected.select("example_id", rejected=pl.col("messages").list.tail(1))
    others = living.drop("example_id", "prompt", "chosen", "rejected").with_columns(example_id="pair_id")
    made = own.join(theirs, on="example_id").join(others, on="example_id")
    return made.select(*PreferenceRow.model_fields, "source", "user_id").sort("pair_id")
