"""The turns of many rows as the byte buffers that the kernels read, compared without case, spacing or Unicode form."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ft_assets.dataset import ngrams
from ft_assets.dataset.call_texts import as_said
from ft_assets.dataset.ngrams import FINGERPRINT_WORDS, WINNOW_WINDOW, Array
from ft_assets.records import Message

SLICE_ROWS = 50_000  # bounds the memory of a pass over all rows
# Typographic variants that no normal form folds, and what case folding does beyond lower case.
FOLDED = {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "ß": "ss", "ς": "σ"}
# Anything but characters that NFKC leaves alone, whatever stands beside them (a test tries them all). Normalising costs
# six times as much as looking.
NOT_SURELY_NFKC = (
    r"[^\x00-\x7f\u00c0-\u0131\u0134-\u013e\u0141-\u0148\u014a-\u017e\u0391-\u03a1\u03a3-\u03a9\u03b1-\u03c9\u0410-\u044f"
    r"\u2013\u2014\u2018\u2019\u201c\u201d\u3001\u3002\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3"
    r"\x{1f300}-\x{1f64f}\x{1f680}-\x{1f6ff}]"
)
TURNS = pl.List(pl.Struct({"role": pl.String, "content": pl.String, "tool_calls": pl.String}))


@dataclass(frozen=True)
class Turns:
    """Turns without the system's: the bytes, where each turn begins, the first turn of each row, which are answers."""

    data: Array
    offsets: Array
    first_turn: Array
    answers: Array

    @property
    def rows(self) -> int:
        return len(self.first_turn) - 1


@dataclass(frozen=True)
class Words:
    """Word hashes, row after row; `starts` has one entry more than rows, `prompts` are the words before the answer."""

    hashes: Array
    starts: Array
    prompts: Array

    def of(self, row: int) -> Array:
        """The words of one row."""
        return self.hashes[self.starts[row] : self.starts[row + 1]]

    @property
    def counts(self) -> Array:
        """How many words each row has."""
        return np.diff(self.starts)


@dataclass(frozen=True)
class Texts:
    """What many rows are compared by: what each replies to and says, and its fingerprints, row after row.

    `said` and `fingerprints` are hashes, the bounds have one entry more than rows. The last two of a row in `said` are
    its prompt and its whole text.
    """

    said: Array
    said_bounds: Array
    fingerprints: Array
    fingerprint_bounds: Array

    @classmethod
    def of(cls, messages: pl.Series) -> "Texts":
        """Of a column of messages, with the memory of SLICE_ROWS rows beside the result."""
        parts = [
            read(turns_of(messages.slice(at, SLICE_ROWS)))[0] for at in range(0, max(1, len(messages)), SLICE_ROWS)
        ]
        return cls(
            np.concatenate([part.said for part in parts]),
            _joined([part.said_bounds for part in parts]),
            np.concatenate([part.fingerprints for part in parts]),
            _joined([part.fingerprint_bounds for part in parts]),
        )

    @property
    def rows(self) -> int:
        """How many rows these are."""
        return len(self.said_bounds) - 1

    @property
    def whole(self) -> Array:
        """One hash per row: equal for texts that differ in case, spacing or Unicode form only."""
        return self.said[self.said_bounds[1:] - 1]


def turns_of(messages: pl.Series) -> Turns:
    """The turns of a column of messages (a list of structs with role, content and maybe tool_calls).

    Tool calls are read as text behind the content of their turn.
    """
    messages = as_said(messages)
    numbers = np.repeat(np.arange(len(messages)), messages.list.len().to_numpy())
    flat = messages.filter(messages.list.len() > 0).explode()
    roles, contents = flat.struct.field("role"), flat.struct.field("content").fill_null("")
    said = roles != "system"
    if not said.all():
        numbers, roles, contents = numbers[said.to_numpy()], roles.filter(said), contents.filter(said)
    array = comparable(contents).rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    return Turns(
        np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8),
        np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1],
        np.searchsorted(numbers, np.arange(len(messages) + 1)).astype(np.int64),
        (roles == "assistant").to_numpy(),
    )


def words_of(turns: Turns) -> Words:
    """The words of each row."""
    return _read(turns)[1]


def fingerprints_of(words: Words) -> tuple[Array, Array, Array]:
    """The fingerprints of each row, the word each begins at, and where each row's begin."""
    hashes, places, bounds = ngrams.fingerprints(words.hashes, words.starts, FINGERPRINT_WORDS, WINNOW_WINDOW)
    return hashes, places, bounds


def comparable(contents: pl.Series) -> pl.Series:
    """Texts that are not plain ASCII in NFKC and lower case; the kernels do the rest. Plain ones are left alone."""
    foreign = contents.str.len_bytes() != contents.str.len_chars()
    if not foreign.any():
        return contents
    folded = contents.filter(foreign)
    odd = folded.str.contains(NOT_SURELY_NFKC)
    if odd.any():
        folded = folded.scatter(odd.arg_true(), folded.filter(odd).str.normalize("NFKC"))
    folded = folded.str.to_lowercase().str.replace_many(list(FOLDED), list(FOLDED.values()))
    return contents.clone().scatter(foreign.arg_true(), folded)


def comparable_text(text: str) -> str:
    """The same for one text, case folded, with white space as single spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    for found, written in FOLDED.items():
        folded = folded.replace(found, written)
    return " ".join(folded.split())


def whole_keys(messages: pl.Series) -> Array:
    """`Texts.whole` of a column of messages."""
    return Texts.of(messages).whole


def read(turns: Turns) -> tuple[Texts, Words, Array]:
    """What the rows are compared by, their words, and the word that each fingerprint begins at."""
    hashes, words = _read(turns)
    fingerprints, places, bounds = fingerprints_of(words)
    said_by, said = ngrams.asked_and_said(hashes, turns.first_turn, turns.answers)
    said_bounds = np.searchsorted(said_by, np.arange(turns.rows + 1)).astype(np.int64)
    return Texts(said, said_bounds, fingerprints, bounds), words, places


def _read(turns: Turns) -> tuple[Array, Words]:
    """The hash of each turn, and the words of each row."""
    hashes, words, starts, last_turn = ngrams.read_turns(turns.data, turns.offsets, turns.first_turn, ngrams.WORD_BYTES)
    return hashes, Words(words, starts, last_turn - starts[:-1])


def _joined(bounds: Sequence[Array]) -> Array:
    """The bounds of slices as those of the whole."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate([np.diff(part) for part in bounds]))])


def as_series(conversations: Sequence[Sequence[Message]]) -> pl.Series:
    """Messages of records as a column of messages."""
    turns = [[turn.model_dump() for turn in messages] for messages in conversations]
    return pl.Series("messages", turns, dtype=TURNS)
