"""What a data card tells about a snapshot, in numbers: counted over columns, never over texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from ft_assets.dataset.card_funnel import Funnel
from ft_assets.dataset.expectations_figures import allowed_gap, largest_gap
from ft_assets.dataset.expectations_limits import DEFAULT, Expectations
from ft_assets.dataset.select import Selector
from ft_assets.dataset.summary import COVERAGE_MINIMUM, WITHOUT_TASK, SnapshotSummary
from ft_assets.records import SIDES
from ft_assets.user_names import same_user

MOST_LISTED = 10
UNKNOWN = "(not said)"
Table = list[dict[str, Any]]


@dataclass(frozen=True)
class Subject:
    """The snapshot that a card is about, and what is known about it from elsewhere. `last` is the earlier one's id."""

    line: str
    description: str
    snapshot: str
    summary: SnapshotSummary
    selector: Selector
    funnel: Funnel
    warnings: Sequence[str] = ()
    last: str | None = None
    last_summary: SnapshotSummary | None = None
    preferences: dict[str, int] | None = None
    faults: dict[str, int] | None = None
    limits: Expectations = DEFAULT


@dataclass(frozen=True)
class Facts:
    """The numbers of a card. Tables are rows of plain values; shares lie in 0..1; days are landing days."""

    origins: dict[str, Table]
    days: dict[str, Any]
    users: dict[str, Any]
    coverage: Table
    gaps: dict[str, int]
    tokens: Table
    verified: dict[str, Any]
    signals: Table
    scores: dict[str, Any]
    clusters: dict[str, Any]
    masked: Table
    faults_in_snapshot: dict[str, int]
    change: dict[str, Any]
    unknown_rows: int


def facts_of(subject: Subject, rows: pl.DataFrame, last: pl.DataFrame | None) -> Facts:
    """The facts about the `rows` of a snapshot (`snapshot_rows`), beside those of the `last` one."""
    train = rows.filter(pl.col("side") == "train")
    columns = ("source", "source_kind", "model_version", "reasoning_mode")
    return Facts(
        origins={column: _counts(rows, column) for column in columns},
        days=_days(rows),
        users=_users(rows),
        coverage=_coverage(rows, subject.selector),
        gaps={
            **gaps_of(train, "task_type", subject.selector.task_types),
            **gaps_of(train, "role", subject.selector.roles),
        },
        tokens=[_tokens(rows, side) for side in SIDES],
        verified={
            "rows": int(train["human_verified"].fill_null(False).sum()),
            "of": train.height,
            "corrected": int(train["corrected"].fill_null(False).sum()),
        },
        signals=_signals(rows),
        scores=_quantiles(rows["quality_score"]),
        clusters=_clusters(rows, subject.summary),
        masked=_masked(rows),
        faults_in_snapshot=_listed(rows, "faults"),
        change=_change(rows, last, subject),
        unknown_rows=rows.height - int(rows["known"].sum()),
    )


def faults_of_line(curated: pl.LazyFrame | pl.DataFrame, selector: Selector) -> dict[str, int] | None:
    """Fault to how many curated examples of the line have it; None for tables from before faults were looked for.

    Examples with a fault never score high, so they are among what the line looked at, not among what it took.
    `conflicting votes` counts examples whose votes contradict each other.
    """
    frame = curated.lazy()
    there = set(frame.collect_schema())
    if "faults" not in there:
        return None
    mine = ["role"] if selector.roles else list(selector.wanted())
    for column in mine:
        frame = frame.filter(pl.col(column).is_in(list(selector.wanted()[column])).fill_null(False))
    votes = pl.col("conflicting").fill_null(False) if "conflicting" in there else pl.lit(False)
    found = frame.select("faults", conflicting=votes).collect(engine="streaming")
    faults = _listed(found, "faults")
    conflicts = int(found["conflicting"].sum())
    return faults | ({"conflicting votes": conflicts} if conflicts else {})


def _counts(rows: pl.DataFrame, column: str) -> Table:
    """The most frequent values of a column with their rows and share; the rest as one."""
    counted = (
        rows.group_by(pl.col(column).fill_null(UNKNOWN).alias("name"))
        .agg(rows=pl.len())
        .sort("rows", "name", descending=[True, False])
    )
    table = [{"name": name, "rows": number, "share": number / rows.height} for name, number in counted.iter_rows()]
    if len(table) <= MOST_LISTED:
        return table
    rest = sum(each["rows"] for each in table[MOST_LISTED - 1 :])
    others = {"name": f"{len(table) - MOST_LISTED + 1} others", "rows": rest, "share": rest / rows.height}
    return [*table[: MOST_LISTED - 1], others]


def _days(rows: pl.DataFrame) -> dict[str, Any]:
    return {"first": rows["day"].min(), "last": rows["day"].max(), "days": rows["day"].drop_nulls().n_unique()}


def _users(rows: pl.DataFrame) -> dict[str, Any]:
    """How many, and how much the most active one gave. Ids stay out of the card."""
    by_user = rows.select(user=same_user(pl.col("user_id")))["user"].drop_nulls().value_counts()["count"]
    largest = int(by_user.max() or 0)  # type: ignore[arg-type]
    known = int(by_user.sum())
    return {
        "users": by_user.len(),
        "rows_without": rows.height - known,
        "largest_rows": largest,
        "largest_share": largest / max(1, rows.height),
    }


def _coverage(rows: pl.DataFrame, selector: Selector) -> Table:
    """Rows by role, task and side; a role and a task that the line names are there with nothing, too."""
    cells: dict[tuple[str, str], dict[str, int]] = {}
    by = [pl.col(column).fill_null(WITHOUT_TASK) for column in ("role", "task_type")]
    for role, task, side, number in rows.group_by(*by, "side").len().iter_rows():
        cells.setdefault((role, task), {})[side] = number
    roles = selector.roles or sorted({role for role, _ in cells})
    for task in selector.task_types:
        if not any(task == known for _, known in cells):
            cells[(roles[0] if len(roles) == 1 else UNKNOWN, task)] = {}
    for role in selector.roles:
        if not any(role == known for known, _ in cells):
            cells[(role, UNKNOWN)] = {}
    return [
        {"role": role, "task": task, **{side: by_side.get(side, 0) for side in SIDES}}
        for (role, task), by_side in sorted(cells.items())
    ]


def gaps_of(train: pl.DataFrame, column: str, named: Sequence[str]) -> dict[str, int]:
    """The values of the column that the line names and has too few train rows of, with their rows."""
    counts = dict(train.group_by(column).len().iter_rows())
    return {name: rows for name in named if (rows := counts.get(name, 0)) < COVERAGE_MINIMUM}


def _tokens(rows: pl.DataFrame, side: str) -> dict[str, Any]:
    tokens = rows.filter(pl.col("side") == side)["n_tokens"].drop_nulls()
    if not tokens.len():
        return {"side": side, "rows": 0, "min": 0, "p50": 0, "p95": 0, "max": 0, "total": 0}
    half, most = (int(tokens.quantile(share, "nearest") or 0) for share in (0.5, 0.95))
    return {
        "side": side,
        "rows": tokens.len(),
        "min": int(tokens.min()),  # type: ignore[arg-type]
        "p50": half,
        "p95": most,
        "max": int(tokens.max()),  # type: ignore[arg-type]
        "total": int(tokens.sum()),
    }


def _signals(rows: pl.DataFrame) -> Table:
    flat = rows.select("signals").explode("signals").drop_nulls().unnest("signals").drop_nulls("value")
    value = pl.col("value")
    by = flat.group_by("name", "source").agg(
        rows=pl.len(),
        low=value.quantile(0.1, "nearest"),
        middle=value.quantile(0.5, "nearest"),
        mean=value.mean(),
    )
    return by.sort("rows", "name", "source", descending=[True, False, False]).head(2 * MOST_LISTED).to_dicts()


def _quantiles(values: pl.Series) -> dict[str, Any]:
    known = values.drop_nulls()
    return {name: known.quantile(at, "nearest") for name, at in (("p05", 0.05), ("p50", 0.5), ("p95", 0.95))} | {
        "mean": known.mean(),
        "rows": known.len(),
    }


def _clusters(rows: pl.DataFrame, summary: SnapshotSummary) -> dict[str, Any]:
    sizes = rows["cluster_id"].value_counts()["count"]
    return {
        "clusters": sizes.len(),
        "alone": int((sizes == 1).sum()),
        "largest": int(sizes.max() or 0),  # type: ignore[arg-type]
        "largest_share": summary.largest_cluster_share,
        "near_duplicates": summary.near_duplicates,
        "ledger_held": summary.ledger_held,
    }


def _masked(rows: pl.DataFrame) -> Table:
    """Kind to replaced places and to the rows that hold one."""
    flat = rows.select("example_id", "masked").explode("masked").drop_nulls("masked").unnest("masked")
    counted = flat.group_by("kind").agg(places=pl.col("count").sum(), rows=pl.col("example_id").n_unique())
    return counted.sort("places", "kind", descending=[True, False]).to_dicts()


def _listed(rows: pl.DataFrame, column: str) -> dict[str, int]:
    return dict(
        rows[column].explode().drop_nulls().value_counts().sort("count", column, descending=[True, False]).rows()
    )


def _change(rows: pl.DataFrame, last: pl.DataFrame | None, subject: Subject) -> dict[str, Any]:
    if last is None or subject.last_summary is None:
        return {}
    ids, before = rows["example_id"], last["example_id"]
    stayed = int(ids.is_in(before.implode()).sum())
    tasks = subject.last_summary.rows_by_task
    return {
        "rows_by_side": subject.last_summary.rows_by_side,
        "new": ids.len() - stayed,
        "gone": before.len() - stayed,
        "train_rows_by_task": {
            task: (tasks.get(task, {}).get("train", 0), subject.summary.rows_by_task.get(task, {}).get("train", 0))
            for task in sorted({*tasks, *subject.summary.rows_by_task})
        },
        "gaps": [
            {
                "name": name,
                "gap": largest_gap(rows[column], last[column]),
                "allowed": allowed_gap(rows[column].count(), last[column].count(), subject.limits),
                "before": last[column].median(),
                "now": rows[column].median(),
            }
            for column, name in (
                ("n_tokens", "tokens of a row"),
                ("answer_characters", "characters of an answer"),
                ("quality_score", "quality score"),
            )
            if rows[column].count() and last[column].count()
        ],
    }
