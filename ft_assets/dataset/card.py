"""The data card of a snapshot: what the data are, for somebody who never saw them. Markdown and counts, no texts."""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import polars as pl

from ft_assets.dataset.card_facts import Facts, Subject, facts_of
from ft_assets.dataset.card_funnel import explained, grouped, in_words
from ft_assets.dataset.card_words import few, label, label_sentence, listed, share, table
from ft_assets.dataset.summary import COVERAGE_MINIMUM
from ft_assets.records import SIDES

SIDE_USES = {
    "train": "learned from",
    "validation": "used to stop training in time and to choose the best checkpoint",
    "eval": "held back, to judge the result; training never sees them",
}


def write_card(directory: Path, subject: Subject, rows: pl.DataFrame, last: pl.DataFrame | None) -> str:
    """Writes card.md, facts.json and the pictures into `directory`; returns the card with its pictures inside it.

    `rows` and `last` as `snapshot_rows` gives them. The bytes depend on the arguments only.
    """
    from ft_assets.dataset.card_plots import draw_all

    facts = facts_of(subject, rows, last)
    pictures = draw_all(subject.funnel, facts.coverage, rows, last)
    for name, png in pictures.items():
        (directory / f"{name}.png").write_bytes(png)
    (directory / "card.md").write_text(card(subject, facts, {name: f"{name}.png" for name in pictures}), "utf-8")
    known = {"line": subject.line, "snapshot": subject.snapshot, "last_snapshot": subject.last}
    counted = known | {"funnel": asdict(subject.funnel), "faults": subject.faults, **asdict(facts)}
    (directory / "facts.json").write_text(json.dumps(counted, indent=1, sort_keys=True) + "\n", "utf-8")
    inside = {name: f"data:image/png;base64,{base64.b64encode(png).decode()}" for name, png in pictures.items()}
    return card(subject, facts, inside)


def card(subject: Subject, facts: Facts, pictures: Mapping[str, str]) -> str:
    """The card as Markdown. `pictures`: name to where it is, a file beside the card or a data: URI."""
    blocks = [
        f"# Data card: {label(subject.line)}",
        *_opening(subject),
        "## Where the rows came from",
        *_origins(facts),
        _picture(pictures, "days", "Rows of the snapshot by landing day"),
        "## What was left out, and why",
        *_left_out(subject),
        _picture(pictures, "funnel", "From the records that came in to the rows of the snapshot"),
        *_faults(subject, facts),
        "## What it covers",
        *_coverage(facts),
        _picture(pictures, "coverage", f"Rows by task; a red number is under {COVERAGE_MINIMUM} train rows"),
        "## How long the rows are",
        *_lengths(facts),
        _picture(pictures, "tokens", "Distribution of tokens per row on each side"),
        "## How good the answers are said to be",
        *_scores(facts, subject),
        _picture(pictures, "scores", "Distribution of quality scores"),
        "## How alike the rows are",
        _clusters(facts),
        "## What was masked",
        *_masked(facts),
        "## What changed since the last snapshot",
        *_change(subject, facts),
        "## What these data cannot show",
        _limits(subject, facts),
        f"Snapshot `{subject.snapshot}`. Counts come from its files and from today's tables.",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _opening(subject: Subject) -> list[str]:
    sides = subject.summary.rows_by_side
    taken = "Every rating, judge score and expert verdict that an answer has must pass, and it must have at least one."
    if not subject.selector.high_score_only:
        taken = "This line takes answers whatever their ratings say (`high_score_only: false`)."
    pairs = ""
    if subject.preferences is not None:
        pairs = f"Beside them stand {few(sum(subject.preferences.values()), 'preference pair', 'preference pairs')}: "
        pairs += f"{listed(subject.preferences)}."
    uses = "\n".join(
        f"- **{sides[side]:,} {side}** rows in {few(subject.summary.clusters_by_side[side], 'cluster', 'clusters')}, "
        f"{SIDE_USES[side]}"
        for side in SIDES
    )
    return [
        f"**{sum(sides.values()):,} answers that were logged, rated and kept to teach the model line "
        f"{label(subject.line)}.** What the line does: {label_sentence(subject.description)}",
        f"A row is a conversation that ends with an answer worth learning. {taken} A cluster is a group of rows that "
        "are alike or belong together; it stands on one side, so that nothing is judged by what it learned from.",
        uses,
        pairs,
    ]


def _origins(facts: Facts) -> list[str]:
    days, users = facts.days, facts.users
    asked = f"{few(users['users'], 'user', 'users')} asked"
    if users["users"]:
        asked += f", the most active one {few(users['largest_rows'], 'row', 'rows')} ({share(users['largest_share'])})"
    if users["rows_without"]:
        asked += f"; {few(users['rows_without'], 'row does', 'rows do')} not say who"
    when = f"They landed on {few(days['days'], 'day', 'days')}, from {days['first']} to {days['last']}. "
    names = {
        "source": "source",
        "source_kind": "kind of source",
        "model_version": "model that answered",
        "reasoning_mode": "reasoning mode",
    }
    rows = [
        (names[column], label(each["name"]), each["rows"], share(each["share"]))
        for column, counted in facts.origins.items()
        for each in counted
    ]
    gone = ""
    if facts.unknown_rows:
        gone = (
            f"**{few(facts.unknown_rows, 'row is', 'rows are')} not in the tables any more** (their days were curated "
            "again since): what is said below about origin, length, score and masking leaves them out."
        )
    return [f"{when if days['days'] else ''}{asked}.", gone, table(["", "which", "rows", "share"], rows)]


def _left_out(subject: Subject) -> list[str]:
    rows: list[tuple[object, ...]] = []
    for step in subject.funnel.steps:
        rows.append((f"**{step.name}**", step.count, ""))
        rows += [("", -number, label_sentence(explained(reason))) for reason, number in grouped(step.taken).items()]
    told = "It adds up: each row of this table is the one before it less what was taken away."
    if subject.funnel.problems:
        told = "**It does not add up.** " + " ".join(f"{label_sentence(each)}." for each in subject.funnel.problems)
    return [told, table(["what", "rows", "taken away for"], rows)]


def _faults(subject: Subject, facts: Facts) -> list[str]:
    if subject.faults is None:
        return ["Faults of answers (refusals, empty praise and the like) were not looked for in these days."]
    if not subject.faults:
        return ["No answer of this line was found to be a refusal, truncated, repeating, or empty praise."]
    inside = sum(facts.faults_in_snapshot.values())
    rows = [
        (
            label_sentence(explained(f"fault {fault}").removeprefix("fault ")),
            number,
            facts.faults_in_snapshot.get(fault, 0),
        )
        for fault, number in subject.faults.items()
    ]
    told = "Answers that score well and are worth nothing, found in all curated examples of this line. "
    told += f"**{few(inside, 'fault is', 'faults are')} in the snapshot.**" if inside else "None is in the snapshot."
    return [told, table(["fault", "examples", "in the snapshot"], rows)]


def _coverage(facts: Facts) -> list[str]:
    rows = [
        (label(each["role"]), label(in_words(each["task"])), *(each[side] for side in SIDES)) for each in facts.coverage
    ]
    told = f"No gap: every task and role that the line names has at least {COVERAGE_MINIMUM} train rows."
    if facts.gaps:
        told = (
            f"**Gaps**, fewer than {COVERAGE_MINIMUM} train rows: {listed(facts.gaps)}. The model will be asked these "
        )
        told += "all the same."
    return [told, table(["role", "task", *SIDES], rows)]


def _lengths(facts: Facts) -> list[str]:
    head = ["side", "rows", "shortest", "median", "95 % have at most", "longest", "tokens in all"]
    names = ("side", "rows", "min", "p50", "p95", "max", "total")
    return [
        "Tokens in all turns of a row, as they were counted in curation, before a chat template is added.",
        table(head, [[each[name] for name in names] for each in facts.tokens]),
    ]


def _scores(facts: Facts, subject: Subject) -> list[str]:
    verified = facts.verified
    of = verified["rows"] / max(1, verified["of"])
    told = (
        f"A person checked or wrote {few(verified['rows'], 'train row', 'train rows')} of {verified['of']:,} "
        f"(**{share(of)}**), {verified['corrected']:,} of them with a corrected answer; the recommended least is "
        f"{share(subject.limits.least_human_verified_share)}."
    )
    scores = facts.scores
    if scores["rows"]:
        told += (
            f" The quality score is the mean of a row's signals, 0 to 1: median {scores['p50']:.3g}, 5 % have at most "
            f"{scores['p05']:.3g}. It says how much people and judges liked an answer, not whether it is true."
        )
    rows = [
        (label(each["name"]), label(each["source"]), each["rows"], each["low"], each["middle"], each["mean"])
        for each in facts.signals
    ]
    return [told, table(["signal", "given by", "rows", "10 % have at most", "median", "mean"], rows) if rows else ""]


def _clusters(facts: Facts) -> str:
    clusters = facts.clusters
    held = ""
    if clusters["ledger_held"]:
        held = f" {few(clusters['ledger_held'], 'cluster stays', 'clusters stay')} on an earlier side by the ledger."
    return (
        f"The rows fall into {few(clusters['clusters'], 'cluster', 'clusters')}; {clusters['alone']:,} of them hold "
        f"one row, the largest {few(clusters['largest'], 'row', 'rows')} ({share(clusters['largest_share'])}). "
        f"{few(clusters['near_duplicates'], 'row was', 'rows were')} left out because a near-duplicate stays.{held}"
    )


def _masked(facts: Facts) -> list[str]:
    if not facts.masked:
        return ["Nothing in these rows looked like personal data or a secret."]
    rows = [(label(each["kind"]), each["places"], each["rows"]) for each in facts.masked]
    return [
        "Personal data and secrets were replaced before anything was stored; what is left is a placeholder.",
        table(["kind", "places", "rows"], rows),
    ]


def _change(subject: Subject, facts: Facts) -> list[str]:
    change = facts.change
    if not change:
        return ["There is no earlier snapshot to compare with."]
    before, now = change["rows_by_side"], subject.summary.rows_by_side
    sides = [
        (f"{side} rows", before.get(side, 0), now[side], f"{now[side] - before.get(side, 0):+,}") for side in SIDES
    ]
    tasks = [
        (f"train rows of {label(in_words(task))}", old, new, f"{new - old:+,}")
        for task, (old, new) in change["train_rows_by_task"].items()
    ]
    gaps = [
        (each["name"], each["before"], each["now"], each["gap"], "yes" if each["gap"] > each["allowed"] else "no")
        for each in change["gaps"]
    ]
    return [
        f"{few(change['new'], 'row is', 'rows are')} new and {change['gone']:,} are gone since `{subject.last}`.",
        table(["", "last", "now", "change"], [*sides, *tasks]),
        "Whether the rows have another shape, by the largest gap between the two cumulative distributions "
        "(Kolmogorov-Smirnov, 0 is the same, 1 nothing in common):",
        table(["", "last median", "median now", "gap", "more than expected"], gaps) if gaps else "",
    ]


def _limits(subject: Subject, facts: Facts) -> str:
    said = [label_sentence(warning) for warning in subject.warnings]
    if not facts.scores["rows"]:
        said.append("No row has a score, so nothing is said about how good the answers are.")
    if facts.users["users"] and facts.users["largest_share"] > 0.1:
        said.append(f"One user gave {share(facts.users['largest_share'])} of the rows: the model learns one voice.")
    said.append("Only people who rate are heard, and only answers that were rated can be here.")
    said.append("Near-duplicates and golden questions are found by wording; the same question in other words is not.")
    return "\n".join(f"- {each}" for each in said)


def _picture(pictures: Mapping[str, str], name: str, caption: str) -> str:
    return f"![{caption}]({pictures[name]})" if name in pictures else ""
