"""Answers that only stand in for one."""

import re

import polars as pl

from ft_assets.curation.fault_answers import Answer, Answers, holds_any

_TRACES = (  # each small enough for Rust's search for many words at once
    r"orem [Ii]psum|olor sit amet|nswer here|ext here|goes here|ontent here|laceholder|ample text|will contain",
    r"TODO|XXXX|____|TBD|<YOUR|%[A-Z]{3}",
    r"\[(?:[A-Z][a-zé]+|[a-z]{3,}) [a-zA-Zé'0-9]+[^\]=(]{0,60}\]|\[[A-Z][A-Za-z_ ]{2,40}\]|\[placeholder\]",
    r"\{\{|\$\{|\{[a-z_]+\}",
    r"<[a-z]+ [a-z]+ ?[a-z]*>",
)
_NO_WORDS = r"\A(?:[^\p{L}\p{N}]*|\W*(?:https?://[^\s]+\W*)+)\z"
_INLINE_CODE = re.compile(r"```[\s\S]*?(?:```|\Z)|`[^`\n]+`")
_LATIN = re.compile(r"lorem ipsum|dolor sit amet|consectetur adipiscing", re.IGNORECASE)
_LINK = re.compile(r"https?://\S+")
_TEXT = r"(?:answer|response|text|recipe|content|antwort|réponse|respuesta)"
_STANDS_FOR_ALL = re.compile(
    rf"[\[(<{{%](?:\w+[ _]){{0,3}}(?:la )?{_TEXT}"
    rf"(?:[ _](?:goes|\w+ here|here|hier|aquí|ici|einfügen|to be added)){{0,3}}[^\])>}}%\n]{{0,80}}[\])>}}%]"
    rf"|\b(?:your|sample|insert|the)? ?{_TEXT} (?:goes )?here(?=\W*(?:\Z|[.!]))"
    r"|\bplaceholder text\b|^\W*(?:todo|tbd)\b(?! \w+ )|\[tbd\]|\[placeholder\]|\bwill contain the answer\b|<!-- your",
    re.IGNORECASE,
)
_SLOT = re.compile(
    r"\[(?![ x]\]|(?:Ctrl|Shift|Alt|Esc|Enter|Tab|Cmd)\]|[^\]]*(?: for \w+ in |[=()*]))[^\W\d][^\[\]\n]{2,80}\](?!\()"
    r"|\{\{? ?[a-z_]{2,30} ?\}?\}|\$\{\w+\}|<(?:insert |your )?[a-z]+(?: [a-z]+){1,4}>|<[A-Z]+(?:_[A-Z]+)+>"
    r"|%[A-Z_]{3,30}%|_{8,}|\bX{4,}\b"
)
_DOCUMENT = re.compile(
    r"\b(?:writ|draft|compos|template|letter|e-?mail|mail\b|invoice|agreement|contract|form\b|release|song|script|scene"
    r"|poem|quiz|podcast|transcript|outline|placeholder|lorem|dummy|variable|jinja|brackets?|tag|f-string|curl"
    r"|fill|render"
    r"|prompt|emoji|link|url|website|where|source|check ?box|todo|draw|ascii|table|diagram)",
    re.IGNORECASE,
)
_MOST_OF_TEXT = 0.25
_SLOTS_PER_WORD = 1 / 12
_SHORT_CHARACTERS = 200


def may_be_placeholder(answers: Answers) -> pl.Series:
    """Boolean: whether a text in free form holds a mark of such texts, or no word at all."""
    return (holds_any(answers.texts, _TRACES) | answers.texts.str.contains(_NO_WORDS)) & ~answers.closed


def placeholder_text(answer: Answer) -> bool:
    """The text stands in for an answer: slots such as [insert name here] all over, dummy Latin, no word, only a link.

    Slots belong into a letter or a form that was asked for, and into code.
    """
    if answer.is_closed() or _DOCUMENT.search(answer.prompt) or not answer.text.strip():
        return False
    if not re.search(r"\w", _LINK.sub("", answer.text)):
        return True
    text = _INLINE_CODE.sub(" ", answer.text)
    if len(_LATIN.findall(text)) >= 2 or (_LATIN.search(text) and len(text) < 60):
        return True
    if len(text) <= _SHORT_CHARACTERS and _STANDS_FOR_ALL.search(text):
        return True
    slots = [] if "\\" in text else _SLOT.findall(text)  # LaTeX and regular expressions have brackets of their own
    often = len(slots) >= 2 and len(slots) >= _SLOTS_PER_WORD * len(text.split())
    return often or sum(map(len, slots)) >= _MOST_OF_TEXT * len(text)
