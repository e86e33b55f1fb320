"""What Dagster's local event store keeps of a person's texts: reports and previews are metadata of materializations.

The events stay, with all their ids and numbers; only texts in them that repeat the person's are replaced. There is no
function of Dagster for that, and events are JSON in a column, which this rewrites and nothing else.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from ft_assets.erasure.artifacts import Traces

ERASED = "erased by request"
BUSY_SECONDS = 30.0
COLUMNS = (
    ("event_logs", "event"),
    ("asset_check_executions", "evaluation_event"),
    ("asset_keys", "last_materialization"),
)


def redact_run_events(home: Path, traces: Traces, dry_run: bool) -> int:
    """How many events under DAGSTER_HOME/history lost a text."""
    if not traces.pieces:
        return 0
    return sum(_redact(path, traces, dry_run) for path in sorted((home / "history").rglob("*.db")))


def _redact(path: Path, traces: Traces, dry_run: bool) -> int:
    count = 0
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table, column in COLUMNS:
            if table not in tables:
                continue
            rows = database.execute(f"SELECT id, {column} FROM {table} WHERE {column} IS NOT NULL")
            changed = [(new, key) for key, event in rows if (new := _without(event, traces)) is not None]
            count += len(changed)
            if changed and not dry_run:
                database.execute("PRAGMA secure_delete = ON")  # or the old text would stay in freed pages
                database.executemany(f"UPDATE {table} SET {column} = ? WHERE id = ?", changed)
                database.commit()
        if count and not dry_run:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return count


def _without(event: str, traces: Traces) -> str | None:
    """The event with each text that repeats the person's replaced; None where none does."""
    if not traces.of_text(event) and not traces.of_text(event.encode().decode("unicode_escape", "replace")):
        return None
    try:
        return json.dumps(_replaced(json.loads(event), traces))
    except ValueError:
        return None


def _replaced(value: Any, traces: Traces) -> Any:
    if isinstance(value, str):
        return ERASED if traces.of_text(value) else value
    if isinstance(value, dict):
        return {key: _replaced(inner, traces) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, traces) for inner in value]
    return value
