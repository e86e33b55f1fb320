"""Questions with a closed answer: what the closed set of each is, and whether an answer is the right one."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ft_assets.evaluation.items import EvalItem
from ft_assets.evaluation.measures.final_answers import marked_answer, same_final_answer
from ft_assets.evaluation.measures.label_reading import Choice, read_choice
from ft_assets.evaluation.measures.normalised_text import normalised

CLASSIFICATION = "classification"
CLOSED_TASKS = frozenset({CLASSIFICATION, "question_answering", "qa", "multiple_choice", "math"})
MOST_WORDS = 25  # of a reference that counts as a closed answer where nothing lists the choices
MOST_LABELS, MOST_LABEL_WORDS = 20, 5  # of a set that is known from the references alone
UNREAD = ""  # what stands for a label where an answer names none
_PAIRS = (("yes", "no"), ("true", "false"))
_LETTERS = "ABCDEFGHIJ"
_LETTER = re.compile(r"\W*+[A-Ja-j]\W*+")
_BULLET = re.compile(r"^[ \t]*[-*•][ \t]+(\S.*)$", re.MULTILINE)
_LETTERED = re.compile(r"^[ \t]*\(?([A-J])[).:][ \t]+(\S.*)$", re.MULTILINE)
_INLINE = re.compile(r"\(([A-J])\)[ \t]*(.+?)(?=\([A-J]\)|\n|\Z)")


@dataclass(frozen=True)
class Closed:
    """A closed question: its right answer, and the choices that there are, if they are known; `right` is the place of
    the right one among them."""

    reference: str
    choices: tuple[Choice, ...] = ()
    right: int | None = None


def closed_sets(items: Sequence[EvalItem]) -> list[Closed | None]:
    """What each question's answer is one of; None for a question whose answer is free text.

    The choices are the item's `labels`; else the options that its question lists, with a bullet or a letter each, where
    the reference is one of them; else yes and no, true and false, or the letters A to J where the reference is one of
    those; else, for a classification, all references of the classifications among `items`, if they are few and
    short. Without choices the answer is a number or a few words.
    """
    from_references = _labels_of_classifications(items)
    return [_closed(item, from_references) for item in items]


def is_right(answer: str, closed: Closed) -> bool:
    """Whether the answer is the right one."""
    if closed.right is not None:
        return read_choice(answer, closed.choices) == closed.right
    return same_final_answer(answer, closed.reference)


def label_read(answer: str, closed: Closed) -> str:
    """The label that an answer names, in one spelling; UNREAD where it names none."""
    if closed.right is not None:
        place = read_choice(answer, closed.choices)
        return UNREAD if place is None else normalised(closed.choices[place].text)
    return normalised(closed.reference) if same_final_answer(answer, closed.reference) else UNREAD


def right_label(closed: Closed) -> str:
    """The label of the reference, in the same spelling."""
    return normalised(closed.reference if closed.right is None else closed.choices[closed.right].text)


def _closed(item: EvalItem, from_references: dict[str, tuple[str, ...]]) -> Closed | None:
    reference = item.reference.strip()
    if item.expected.labels:
        return _among(reference, [Choice(label, _own_letter(label)) for label in item.expected.labels])
    if item.task_type not in CLOSED_TASKS:
        return None
    reference = marked_answer(reference) or reference
    if not normalised(reference):
        return None
    own = [_listed(item), _well_known(reference)]
    if item.task_type == CLASSIFICATION:
        own.append([Choice(label, _own_letter(label)) for label in from_references.get(item.slice, ())])
    for choices in own:
        closed = _among(reference, choices)
        if closed.right is not None:
            return closed
    return Closed(reference) if len(reference.split()) <= MOST_WORDS else None


def _among(reference: str, choices: Sequence[Choice]) -> Closed:
    wanted = normalised(reference)
    right = next((place for place, choice in enumerate(choices) if normalised(choice.text) == wanted), None)
    if right is None:
        right = read_choice(reference, choices) if choices else None
    return Closed(reference) if right is None else Closed(reference, tuple(choices), right)


def _listed(item: EvalItem) -> list[Choice]:
    """The options that the question lists; none where its list is something else."""
    question = next((turn.content for turn in reversed(item.messages[:-1]) if turn.role == "user"), "")
    for pattern in (_LETTERED, _INLINE):
        found = pattern.findall(question)
        if len(found) > 1 and [letter for letter, _ in found] == list(_LETTERS[: len(found)]):
            return [Choice(text.strip(), letter) for letter, text in found]
    bullets = [Choice(text.strip()) for text in _BULLET.findall(question)]
    reference = normalised(item.reference)
    listed = len(bullets) > 1 and any(normalised(choice.text) == reference for choice in bullets)
    return bullets if listed else []


def _well_known(reference: str) -> list[Choice]:
    word = normalised(reference)
    if _LETTER.fullmatch(reference):
        return [Choice(letter, letter) for letter in _LETTERS]
    return [Choice(label) for pair in _PAIRS if word in pair for label in pair]


def _labels_of_classifications(items: Sequence[EvalItem]) -> dict[str, tuple[str, ...]]:
    """The distinct references of the classifications of each slice that have no labels of their own."""
    seen: dict[str, dict[str, str]] = defaultdict(dict)
    rows: dict[str, int] = defaultdict(int)
    for item in items:
        if item.task_type == CLASSIFICATION and not item.expected.labels:
            rows[item.slice] += 1
            seen[item.slice].setdefault(normalised(item.reference), item.reference.strip())
    return {
        slice_: tuple(labels[name] for name in sorted(labels))
        for slice_, labels in seen.items()
        if 1 < len(labels) <= MOST_LABELS
        and 2 * len(labels) <= rows[slice_]
        and all(0 < len(name.split()) <= MOST_LABEL_WORDS for name in labels)
    }


def _own_letter(label: str) -> str | None:
    return label.strip().upper() if len(label.strip()) == 1 and label.strip().isalpha() else None
