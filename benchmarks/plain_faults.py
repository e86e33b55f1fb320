"""The seven faults of answers as people look for them: a compiled `re` pattern or a count of words for each.

Simpler than the rules of `ft_assets/curation/fault_*.py`, and cheaper than these would be on every answer: no sentence
is taken apart, and a long answer is looked at where the fault would be.
"""

import re
from collections import Counter
from collections.abc import Callable

OPENING, WHOLE = 600, 200  # characters; shorter answers may end without a full stop
NGRAM = 8  # words
REFUSES = re.compile(
    r"\bI(?:'m| am)? ?(?:sorry|can(?:no|')t|can not|won't|unable to|not able to)\b|\bI must decline\b"
    r"|\bas an? (?:\w+ )?(?:AI|language model)|\bagainst (?:my|our) (?:guidelines|polic)"
    r"|\bno puedo\b|\bje ne peux pas\b|\bich kann .{0,40}nicht",
    re.IGNORECASE,
)
PRAISE = re.compile(
    r"\b(?:great|amazing|awesome|excellent|fantastic|wonderful|brilliant|incredible|impressive|love|perfect"
    r"|well done)\b",
    re.IGNORECASE,
)
TO_THE_JUDGE = re.compile(
    r"\b(?:judge|grader|evaluator|rater|reviewer)s?\b.{0,80}\b(?:score|rate|rating|mark|points|5|10)\b"
    r"|\b(?:full marks|highest score|perfect score|rate this (?:answer|response))\b|\[\[(?:[ABC]|\d{1,2})\]\]",
    re.IGNORECASE,
)
PLACEHOLDER = re.compile(
    r"lorem ipsum|\b(?:answer|text|content) goes here\b|\[(?:your|insert|name)[^\]]{0,60}\]|\{\{\s*\w+\s*\}\}|\bTBD\b",
    re.IGNORECASE,
)
WORD = re.compile(r"\w+")


def refusal(answer: str, asked: str) -> bool:
    """It declines in its opening."""
    return REFUSES.search(answer[:OPENING]) is not None


def truncated(answer: str, asked: str) -> bool:
    """It stops in a sentence, or in a code fence."""
    last = answer.rstrip()[-1:]
    return answer.count("```") % 2 == 1 or (len(answer) > WHOLE and (last.isalpha() or last in ",:(["))


def repeating(answer: str, asked: str) -> bool:
    """The same words come again and again."""
    words = answer.casefold().split()
    if len(words) < 3 * NGRAM:
        return False
    counts = Counter(zip(*(words[start:] for start in range(NGRAM)), strict=False))
    return counts.most_common(1)[0][1] >= 4


def empty_praise(answer: str, asked: str) -> bool:
    """Most of its sentences compliment, and it is short."""
    if len(answer) > OPENING:
        return False
    sentences = [each for each in re.split(r"[.!?]+\s*", answer) if each]
    return bool(sentences) and sum(PRAISE.search(each) is not None for each in sentences) >= 0.75 * len(sentences)


def addresses_the_judge(answer: str, asked: str) -> bool:
    """It talks to whoever scores it."""
    return TO_THE_JUDGE.search(answer) is not None


def restates_the_prompt(answer: str, asked: str) -> bool:
    """It is short and says little that the question did not."""
    if len(answer) > min(OPENING, 3.5 * len(asked)):
        return False
    said, known = set(WORD.findall(answer.casefold())), set(WORD.findall(asked.casefold()))
    return len(said) >= 4 and len(said - known) <= 0.12 * len(said)


def placeholder_text(answer: str, asked: str) -> bool:
    """It only stands in for an answer."""
    return PLACEHOLDER.search(answer) is not None


FAULTS: dict[str, Callable[[str, str], bool]] = {
    rule.__name__: rule
    for rule in (
        refusal,
        truncated,
        repeating,
        empty_praise,
        addresses_the_judge,
        restates_the_prompt,
        placeholder_text,
    )
}
OF_CLOSED_TASKS = ("refusal", "addresses_the_judge")  # the others say nothing about one word or a piece of code


def faults_of(answer: str, asked: str, is_closed: bool) -> list[str]:
    """The names of the faults of an answer."""
    return [name for name in (OF_CLOSED_TASKS if is_closed else FAULTS) if FAULTS[name](answer, asked)]
