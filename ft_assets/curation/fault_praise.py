"""Answers that only compliment."""

import re

import polars as pl

from ft_assets.curation.fault_answers import Answer, Answers, holds_any, plain_apostrophes, sentences

_TRACES = (  # each small enough for Rust's search for many words at once
    r"[Gg]reat|[Aa]mazing|[Aa]wesome|[Ee]xcellent|[Ff]antastic|[Ww]onderful|[Bb]rilliant|ncredibl",
    r"proud|[Ii]mpress|[Ll]ove |Love!|[Ll]ovely|inspir|fabulous|utstanding|[Tt]errific|[Ss]uperb|[Pp]erfect|[Kk]udos",
    r"Hats off|Bravo|talent|ood job|ell done|genius|beautiful|right track|nsightful|star!|thoughtful|natural!",
    r"Tolle |Super |klasse|großartig|xcelente|ncreíble|belle |formidable|gran pregunta",
)
_PRAISE = re.compile(
    r"\b(?:great|amaz\w+|awesome|excellent\w*|fantastic|wonderful\w*|brilliant\w*|incredibl\w+|proud|impress\w+"
    r"|inspir\w+"
    r"|fabulous|outstanding|terrific|superb|perfect|kudos|hats off|bravo|smart\w*|clever|sharp|talent\w*|genius|gifted"
    r"|lovely|beautiful|remarkable|admir\w+|love (?:this|that|it|your|you)|nice (?:one|work|job)|well done|star|rock"
    r"|good (?:job|work|question|point)|thoughtful|insightful|bright|creative|special|joy|kind|best|cheering|natural"
    r"|on fire|in awe|adore|deep"
    r"|stay awesome|tolle|super|klasse|großartig\w*|beeindruckt|stolz|excelente|incre[íi]ble|gran|belle"
    r"|formidable"
    r"|excellente|encanta|genial)\b",
    re.IGNORECASE,
)
_TO_YOU = re.compile(
    r"\b(?:you\w*|your\w*|question|idea|point|thinking|job|work|attitude|wow|i(?:'m)?|someone|people|person|friend|this"
    r"|du|dein\w*|frage|vous|tu|eres|pregunta|que|qué)\b|^\W*\w+(?: \w+)?\W*!\W*$",
    re.IGNORECASE,
)
_PLEASANTRY = re.compile(
    r"\W*(?:keep |never (?:stop|change)|you(?:'ve| have) got this|i believe|let me know|feel free|thank"
    r"|have an? |hello|hi\b"
    r"|go for it|stay |i'(?:m|d) (?:be |so |really |very |truly |sure |here |excited |thrilled |happy |glad )"
    r"|i (?:wish|hope|am sure|really|truly|couldn't|wouldn't|can't wait)|it (?:really |truly "
    r"|clearly )?(?:shows|makes me)"
    r"|it's (?:always|people|a pleasure)"
    r"|you(?:'re| are) (?:doing|on the|absolutely|truly|so|very|right|a|clearly|simply|exactly|asking)"
    r"|you(?:'ve| have) (?:clearly|truly|really)|you (?:deserve|never|should (?:be|feel)|really|rock|can do)|with your"
    r"|every question of yours|that takes|the world needs|not many|honestly|enjoy"
    r"|weiter so|du |vous |continuez|sigue|vas )",
    re.IGNORECASE,
)
_SAYS_SOMETHING = re.compile(r"[0-9`=<>{}|\[\]]|https?:|\w:\s|;|\b(?:should (?:use|set|try)|first|next step|refund)\b")
_MAY_BE_ASKED_FOR = re.compile(
    r"congrat|compliment|prais|encourag|motivat|affirm|birthday|anniversary|wedding|toast|thank|cheer|greeting"
    r"|card\b|love"
    r"|poem|message (?:to|for)|translat|classif|sentiment|lob|glückwunsch|felicit|félicit",
    re.IGNORECASE,
)
_TELLS_NEWS = re.compile(r"\b(?:I|we)(?:'ve)? (?:\w+ed|got|won|did|made)\b", re.IGNORECASE)
_HAS_WORD = re.compile(r"\w")
_MOST_BYTES = 700
_HEAD_CHARACTERS = 160
_MOST_OTHERS = 0.25  # of the sentences


def may_be_praise(answers: Answers) -> pl.Series:
    """Boolean: whether a short answer in free text holds a word of praise in its opening."""
    found = holds_any(answers.heads.str.head(_HEAD_CHARACTERS), _TRACES)
    found &= (answers.sizes <= _MOST_BYTES) & ~answers.closed
    return found


def empty_praise(answer: Answer) -> bool:
    """At least three of four sentences compliment the asker or are pleasantries, and nothing is answered.

    Not where the question asks for kind words, or tells news without asking anything, and not in closed tasks.
    """
    text = plain_apostrophes(answer.text)
    if answer.is_closed() or _SAYS_SOMETHING.search(text) or not _only_praises(text):
        return False
    told_news = "?" not in answer.prompt and _TELLS_NEWS.search(answer.prompt)
    return not told_news and not _MAY_BE_ASKED_FOR.search(answer.prompt)


def _only_praises(text: str) -> bool:
    said = [each for each in sentences(text) if _HAS_WORD.search(each)]
    if len(said) == 1 and "!" not in text:  # "great, your order will be up shortly"
        return False
    praised, others = False, 0
    for each in said:
        praises = not each.endswith("?") and bool(_PRAISE.search(each) and _TO_YOU.search(each))
        praised |= praises
        others += not praises and (each.endswith("?") or not _PLEASANTRY.match(each))
        if others > _MOST_OTHERS * len(said):
            return False
    return praised
