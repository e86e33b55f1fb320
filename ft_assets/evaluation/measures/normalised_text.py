"""When two texts say the same: one spelling of case, whitespace, punctuation around words, articles and numbers.

`normalised` is the normalisation of SQuAD's exact match (Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine
Comprehension of Text", section 6.1) in five steps, with what would make wrong answers right left out:

1. Unicode NFKC (full-width letters, ligatures, no-break spaces), typographic quotes, dashes and minus as in ASCII,
   lower case by Unicode's case folding.
2. Words are what stands between whitespace.
3. A number loses a currency sign, a percent sign, the commas between thousands and decimals that are all zero:
   "$6,000.00" is 6000. Its sign and its decimal point stay: -5 is not 5, and 3.10 is not 3.1.
4. Any other word loses the punctuation (Unicode categories P, and the backtick) at its two ends, not that inside, and
   not #, %, & and @; a word without anything else vanishes. C# is not C, and 1/2 is not 12.
5. a, an and the vanish where another word follows, so that the choice "A" and "vitamin A" stay.

Code, calls and JSON are compared by `collapsed` alone: case and punctuation carry their meaning.
"""

import json
import re
import unicodedata

# Tasks whose answers mean something else when case or punctuation changes.
VERBATIM_TASKS = frozenset(
    {
        "code",
        "code_generation",
        "code_completion",
        "debugging",
        "refactoring",
        "tool_call",
        "tool_calling",
        "function_calling",
        "api_call",
    }
)
ARTICLES = frozenset({"a", "an", "the"})
_ASCII = str.maketrans("‘’‚‛´“”„‟«»‐‑‒–—―−", '\'\'\'\'\'""""""-------')
_KEPT = frozenset("#%&@")
_NUMBER = re.compile(r"([+-]?)[$€£¥]?([+-]?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?%?")
_CODE = re.compile(r"```|<tool_call>")


def normalised(text: str) -> str:
    """The text in the spelling that this module describes; "" for a text without any word."""
    folded = unicodedata.normalize("NFKC", text).translate(_ASCII).casefold()
    words = [word for word in map(_word, folded.split()) if word]
    return " ".join([*(word for word in words[:-1] if word not in ARTICLES), *words[-1:]])


def collapsed(text: str) -> str:
    """The text with every run of whitespace as one space, and none at its ends."""
    return " ".join(text.split())


def is_verbatim(task_type: str, reference: str) -> bool:
    """Whether the reference is code, a call or JSON: its task says so, or it holds a fence, a call, or is JSON."""
    return task_type in VERBATIM_TASKS or bool(_CODE.search(reference)) or is_json_container(reference)


def is_json_container(text: str) -> bool:
    """Whether the whole text is a JSON object or array."""
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def same_text(answer: str, reference: str, verbatim: bool) -> bool:
    """Whether both are the same, normalised or, where `verbatim`, collapsed. Texts without words are compared as
    they are, so that "->" is not "=>"."""
    if not verbatim and (wanted := normalised(reference)):
        return normalised(answer) == wanted
    return collapsed(answer) == collapsed(reference)


def _word(word: str) -> str:
    start, end = 0, len(word)
    while start < end and _is_around(word[start]) and not (word[start] == "-" and word[start + 1 : end][:1].isdigit()):
        start += 1
    while end > start and _is_around(word[end - 1]):
        end -= 1
    bare = word[start:end]
    if number := _NUMBER.fullmatch(bare):
        decimals = "" if not number[4] or not number[4].strip(".0") else number[4]
        sign = "-" if "-" in number[1] + number[2] else ""
        return sign + number[3].replace(",", "") + decimals
    return bare


def _is_around(sign: str) -> bool:
    return sign not in _KEPT and (sign == "`" or unicodedata.category(sign).startswith("P"))
