"""The snapshot: an immutable choice of rows on three sides, the same bytes whenever it is made from the same rows."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from ft_assets.dataset.contamination import IN_GOLDEN_SET, NEAR_COPY_OF_EVAL, drop_copies, drop_golden
from ft_assets.dataset.duplicates import NEAR_DUPLICATE, REPEATED_ANSWER, drop_repeated_answers, one_per_group
from ft_assets.dataset.golden import GoldenRow, golden_digest
from ft_assets.dataset.judged_rows import JUDGED_FILE, judged_rows, write_judged
from ft_assets.dataset.limits import (
    SOURCE_CAP,
    USER,
    USER_CAP,
    leave_room_in_groups,
    limits_of,
    with_users,
    within_limits,
)
from ft_assets.dataset.preference_rows import PREFERENCES_FILE, preference_rows, write_preferences
from ft_assets.dataset.rows import SnapshotRow, canonical_json, read_side, side_frame, write_lines
from ft_assets.dataset.rules import NO_RULES, Rules, apply_filters, apply_transformers, refuse_invalid
from ft_assets.dataset.select import BY_SELECTOR, DUPLICATE, UNREADABLE_CALLS, Selector, select
from ft_assets.dataset.split import BRIDGES, NO_LEDGER, Sided, SplitFractions, assign_sides
from ft_assets.dataset.summary import SnapshotSummary, read_counts, summary_of
from ft_assets.dataset.texts import Texts
from ft_assets.errors import BadInput
from ft_assets.records import SIDES, Side
from ft_assets.system_prompts import SystemPrompt

__all__ = ["SnapshotRow", "SnapshotSummary", "build_snapshot", "choose", "read_counts", "read_side"]

FILES = (*(f"{side}.jsonl" for side in SIDES), PREFERENCES_FILE, JUDGED_FILE, "recipe.json", "counts.json")


@dataclass(frozen=True)
class EligibleTrain:
    """Ids of the rows on the train side, sorted, and what was left out of the choice, by reason."""

    ids: list[str]
    drops: dict[str, int]


def choose(
    curated: pl.LazyFrame | pl.DataFrame,
    selector: Selector,
    split_key: str,
    fractions: SplitFractions,
    golden: Sequence[GoldenRow],
    *,
    rules: Rules = NO_RULES,
    ledger: Mapping[str, Side] = NO_LEDGER,
    previous: Collection[str] = (),
) -> Sided:
    """The rows of a snapshot with their `side`, and every drop. What is built and what triggers both come from here.

    `ledger` is what the state database holds (State.sides), `previous` the example ids of the line's last snapshot:
    among near-duplicates its rows stay.
    """
    selected = select(curated, selector)
    filtered = apply_filters(selected.rows, rules)
    changed = apply_transformers(filtered.rows, rules)
    telling = drop_repeated_answers(changed, curated, rules.most_prompts_per_answer)
    texts = Texts.of(telling.rows["messages"])
    rows = telling.rows.with_row_index("place").with_columns(text=pl.Series(texts.whole))
    unasked = drop_golden(rows, golden, texts)
    sided = assign_sides(unasked.rows, split_key, fractions.eval_fraction, fractions.validation_fraction, ledger)
    wide = limits_of(rules, fractions, slack=2)
    roomy = leave_room_in_groups(with_users(sided.rows), wide, split_key, previous)
    single = one_per_group(roomy.rows, previous)
    clean = drop_copies(single.rows, golden, texts)
    steps = [selected, filtered, telling, unasked, sided, roomy, single, clean]
    # Last, so that nobody's room is taken by rows that go anyway. With fewer rows a text may be no idiom any more, and
    # a share may be smaller: both are looked at until nothing goes.
    limits = limits_of(rules, fractions)
    while (limited := within_limits(clean.rows, limits, split_key, previous)).drops:
        clean = drop_copies(limited.rows, golden, texts)
        steps += [limited, clean]
    drops = Counter[str]()
    for step in steps:
        drops.update(step.drops)
    return replace(sided, rows=clean.rows.drop("place", "text", USER), drops=dict(sorted(drops.items())))


def build_snapshot(
    curated: pl.LazyFrame | pl.DataFrame,
    selector: Selector,
    split_key: str,
    fractions: SplitFractions,
    golden: Sequence[GoldenRow],
    system_prompt: SystemPrompt,
    directory: Path,
    *,
    rules: Rules = NO_RULES,
    ledger: Mapping[str, Side] = NO_LEDGER,
    previous: Collection[str] = (),
    specialization: str = "this model line",
    pairs: pl.LazyFrame | None = None,
    most_pairs_per_prompt: int = 1,
    disliked_below: float = 0.5,
) -> SnapshotSummary:
    """Writes train, validation and eval rows, recipe.json and counts.json into `directory`, and returns the counts.

    The bytes depend on the rows and on the arguments only: not on the order of the input, the time or the machine.
    Messages stand as they were curated and as the line's transformers changed them; the system prompt is recorded
    beside them and added when they are encoded. `ledger` and `previous` as in `choose`. Of `pairs`, the table
    `preference_pairs`, those of the line go into preferences.jsonl, each on the side of its cluster; none without it.
    Liked and disliked answers go into judged.jsonl, whatever the line trains with. See
    `judged_rows`, also for `disliked_below`.

    Raises:
        BadInput: no row is left on the train side (says what was dropped), a validator of the rules finds the snapshot
            invalid, or `directory` holds foreign files.
    """
    chosen = choose(curated, selector, split_key, fractions, golden, rules=rules, ledger=ledger, previous=previous)
    taken = None
    if pairs is not None:
        taken = preference_rows(
            pairs,
            curated,
            chosen.rows,
            selector,
            split_key,
            fractions,
            golden,
            rules=rules,
            ledger=ledger,
            most_pairs_per_prompt=most_pairs_per_prompt,
        )
    judged = judged_rows(
        curated,
        chosen.rows,
        selector,
        split_key,
        fractions,
        golden,
        rules=rules,
        ledger=ledger,
        disliked_below=disliked_below,
    )
    directory.mkdir(parents=True, exist_ok=True)
    if foreign := sorted(path.name for path in directory.iterdir() if path.name not in FILES):
        raise BadInput(
            f"{directory} already holds {foreign[:3]}, which would change the snapshot's id. Use an empty one."
        )
    summary = summary_of(chosen, selector, NEAR_DUPLICATE, taken, judged)
    if not summary.rows_by_side["train"]:
        raise BadInput(_nothing_to_learn(curated, selector, summary))
    refuse_invalid(summary, rules, specialization)
    for side in SIDES:
        on_side = chosen.rows.filter(pl.col("side") == side).sort("example_id")
        write_lines(on_side, SnapshotRow, directory / f"{side}.jsonl")
    if taken is None:
        (directory / PREFERENCES_FILE).touch()
    else:
        write_preferences(taken.rows, directory)
    write_judged(judged.rows, directory)
    recipe = {
        "selector": selector.model_dump(mode="json"),
        "rules": rules.model_dump(mode="json"),
        "system_prompt": system_prompt,
        "fractions": fractions.model_dump(),
        "split_key_sha256": hashlib.sha256(split_key.encode()).hexdigest(),
        "golden_digest": golden_digest(golden),
        "most_pairs_per_prompt": most_pairs_per_prompt,
        "disliked_below": disliked_below,
    }
    for name, value in (("recipe.json", recipe), ("counts.json", summary.model_dump())):
        (directory / name).write_bytes(f"{canonical_json(value)}\n".encode())
    return summary


def eligible_train_ids(
    curated: pl.LazyFrame | pl.DataFrame,
    selector: Selector,
    split_key: str,
    fractions: SplitFractions,
    golden: Sequence[GoldenRow],
    *,
    rules: Rules = NO_RULES,
    ledger: Mapping[str, Side] = NO_LEDGER,
    previous: Collection[str] = (),
) -> EligibleTrain:
    """The ids that a snapshot made now would have on its train side; nothing is written."""
    chosen = choose(curated, selector, split_key, fractions, golden, rules=rules, ledger=ledger, previous=previous)
    on_train = chosen.rows.filter(pl.col("side") == "train")
    return EligibleTrain(on_train["example_id"].sort().to_list(), chosen.drops)


def new_since(train_ids: Iterable[str], previous_snapshot_dir: Path | None) -> list[str]:
    """The train-side ids that the previous snapshot did not have on its train side, sorted; all where there is none."""
    known = set(side_frame(previous_snapshot_dir, "train")["example_id"]) if previous_snapshot_dir else set()
    return sorted(set(train_ids) - known)


def state_digest(new_ids: Iterable[str], recipe_digest: str, base_digest: str) -> str:
    """SHA-256 of what a run would be about: the set of new ids, the recipe and the base. The same set, the same run."""
    state = {"new_ids": sorted(set(new_ids)), "recipe": recipe_digest, "base": base_digest}
    return hashlib.sha256(canonical_json(state).encode()).hexdigest()


def why_waiting(name: str, new: int, threshold: int, drops: Mapping[str, int]) -> str:
    """One sentence for an operator: "qa-engineer 73 of 100: 12 duplicates, 4 without a passing signal"."""
    words = {
        DUPLICATE: "duplicate" if drops.get(DUPLICATE) == 1 else "duplicates",
        NEAR_DUPLICATE: "near-duplicates",
        REPEATED_ANSWER: "with an answer that many prompts got",
        IN_GOLDEN_SET: "in the golden set",
        NEAR_COPY_OF_EVAL: "near copies of the eval side",
        BRIDGES: "that bridge two sides",
        UNREADABLE_CALLS: "with tool calls that cannot be read",
        USER_CAP: "over the limit of their user",
        SOURCE_CAP: "over the limit of their source",
    }
    told: Counter[str] = Counter()
    for reason, number in drops.items():
        otherwise = f"with {reason}" if reason.startswith(BY_SELECTOR) else "without a passing signal"
        otherwise = f"left out by {reason}" if reason.startswith("filter ") else otherwise
        told[words.get(reason, otherwise)] += number
    left_out = ", ".join(f"{number} {what}" for what, number in told.most_common() if number)
    return f"{name} {new} of {threshold}: {left_out or 'nothing was left out, more examples have to come in'}"


def _nothing_to_learn(curated: pl.LazyFrame | pl.DataFrame, selector: Selector, summary: SnapshotSummary) -> str:
    roles = curated.lazy().select("role").unique().collect()["role"].drop_nulls().sort().to_list()
    return (
        f"No row is left on the train side for {selector.wanted() or 'every row'}: by side {summary.rows_by_side}, "
        f"dropped {summary.drops or 'nothing'}, and curated_examples holds the roles {roles}. "
        "Nothing can be trained from this. Widen `select` in the specialization, or curate more rated answers."
    )
