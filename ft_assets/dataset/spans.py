"""Where in a row the text of a held-out item stands, for the person who looks at a leak. Only for rows that leak."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ft_assets.dataset.call_texts import turn_text
from ft_assets.dataset.near_copies import Layer
from ft_assets.dataset.ngrams import CONTAINED_WORDS, NEAR_COPY_WORDS
from ft_assets.dataset.texts import comparable_text

Span = tuple[int, int]
Turn = Mapping[str, Any]
# As in `ngrams`: a character of a script without spaces is a word of its own, everything else is a run.
_WORD = re.compile("[\u3000-\ud7ff]|[^\\W\u3000-\ud7ff]+")
_WORDS = {"n_grams": CONTAINED_WORDS, "near_copy": NEAR_COPY_WORDS}


def span_of(row: Sequence[Turn], item: Sequence[Turn], layer: Layer) -> Span:
    """Character offsets (first, one past the last) of what the row shares with the item.

    They count in the row's turns without the system's, joined by newlines, tool calls as the text they are compared by.
    A whole text is looked for turn by turn, the other layers from the first to the last shared n-gram; what cannot be
    pinned down is the whole text.
    """
    said, held = _said(row), _said(item)
    found = _turns_of_item(said, held) if layer == "whole_text" else _shared_words(said, held, _WORDS[layer])
    return found or (0, len("\n".join(said)))


def _said(turns: Sequence[Turn]) -> list[str]:
    return [turn_text(turn) for turn in turns if turn["role"] != "system"]


def _turns_of_item(said: Sequence[str], held: Sequence[str]) -> Span | None:
    """The turns in a row that are the item's, or else its prompt's."""
    row = [comparable_text(turn) for turn in said]
    for wanted in ([comparable_text(turn) for turn in held], [comparable_text(turn) for turn in held[:-1]]):
        for first in range(len(row) - len(wanted) + 1) if wanted else ():
            if row[first : first + len(wanted)] == wanted:
                begin = sum(len(turn) + 1 for turn in said[:first])
                return begin, begin + len("\n".join(said[first : first + len(wanted)]))
    return None


def _shared_words(said: Sequence[str], held: Sequence[str], size: int) -> Span | None:
    """From the first to the last word of the row that stands in an n-gram of the item."""
    text = "\n".join(said)
    places = [match.span() for match in _WORD.finditer(text)]
    words = [comparable_text(text[begin:end]) for begin, end in places]
    wanted = [comparable_text(word) for word in _WORD.findall("\n".join(held))]
    known = {tuple(wanted[at : at + size]) for at in range(len(wanted) - size + 1)}
    shared = [at for at in range(len(words) - size + 1) if tuple(words[at : at + size]) in known]
    return (places[shared[0]][0], places[shared[-1] + size - 1][1]) if shared else None
