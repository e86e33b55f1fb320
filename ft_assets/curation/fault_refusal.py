"""Answers that decline to answer."""

import re
from functools import lru_cache

import polars as pl

from ft_assets.curation.fault_answers import Answer, Answers, holds_any, plain_apostrophes, sentences

_TRACES = (  # each small enough for Rust's search for many words at once
    r"sorry|Sorry|pologi|n AI |n AI,|anguage model|annot |an not |an['’]t |on['’]t |ill not |nable to|ot able",
    r"eclin|omfortable|ermitted|ropriate for me|ot have the ab|eyond what I|eyond my |polic[yi]|just an AI",
    r"ls KI|KI-Sp|ünstliche Int|chmodell|Leider|leider|ut mir|ichtlinien|ntschuldig|eiterhelf",
    r"ne peux|pas en mesure|o puedo|me es posible|ão posso|on posso|suis une IA|nteligencia art|elo de lenguaje",
)
_VERB = (
    r"(?:help|assist|provid|answer|comply|fulfil|generat|discuss|engag|offer|shar|support (?:this|that|you)|participat"
    r"|respond|continu|giv|writ|creat|browse|access|view|form opinions|process (?:this|that)|do (?:that|this)\b"
    r"|complete)"
)
_UNABLE = (
    r"(?:can(?:no|')t|can not|cannot and will not|won't(?: be able to)?|will not(?: be able to)?"
    r"|(?:am|'m|was) (?:\w+ )?(?:un|not )able to|(?:am|'m) (?:\w+ )?not (?:permitted|allowed|comfortable"
    r"|qualified)(?: to)?"
    r"|(?:don't|do not) have the ability to|(?:don't|do not) feel comfortable)"
)
_AI = r"(?:AI|artificial intelligence|(?:large )?language model|chatbot|virtual assistant)"
_DECLINES = re.compile(
    "|".join(
        [
            rf"\bI(?:'m)?\b(?: \w+){{0,2}}? ?{_UNABLE} (?:\w+ ){{0,2}}?(?:to )?{_VERB}",
            r"\bI (?:must|have to|need to) (?:\w+ )?decline\b",
            r"^(?:sorry|unfortunately)[, ]+(?:but )?(?:I )?(?:can(?:no|')t|unable to) (?:help|assist|do (?:that|this))",
            r"\b(?:something|what) (?:that )?I (?:can(?:no|')t|am unable to|can) (?:\w+ )?(?:help|assist)",
            rf"\bas an? (?:\w+ ){{0,3}}?{_AI}\b.{{0,60}}\bI(?: can(?:no|')t| do not| don't| am (?:not|unable)"
            rf"|'m (?:not|unable))",
            rf"\bI(?:'m| am) (?:just |only )?an? {_AI}\b.{{0,60}}\b(?:can(?:no|')t|not|don't|unable)\b",
            r"\b(?:against|violates|comply with) (?:my|our) (?:\w+ )?(?:guidelines|polic|programming)",
            r"\bnot appropriate for me to\b",
            r"\bbeyond (?:what I can (?:do|help with)|my (?:abilities|capabilities|scope))\b",
            # German
            r"\bkann (?:ich )?(?:\w+ ){0,6}?(?:nicht|keine?)\b.{0,40}"
            r"\b(?:weiterhelfen|helfen|beantworten|erfüllen|Auskunft|Beratung|geben)",
            r"\bdarf ich\b.{0,30}\bkeine Auskunft",
            r"\bAls (?:ein )?(?:KI|künstliche Intelligenz|Sprachmodell)\b.{0,60}\b(?:nicht|keine?)\b",
            # French
            r"\bje ne (?:peux|suis) pas (?:\w+ )?(?:aider|répondre|fournir|donner|traiter"
            r"|en mesure de (?:fournir|répondre))",
            r"\b(?:en tant qu|je suis une? )['e]? ?(?:IA|modèle|intelligence)\b.{0,60}\bne (?:peux|suis)\b",
            # Spanish, Portuguese, Italian
            r"\bno (?:puedo|me es posible) (?:ayudar|responder|proporcionar|cumplir|dar\b)",
            r"\bcomo (?:una? )?(?:modelo de lenguaje|IA|inteligencia artificial)\b.{0,40}\bno\b",
            r"\bnão posso (?:ajudar|responder|fornecer)|\bnon posso (?:aiutar|rispondere|fornire)",
        ]
    ),
    re.IGNORECASE,
)
_TURNS_TO_HELP = re.compile(
    r"\b(?:but|however|instead|that said|nevertheless|still|here (?:is|are)|here's|let me|what I can|you can"
    r"|you could|aber"
    r"|jedoch|stattdessen|mais|cependant|pero|sin embargo)\b",
    re.IGNORECASE,
)
_LIST_OR_CODE = re.compile(r"```|^[ \t]*(?:[-*•]|\d+[.)]) \S", re.MULTILINE)
_MAY_BE_ASKED_FOR = re.compile(
    r"\b(?:declin|refus|reject|turn(?:ing|s)? (?:\w+ )?down|say(?:ing)? no\b|translat|übersetz|tradu|quote)",
    re.IGNORECASE,
)
_FIRST_SENTENCES = 3
_HELP_CHARACTERS = 140  # after "However, ...": less is an offer to help with something else
_LONG_CHARACTERS = 1200  # so much text after it is an answer


def may_refuse(answers: Answers) -> pl.Series:
    """Boolean: whether the opening holds a word that refusals have."""
    return holds_any(answers.heads, _TRACES)


def refusal(answer: Answer) -> bool:
    """The answer declines: it says in its opening that it cannot, may not or will not, and gives no help after it.

    A rightful refusal is one, too: whether a model should learn it is decided by whoever writes a set of refusals, not
    by ratings. None are an apology with help, a limit that is named before an answer, a quoted refusal, a text that
    was asked to decline, and a statement about the world ("we have no cocoa").
    """
    if not _declines(answer.text):
        return False
    return answer.task_type != "translation" and not _MAY_BE_ASKED_FOR.search(answer.prompt)


@lru_cache(maxsize=1024)  # refusals come in the same words
def _declines(text: str) -> bool:
    text = plain_apostrophes(text)
    for sentence in sentences(text[:_LONG_CHARACTERS])[:_FIRST_SENTENCES]:
        found = _DECLINES.search(sentence)
        if found and not _is_quoted(sentence, found.start()):
            return not _helps(text[text.index(sentence) + found.end() :])
    return False


def _is_quoted(sentence: str, place: int) -> bool:
    before = sentence[:place]
    return before.count('"') % 2 == 1 or any(each in before for each in "“„«") or before.endswith(("'", "('"))


def _helps(rest: str) -> bool:
    turn = _TURNS_TO_HELP.search(rest)
    after = len(rest) - turn.end() if turn else 0
    return after >= _HELP_CHARACTERS or len(rest) >= _LONG_CHARACTERS or bool(_LIST_OR_CODE.search(rest))
