"""What an answer ends up saying: the part after "the answer is", the last number, one line of several."""

import re
from fractions import Fraction

from ft_assets.evaluation.measures.normalised_text import normalised

_THINKING = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)", re.DOTALL)
_SAYS = r"(?:[ \t]+(?:is|was|would be|should be)\b|[ \t]*[:=])[ \t*_`:]*(?P<said>[^\n]+)"
_MARKED = re.compile(
    r"####[ \t]*(?P<gsm8k>[^\n]+)"  # GSM8K writes its final answer so
    r"|\\boxed\{(?P<boxed>[^{}]+)\}"  # MATH
    r"|\banswer\b['\"*_`]*(?:[ \t](?:to|of|for|here)\b[^.:\n]{0,80}?)?"
    + _SAYS
    + r"|^[ \t>*_]*A[ \t]*[:=][ \t*_`]*(?P<number>[$€£¥+-]?\d[^\n]*)",
    re.IGNORECASE | re.MULTILINE,
)
# Words that announce a label, and would announce nothing in a solution: "each class is 30 pupils".
_LABELLED = re.compile(
    r"\b(?:label|class|category|sentiment|choice|prediction|conclusion)\b['\"*_`]*" + _SAYS, re.IGNORECASE
)
_EXPLAINS = re.compile(r"\W*(?:because|explanation|reason(?:ing)?|since|as)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|[,;]?\sbecause\b", re.IGNORECASE)
_NUMBER = re.compile(
    r"(?<![\w.])(?P<sign>[+-]?)[$€£¥]?(?P<inner>[+-]?)(?P<whole>\d{1,3}(?:,\d{3})+(?!\d)|\d{1,60}(?!\d))?"
    r"(?P<decimals>\.\d{1,60})?(?:/(?P<below>[1-9]\d{0,20}))?(?P<power>e[+-]?\d{1,2})?(?![\d/])(?:%|(?!\w))",
    re.IGNORECASE,
)
_UNITS = re.compile(r"(?<=\d)(?!e[+-]?\d)(?=[^\W\d_])", re.IGNORECASE)


def without_reasoning(answer: str) -> str:
    """The answer without the <think> block that it starts with; all of it is reasoning where that block never ends."""
    return _THINKING.sub("", answer).strip()


def marked_answer(answer: str) -> str | None:
    """What stands behind the last mark of a final answer, to the end of its line: ####, \\boxed{}, "the answer is",
    "Answer:". None without a mark."""
    return _last(_MARKED, answer)


def announced_label(answer: str) -> str | None:
    """What stands behind the last mark of a final answer, or else behind "label:", "the sentiment is" and the like."""
    return _last(_MARKED, answer) or _last(_LABELLED, answer)


def final_texts(answer: str) -> list[str]:
    """What the answer may be read as, best first: what is marked; else of several lines the first where an
    explanation follows, or the last; of one line all of it, and its first sentence or what stands before "because"."""
    if marked := marked_answer(answer):
        return [marked, _SENTENCE.split(marked, maxsplit=1)[0]]
    lines = [line.strip() for line in answer.splitlines()]
    said = [line for line in lines if line]
    if len(said) > 1:
        blank_after_first = "" in lines[lines.index(said[0]) :]
        line = said[0] if _EXPLAINS.match(said[1]) or (blank_after_first and len(said[0]) < len(said[1])) else said[-1]
    else:
        line = said[0] if said else ""
    return [line, _SENTENCE.split(line, maxsplit=1)[0]]


def same_final_answer(answer: str, reference: str) -> bool:
    """Whether the answer ends up saying the reference: the same number by value where the reference is one, else the
    same words, normalised."""
    answer = without_reasoning(answer)
    if (wanted := whole_number(reference)) is not None:
        return final_number(answer) == wanted
    wanted_text = normalised(reference)
    return bool(wanted_text) and wanted_text in {normalised(answer), *map(normalised, final_texts(answer))}


def whole_number(text: str) -> Fraction | None:
    """The number that the whole text is, currency, percent and thousands signs aside; None where it is more or else."""
    bare = normalised(text)
    found = _NUMBER.fullmatch(bare)
    return _value(found) if found else None


def final_number(answer: str) -> Fraction | None:
    """The number that an answer ends up with: the first after its mark, else its last one, as lm-evaluation-harness
    reads GSM8K (filter "flexible-extract"); None without any."""
    if marked := marked_answer(answer):
        numbers = _numbers(marked)
        if numbers:
            return numbers[-1] if "=" in marked else numbers[0]
    numbers = _numbers(answer)
    return numbers[-1] if numbers else None


def _last(mark: re.Pattern[str], answer: str) -> str | None:
    found = list(mark.finditer(answer))
    return next((part.strip() for part in found[-1].groups() if part), None) if found else None


def _numbers(text: str) -> list[Fraction]:
    plain = _UNITS.sub(" ", text.translate(str.maketrans("−–", "--")).replace("\\$", "$").replace("*", " "))
    plain = re.sub(r"(?<=\d)[.,;:!?](?=\s|\Z)", " ", plain)  # the end of a sentence is no decimal point
    values = (_value(found) for found in _NUMBER.finditer(plain) if found["whole"] or found["decimals"])
    return [value for value in values if value is not None]


def _value(found: re.Match[str]) -> Fraction | None:
    if not (found["whole"] or found["decimals"]):
        return None
    digits = (found["whole"] or "0").replace(",", "") + (found["decimals"] or "") + (found["power"] or "")
    value = Fraction(digits) / int(found["below"] or 1)
    return -value if "-" in found["sign"] + found["inner"] else value
