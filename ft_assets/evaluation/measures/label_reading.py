"""Which of a closed set of labels or choices an answer names."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ft_assets.evaluation.measures.final_answers import announced_label, without_reasoning
from ft_assets.evaluation.measures.normalised_text import normalised

_NEGATIONS = frozenset({"not", "never", "neither", "nor", "isn't", "isnt", "without"})
_INSTEAD = (("rather", "than"), ("instead", "of"), ("opposed", "to"))
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")
# Possessive (*+), or an answer of thousands of dots would take minutes.
_WHOLE_LETTER = re.compile(r"\W*+(?:(?:option|choice|answer)\b\W*+)?([A-Za-z])\W*+", re.IGNORECASE)
_FIRST_LETTER = re.compile(
    r"\W*+(?:(?:option|choice|letter)\b\W*+)?([A-Z])(?:[ \t]*+(?:[).:,;\]*—–-]|\n|\Z)|[ \t]+because\b)"
)
_SAID_LETTER = re.compile(r"\W*+(?:(?:option|choice|letter)\b\W*+)?([A-Z])\b(?!['’]|\s+[a-z])", re.IGNORECASE)
_NAMED_LETTER = re.compile(r"\(([A-Z])\)|(?<!not )\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer|[Ll]etter)\s+\(?([A-Z])\b")
_LONE_LETTER = re.compile(r"(?<![\w'’])(?<!not )([B-HJ-Z])(?![\w'’])")


@dataclass(frozen=True)
class Choice:
    """One of a closed set: what it says, and the letter it goes by where the question gives it one."""

    text: str
    letter: str | None = None


def read_choice(answer: str, choices: Sequence[Choice]) -> int | None:
    """Which of the choices an answer names; None where it names none, or several without saying which it means.

    In this order, the first that finds one: the whole answer is a choice or its letter ("Positive.", "(B)"); it stands
    behind the last mark ("The answer is B", "Label: positive"); the answer starts with it and a comma, a full stop or
    the like follows ("Yes, because ..."); the last sentence names exactly one; the whole answer names exactly one.
    Case, punctuation, hyphens and underscores do not count; of labels inside of each other the longest is read (no_call
    is not call); one that is denied ("not positive") is not named. A letter has to be a capital, and A and I in running
    text are words.
    """
    answer = without_reasoning(answer)
    marked = announced_label(answer)
    for reading in _readings(answer, marked, choices):
        if reading is not None:
            return reading
    return None


def _readings(answer: str, marked: str | None, choices: Sequence[Choice]) -> Iterator[int | None]:
    letters = {choice.letter.upper(): place for place, choice in enumerate(choices) if choice.letter}
    names = _Names(choices)
    yield names.whole(answer)
    yield _letter(_WHOLE_LETTER.fullmatch(answer), letters)
    if marked is not None:
        yield names.whole(marked)
        yield _letter(_FIRST_LETTER.match(marked) or _SAID_LETTER.match(marked), letters)
        yield names.first(marked)
    yield _letter(_FIRST_LETTER.match(answer), letters)
    yield names.at_the_start(answer)
    sentences = [part for part in _SENTENCE.split(answer) if part.strip()]
    for part in (sentences[-1], answer) if sentences else ():
        yield names.only(part)
        yield _only({place for found in _NAMED_LETTER.finditer(part) if (place := _letter(found, letters)) is not None})
        yield _only({letters[found] for found in _LONE_LETTER.findall(part) if found in letters})


class _Names:
    """The choices by their words, hyphens and underscores read as spaces."""

    def __init__(self, choices: Sequence[Choice]):
        self.places: dict[tuple[str, ...], int] = {}
        for place, choice in enumerate(choices):
            if not choice.letter or len(choice.text) > 1:  # a letter alone is read as a letter
                self.places.setdefault(_words(choice.text), place)
        self.places.pop((), None)
        self.longest_first = sorted(self.places, key=len, reverse=True)

    def whole(self, text: str) -> int | None:
        """The choice that the text is."""
        return self.places.get(_words(text))

    def first(self, text: str) -> int | None:
        """The first choice that the text names."""
        return next((place for _, place in self._named(text)), None)

    def only(self, text: str) -> int | None:
        """The one choice that the text names, however often."""
        return _only({place for _, place in self._named(text)})

    def at_the_start(self, text: str) -> int | None:
        """The choice that the text starts with, if its words end there: before a sign, a line's end, or "because"."""
        head = re.split(r"[,.:;!?)\]\n—–]|\s-\s|\s(?:because|since|as)\s", text.strip().lstrip("*_`\"'(["), maxsplit=1)[
            0
        ]
        return self.whole(head)

    def _named(self, text: str) -> Iterator[tuple[int, int]]:
        words, at = _words(text), 0
        while at < len(words):
            name = next((name for name in self.longest_first if words[at : at + len(name)] == name), None)
            if name is not None and not self._is_denied(words, at):
                yield at, self.places[name]
            at += len(name) if name else 1

    def _is_denied(self, words: tuple[str, ...], at: int) -> bool:
        before = words[max(0, at - 2) : at]
        negations = _NEGATIONS if ("no",) in self.places else _NEGATIONS | {"no"}
        return before in _INSTEAD or any(word in negations or word.endswith("n't") for word in before)


def _words(text: str) -> tuple[str, ...]:
    return tuple(normalised(re.sub(r"[_-]+", " ", text)).split())


def _letter(found: re.Match[str] | None, letters: dict[str, int]) -> int | None:
    return letters.get(next(filter(None, found.groups()), "").upper()) if found else None


def _only(places: set[int]) -> int | None:
    return next(iter(places)) if len(places) == 1 else None
