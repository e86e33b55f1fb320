"""Copies of a person's rows outside of tables and artifacts: token caches, checkpoints, files that people left in the
lake, journals that wait for MLflow, and the logs of runs."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ft_assets.erasure.artifacts import Traces, texts_in
from ft_assets.erasure.found import Found
from ft_assets.lake import Lake
from ft_assets.lake_folders import files_below
from ft_assets.lake_upkeep import LEFTOVER_SECONDS
from ft_assets.tracking_journal import taken

TOKENS = "tokens.arrow"
# Folders of the lake that others here look after, and the databases beside them.
LOOKED_AFTER = ("landing", "tables", "artifacts", "index", "work", "quarantine", "mlflow-artifacts")
FROZEN = ("golden",)  # question sets that are known by their SHA-256: a person has to decide
BLANK = b"."


@dataclass
class TracesErased:
    """What went, by its place. `for_a_person`: files that cannot be changed without breaking what they are for."""

    token_caches: list[str] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)
    training_now: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    log_lines: dict[str, int] = field(default_factory=dict)
    for_a_person: list[str] = field(default_factory=list)


def erase_traces(
    lake: Lake, found: Found, traces: Traces, log_folders: list[Path], spool: Path | None, dry_run: bool
) -> TracesErased:
    """Removes what holds their rows, and blanks lines of logs that repeat their texts. `spool` is where trainings on
    this machine keep a journal for MLflow, which is locked while they live."""
    done = TracesErased()
    if found.rows:
        _token_caches(lake, found, done, dry_run)
    if found.snapshots:
        _checkpoints(lake, done, spool is not None and not _trains_here(spool), dry_run)
    _other_files(lake, traces, done, dry_run)
    for folder in log_folders:
        for path in log_files(folder):
            if lines := blank_lines(path, traces, dry_run):
                done.log_lines[str(path)] = lines
    return done


def log_files(home: Path) -> Iterator[Path]:
    """The logs of runs, steps and daemons below a DAGSTER_HOME."""
    yield from (path for path in sorted(home.glob("*.log")) if path.is_file())
    for folder in ("storage", "logs"):
        yield from (path for path in sorted((home / folder).rglob("*")) if path.is_file())


def blank_lines(path: Path, traces: Traces, dry_run: bool) -> int:
    """How many lines of a log repeat their texts. These are overwritten in place, so that a process that goes on
    writing to the file is not disturbed."""
    count, at = 0, 0
    with path.open("rb" if dry_run else "r+b") as log:
        lines = log.read().split(b"\n")
        if not traces.of_text(b"\n".join(lines).decode("utf-8", "replace")):
            return 0
        for line in lines:
            if traces.of_text(line.decode("utf-8", "replace")):
                count += 1
                if not dry_run:
                    log.seek(at)
                    log.write(BLANK * len(line))
            at += len(line) + 1
    return count


def _token_caches(lake: Lake, found: Found, done: TracesErased, dry_run: bool) -> None:
    """Entries with tokens of their rows, and all packed ones, which do not say whose rows they hold: they are packed
    again from the others in seconds."""
    root = lake.work_dir("tokens")
    for entry in sorted(root.iterdir()):
        tokens = entry / TOKENS
        if tokens.is_file() and not found.rows.intersection(_names(tokens)):
            continue
        done.token_caches.append(entry.name)
        if not dry_run:
            shutil.rmtree(entry, ignore_errors=True)


def _names(tokens: Path) -> set[str]:
    import pyarrow as pa

    with pa.memory_map(str(tokens)) as file, pa.ipc.open_stream(file) as batches:
        return {name for batch in batches for name in batch.column("example_id").to_pylist()}


def _checkpoints(lake: Lake, done: TracesErased, is_quiet: bool, dry_run: bool) -> None:
    """Checkpoints do not say whose rows they learned from. Those at rest serve nobody but a training that goes on."""
    root, place = lake.work_dir("training"), "work/training"
    for entry in sorted(path for path in root.iterdir() if path.is_dir()):
        changed = max((path.stat().st_mtime for path in entry.rglob("*")), default=0.0)
        if _at_rest(done, entry.name, is_quiet, changed) and not dry_run:
            shutil.rmtree(entry, ignore_errors=True)
    if str(root) == lake.folders.uri(place):
        return
    for name in lake.folders.subfolders(place):  # on S3, where trainings of other machines keep theirs, too
        keys = [key for key, _ in files_below(lake.folders, f"{place}/{name}")]
        changed = max(map(lake.folders.changed_at, keys), default=0.0)
        if _at_rest(done, name, False, changed) and not dry_run:
            lake.folders.remove_all(f"{place}/{name}")


def _at_rest(done: TracesErased, name: str, is_quiet: bool, changed_at: float) -> bool:
    at_rest = is_quiet or time.time() - changed_at > LEFTOVER_SECONDS
    listed = done.checkpoints if at_rest else done.training_now
    if name not in listed:
        listed.append(name)
    return at_rest


def _trains_here(spool: Path) -> bool:
    """Whether a process holds a journal: its training may use any of the checkpoints."""
    for path in spool.glob("*.jsonl"):
        journal = taken(path)
        if journal is None:
            return True
        journal.close()
    return False


def _other_files(lake: Lake, traces: Traces, done: TracesErased, dry_run: bool) -> None:
    """Files of folders that nobody else looks after, such as review/, where blind samples come back."""
    for folder in lake.folders.subfolders(""):
        if folder in LOOKED_AFTER:
            continue
        for key, _ in list(files_below(lake.folders, folder)):
            if not any(map(traces.of_rows, texts_in(key, lake.folders.read(key)))):
                continue
            if folder in FROZEN:
                done.for_a_person.append(key)
                continue
            done.files.append(key)
            if not dry_run:
                lake.folders.remove(key)
                lake.folders.write(f"{key}.erased.json", b'{"erased": "by request"}\n')
