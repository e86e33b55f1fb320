"""Answers that stop before their end, as at a token limit."""

import re

import polars as pl

from ft_assets.curation.fault_answers import Answer, Answers

_OPEN_END = r"(?:[\p{L},:(\[，、]|\n[ \t]*(?:[-*•]|\d{1,2}[.)]))\s*\z"
_MADE_BY_MACHINE = r"\A\s*(?:\{\s*\"|\[\s*[{\"\[]|<think>)"  # JSON or a thought
_JSON_END = r"[}\]`]\s*\z"

_FENCE = re.compile(r"^[ \t]*```", re.MULTILINE)
_LIST_MARKER = re.compile(r"[ \t]*(?:[-*•]|\d{1,2}[.)])")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*•>#|]|\d{1,3}[.)]|[a-z]\)) ?")
_WORD_END = re.compile(r"[^\W\d_]\Z")
_NUMBERED = re.compile(r"^[ \t]*\d{1,2}[.)] ", re.MULTILINE)
_ENDED = re.compile(r"[^\W_][\"'”’)\]*`]*[.!?…][\"'”’)\]*]*(?=\s)")
_CODE_SIGNS = re.compile(r"[;{}=<>\\$_]|\w\(|://|www\.|@|#\w")
_CLOSING = re.compile(
    r"(?:regards|sincerely|best|love|yours|cheers|thanks|respectfully|grüße[n]?|gruß|cordialement|saludos)\W*", re.I
)
# After these a sentence goes on, whatever the language's other rules.
_GOES_ON_WORDS = (
    "the|a|an|and|or|but|because|which|whose|if|your|my|their|our|its|than|although|whether|into|every"
    "|der|die|das|den|dem|des|ein|eine|einen|und|oder|weil|dass|wenn|sowie"
    "|le|les|un|une|et|ou|mais|parce|du|au|aux|leur|votre|notre|el|los|las|una|porque|pero|su|sus|del"
)
_GOES_ON = frozenset(_GOES_ON_WORDS.split("|"))
# These also end a question or a line: they tell something only in punctuated text.
_MAY_GO_ON_WORDS = (
    "of|to|for|with|in|on|at|from|by|as|is|are|was|were|be|that|this|it|who|what|when|while|not|no|i|you|we|they|he|she"
    "|la|que|qui|dont|si|vous|il|elle|sur|dans|pour|avec|de|en|se|es|con|por|para|como|quien|y|o"
    "|sie|er|ist|mit|von|zu|für|auf|bei"
)
_MAY_GO_ON = frozenset(_MAY_GO_ON_WORDS.split("|"))
_LEAST_CHARACTERS = 110
_VERSES = 2  # lines before it that end in a comma, too
_DIALOG_CHARACTERS = 200  # people leave out the last full stop of chat lines
_FRAGMENT_WORDS = 3


def may_be_truncated(answers: Answers) -> pl.Series:
    """Boolean: whether the text has an end that whole texts seldom have, an odd number of fences, or JSON that is open.

    Free text only, but for JSON and thoughts.
    """
    texts = answers.texts
    found = texts.str.contains(_OPEN_END)
    fenced = texts.str.contains("```", literal=True).arg_true()
    if len(fenced):
        odd = texts.gather(fenced).str.count_matches("```", literal=True) % 2 == 1
        found = found.scatter(fenced, found.gather(fenced) | odd)
    found &= ~answers.closed
    made = texts.str.contains(_MADE_BY_MACHINE).arg_true()
    if len(made):
        part = texts.gather(made)
        is_open = ~part.str.contains(_JSON_END) | part.str.contains("<think>", literal=True)
        found = found.scatter(made, found.gather(made) | is_open)
    return found


def truncated(answer: Answer) -> bool:
    """The text stops before its end: in an open thought, JSON, code fence, list or sentence, or at a colon.

    A sentence is open when it ends in a word or sign after which more must come, or without a full stop in a text of
    110 characters (200 in a dialog) that has some. Chat lines, lists, headings, signatures, verses, code, links and
    formulas may end without one. Of closed tasks only thoughts and JSON count, of code nothing: many models stop
    before the closing fence.
    """
    text = answer.text.rstrip()
    if answer.is_code():
        return False
    if text.lstrip().startswith("<think>") and "</think>" not in text:
        return True
    if text.lstrip().startswith(("{", "[")) and _is_open_json(text):
        return True
    if answer.is_closed():
        return False
    if len(_FENCE.findall(text)) % 2:
        return True
    before, _, line = text.rpartition("\n")
    least = _DIALOG_CHARACTERS if "dialog" in (answer.task_type or "") else _LEAST_CHARACTERS
    return _is_open_line(before, line) or _stops_in_a_sentence(before, line, least)


def _is_open_json(text: str) -> bool:
    """Whether more brackets open than close outside of strings; a string that does not end counts as open."""
    depth, in_string, escaped = 0, False, False
    for sign in text:
        if in_string:
            in_string, escaped = escaped or sign != '"', sign == "\\" and not escaped
        elif sign == '"':
            in_string = True
        elif sign in "{[":
            depth += 1
        elif sign in "}]":
            depth -= 1
    return (depth > 0 or in_string) and re.match(r"\s*(?:\{\s*\"|\[\s*[{\"\[])", text) is not None


def _is_open_line(before: str, line: str) -> bool:
    if before and _LIST_MARKER.fullmatch(line):
        return True
    if before and line.count("**") % 2 and re.match(r"\s*(?:[-*\d.]+ )?\*\*", line):
        return True
    if line.endswith(":"):
        return not _CODE_SIGNS.search(line)
    if line.endswith((",", "，", "、")):
        return len(line) >= 25 and not _CLOSING.search(line) and before.count(",\n") < _VERSES
    return line.endswith(("(", "[")) and len(line) >= 25


def _stops_in_a_sentence(before: str, line: str, least_characters: int) -> bool:
    words = line.split()
    if not _WORD_END.search(line) or not words or _CODE_SIGNS.search(words[-1]) or "|" in line:
        return False
    last, ended = words[-1], list(_ENDED.finditer(_NUMBERED.sub("", line)))
    stops = len(ended) + len(_ENDED.findall(_NUMBERED.sub("", before) + "\n"))
    if len(words) >= 4 and (
        last.lower() in _GOES_ON or (last.lower() in _MAY_GO_ON and stops and not _LIST_ITEM.match(line))
    ):
        return True
    fragment = _NUMBERED.sub("", line)[ended[-1].end() :].split() if ended else words
    if not stops or len(before) + len(line) < least_characters:
        return False
    if len(fragment) < _FRAGMENT_WORDS:  # "Anna" may be a signature, "A compre" is none
        return stops >= 2 and bool(ended) and last.islower()
    small = sum(word[0].islower() for word in fragment)
    if ended:  # a name at the end may stand for itself
        return not last[0].isupper() or (len(fragment) >= 7 and 2 * small >= len(fragment))
    return not _LIST_ITEM.match(line) and len(words) >= 8 and small >= 0.6 * len(words) and before.endswith("\n")
