"""Rows as tokens on disk: made once, whatever trainings, recipes and stages read them, and mapped into memory.

An entry is a directory under the digest of everything that it was made from. It is staged, gets a manifest and is
renamed, so what can be seen is whole; it is verified when it is opened, and made again where it is damaged.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft_assets.chat import Chat, Encoded, Turn
from ft_assets.errors import BadConfiguration, BadInput
from ft_assets.lake_folders import sync_directory
from ft_assets.lake_manifest import MANIFEST, damage_of, entries_of, manifest_of
from ft_assets.system_prompts import SystemPrompt, prompt_of
from ft_assets.training import packed_rows
from ft_assets.training.packed_rows import (
    IGNORED,
    TrainingRow,
    labelled,
    refuse_empty,
    refuse_mixing,
    refuse_unfit,
)

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset

TOKENS, PACKED = "tokens.arrow", "packed.arrow"
ROWS_AT_ONCE = 1_000  # rows in memory while they are tokenised
PACKAGE = Path(__file__).resolve().parent.parent
# What turns messages into tokens. A change of any of it makes new entries, and the old ones are not read any more.
SOURCES = ("chat.py", "control_tokens.py", "system_prompts.py", "tool_calls.py")
LIBRARIES = ("jinja2", "tokenizers", "transformers")


def token_rows(rows: Sequence[TrainingRow], chat: Chat, system_prompt: SystemPrompt, root: Path) -> Path:
    """The Arrow file under `root` with one row per row given: example_id, input_ids and labels (int32).

    Sorted by example_id, whatever the order of `rows`. Nothing is cut, and a row without an answer is there without a
    label. Named by the digest of the rows with their system prompts, the tokenizer's files and the code that renders.

    Raises:
        BadInput, BadConfiguration: a row cannot be rendered; names it.
    """
    in_order = sorted(rows, key=lambda row: row.example_id)
    key = _digest([_rendering(), tokenizer_digest(chat), _rows_digest(in_order, system_prompt)])
    return stored(root, key, lambda folder: _write(folder / TOKENS, in_order, chat, system_prompt)) / TOKENS


def stored(root: Path, key: str, write: Callable[[Path], object]) -> Path:
    """The directory `root`/`key`, after every byte was verified; filled by `write` where it is not there or damaged."""
    target = root / key
    if (target / MANIFEST).is_file() and _whole(target):
        return target
    stage = root / f".staging-{uuid.uuid4().hex}"
    stage.mkdir(parents=True)
    try:
        write(stage)
        (stage / MANIFEST).write_bytes(manifest_of(entries_of(stage)))
        for path in stage.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        sync_directory(stage)
        _show(stage, target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return target


def packed_once(
    rows: Sequence[TrainingRow], side: str, chat: Chat, system_prompt: SystemPrompt, max_length: int, root: Path
) -> "Dataset":
    """The rows packed to at most `max_length` tokens, as `packed_rows.packed` packs them, mapped into memory.

    The same whatever the order of `rows`. Tokens and packing are kept under `root` and made once.

    Raises:
        BadInput: no row, a row that is longer, one with nothing to learn, or one that cannot be rendered; names it.
    """
    import datasets

    refuse_empty(rows, side)
    tokens = token_rows(rows, chat, system_prompt, root)
    names, lengths, learned = [], [], []
    for batch in token_batches(tokens):
        names += batch.names
        lengths += batch.lengths.tolist()
        learned += batch.learned.tolist()
    refuse_unfit(names, lengths, learned, side, max_length)
    key = _digest([tokens.parent.name, "bfd", max_length, version("trl")])
    kept = stored(root, key, lambda folder: _pack(tokens, max_length, folder / PACKED))
    rows_of_samples = datasets.Dataset.from_file(str(kept / PACKED))
    refuse_mixing(rows_of_samples)
    return rows_of_samples


def _pack(tokens: Path, max_length: int, packed: Path) -> None:
    import datasets
    from trl.data_utils import pack_dataset

    datasets.disable_progress_bars()
    rows = datasets.Dataset.from_file(str(tokens)).remove_columns("example_id")
    to_disk = {"cache_file_name": str(packed), "load_from_cache_file": False}
    pack_dataset(rows, max_length, strategy="bfd", map_kwargs=to_disk)


@dataclass(frozen=True)
class TokenBatch:
    """Some rows of `token_rows`, as arrays over the mapped file. Row i is [bounds[i], bounds[i + 1]) of ids and labels.

    The loss reads a label where `labels` is not -100.
    """

    names: list[str]
    bounds: "np.ndarray"
    ids: "np.ndarray"
    labels: "np.ndarray"

    @property
    def lengths(self) -> "np.ndarray":
        """Tokens of each row."""
        return self.bounds[1:] - self.bounds[:-1]

    @property
    def learned(self) -> "np.ndarray":
        """Tokens of each row that are learned."""
        return self.counted(self.labels != IGNORED)

    def counted(self, wanted: "np.ndarray") -> "np.ndarray":
        """How many tokens of each row are `wanted` (a truth for each token)."""
        import numpy as np

        upto = np.concatenate([[0], np.cumsum(wanted)])
        return upto[self.bounds[1:]] - upto[self.bounds[:-1]]


def token_batches(tokens: Path) -> Iterator[TokenBatch]:
    """The rows of `token_rows` in their order, `ROWS_AT_ONCE` at a time, without the import of a trainer's library."""
    import numpy as np
    import pyarrow as pa

    with pa.memory_map(str(tokens)) as source:
        for batch in pa.ipc.open_stream(source):
            ids, labels = batch["input_ids"], batch["labels"]
            names, bounds = batch["example_id"].to_pylist(), np.asarray(ids.offsets)
            yield TokenBatch(names, bounds, np.asarray(ids.values), np.asarray(labels.values))


def tokenizer_digest(chat: Chat) -> str:
    """SHA-256 over what decides about the tokens: the files of the tokenizer and its chat template, by name."""
    names = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "chat_template*")
    paths = sorted({path for name in names for path in chat.directory.glob(name) if path.is_file()})
    return _digest([[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in paths])


def _rendering() -> list[str]:
    """The code that renders: our sources by digest, the libraries by version."""
    sources = [PACKAGE / name for name in SOURCES] + [Path(__file__), Path(packed_rows.__file__)]
    digests = [hashlib.sha256(source.read_bytes()).hexdigest() for source in sources]
    return digests + [version(name) for name in LIBRARIES]


def _rows_digest(rows: Sequence[TrainingRow], system_prompt: SystemPrompt) -> str:
    digest = hashlib.sha256()
    for row in rows:
        turns = [turn_fields(turn) for turn in row.messages]
        digest.update(json.dumps([row.example_id, prompt_of(system_prompt, row), turns]).encode() + b"\n")
    return digest.hexdigest()


def turn_fields(turn: Turn | Mapping[str, str]) -> tuple[str, str, str | None]:
    """Role, content and tool calls (JSON text) of a message."""
    if isinstance(turn, Mapping):
        return turn["role"], turn["content"], turn.get("tool_calls")
    return turn.role, turn.content, getattr(turn, "tool_calls", None)


def _write(path: Path, rows: Sequence[TrainingRow], chat: Chat, system_prompt: SystemPrompt) -> None:
    import pyarrow as pa

    tokens = pa.list_(pa.int32())
    schema = pa.schema({"example_id": pa.string(), "input_ids": tokens, "labels": tokens})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as stream:
        for some in _slices(rows):
            batch = [{"example_id": row.example_id, **labelled(encoded(row, chat, system_prompt))} for row in some]
            stream.write_table(pa.Table.from_pylist(batch, schema=schema))


def encoded(row: TrainingRow, chat: Chat, system_prompt: SystemPrompt) -> Encoded:
    """The row's tokens under its own system prompt.

    Raises:
        BadInput, BadConfiguration: it cannot be rendered; names it.
    """
    try:
        return chat.encode(row.messages, prompt_of(system_prompt, row))
    except (BadInput, BadConfiguration) as error:
        raise type(error)(f"row {row.example_id}: {error}") from error


def _slices(rows: Sequence[TrainingRow]) -> Iterator[Sequence[TrainingRow]]:
    for start in range(0, len(rows), ROWS_AT_ONCE):
        yield rows[start : start + ROWS_AT_ONCE]


def _whole(folder: Path) -> bool:
    manifest = (folder / MANIFEST).read_bytes()
    return damage_of(folder, hashlib.sha256(manifest).hexdigest()) is None


def _show(stage: Path, target: Path) -> None:
    try:
        os.rename(stage, target)
    except OSError:
        if not target.exists():
            raise
        if (target / MANIFEST).is_file() and _whole(target):  # another process made the same first
            return
        aside = target.with_name(f".damaged-{uuid.uuid4().hex}")
        os.rename(target, aside)
        os.rename(stage, target)
        shutil.rmtree(aside, ignore_errors=True)
    sync_directory(target.parent)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
