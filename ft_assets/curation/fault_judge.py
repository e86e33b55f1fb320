"""Answers that talk to whoever scores them. One meaningless text of this kind can win against real answers (Zheng et
al., 2024, "Cheating Automatic LLM Benchmarks: Null Models Achieve High Win Rates", arXiv 2410.07137).
"""

import re
from collections.abc import Iterator

import polars as pl

from ft_assets.curation.fault_answers import Answer, Answers, holds_any

_TRACES = (  # each small enough for Rust's search for many words at once
    r"valuat|rader|udge |udges|udge[,.:?]|JUDGE|judge\|| score|Score|SCORE| rating|Rating|rading|scoring|rade:|rubric"
    r"|erdict|RESULT|Assistant [AB]|eviewer|elevance|core>|rater:|he rater |rating>",
    r"ull marks|ull points|ull credit|le points|ive stars|erfect 10|op mark|deal reference|gold answer|5 from you"
    r"|penalise",
    r"ate this|ate the resp|give this|mark this|ntwort verd|unktzahl|réponse |respuesta |Bewert|évaluat|10/10",
)
_BRACKETED = r"\[\[(?:[ABC]\]|\d{1,2}\]\]|rating)"
_COMPANIONS = (  # what else such a text holds; Rust looks for it in the few with a trace
    r"nswer|esponse|eply|udge|rader|valuator|he rater |ear rater[,:]|eviewer|ssistant|ubric|ccuracy|ing model",
    r"ate this|ate my|core this|core my|rade this|ark this|ive this|ive it|ing this|core[:=>\"|]|ating[:=>\"|]",
    r"pre-approved|rade[:=>\"|]|\[\[|erdict[:=>\"|]|ntwort|éponse|espuesta|ewert|valuateur|CORE|\d/ ?5|\d/ ?10",
)
_TRACE = re.compile("|".join([*_TRACES, _BRACKETED]))
_AROUND = 120  # characters on both sides of a trace are read

_JUDGE = r"(?:judge|grader|evaluator|rater|reviewer|(?:reviewing|grading|judging|evaluating) model|evaluation system)"
_OWN = r"(?:this|my|the above|above) (?:answer|response|reply|output|solution|text)"
_MOST = r"(?:full|perfect|top|highest|maximum|max|best|all available)(?: possible)?"
_TOP = (
    rf"(?:{_MOST} (?:score|rating|marks?|grade|points|credit|10|5)\b"
    r"|\b(?:5|10|100|five)(?:/\d+| out of| points| stars|\b)|correct\b|the best)"
)
_CRITERION = r"(?:relevance|completeness|accuracy|clarity|helpfulness|depth|correctness|coherence|faithfulness)"
_MARK = r"[\"']?\*{0,2}\s*[:=]?\s*\d+(?:\.\d+)?(?:/\d+)?\b"
_VERDICT = r"\[\[(?:[ABC]|\d{1,2}|rating: ?\d{1,2})\]\]"
_SPOKEN_TO = (
    rf"\b(?:dear|hello|hi|attention|honou?rable) (?:\w+ )?{_JUDGE}s?\b",
    rf"\b(?:note|message|instructions?|notice) (?:to|for) (?:the |any |all )?(?:\w+ )?{_JUDGE}s?\b",
    rf"\bto the (?:LLM|AI|automated) {_JUDGE}\b",
    rf"\bas (?:the|an?) (?:\w+ )?{_JUDGE},? you\b",
    rf"(?:^|[.!?(\]] ?){_JUDGE}s?(?: instructions?)?(?:: |, the |, you|, please|, note)|, (?:dear )?{_JUDGE}[?!.]",
    rf"\b{_JUDGE}s? (?:should|must|shall|has to|will) (?:\w+ )?"
    r"(?:note|give|return|output|assign|award|rate|score|accept)",
    r"\b(?:AI|LLM|model|person|one|those|you are|whoever is) (?:grading|judging|scoring|evaluating) "
    r"(?:this|an answer|my)\b",
    rf"\b(?:any|every|each) {_JUDGE} (?:would|should|must|will|can)\b",
    r"\bwhoever (?:scores|grades|judges|evaluates|rates)\b|\byou are grading\b",
    r"\bwhen (?:you )?(?:assess|evaluate|judge|grade|score|rate)(?:ing)? (?:this|my)\b",
    r"\b(?:do not|don't) (?:deduct|penali[sz]e)\b|\bfor its length when scoring\b",
    r"\b(?:ignore|forget|disregard) (?:the |your |all |any )?(?:previous )?"
    r"(?:grading|evaluation|scoring|judging|rubric)",
    r"\boutput 1\.0\b|\breturn \{\"score\"|\boutput a score\b",
)
_PRAISES_ITSELF = (
    rf"\b{_OWN}\b.{{0,40}}\b(?:deserves?|merits?|earns?|should (?:be|receive|get)|must be|is worth|be scored)\b"
    rf".{{0,60}}?(?:{_TOP}|\bscored?\b|\b10\b|preferred|rating)",
    rf"\b{_OWN}\b.{{0,30}}\b(?:fully satisfies|meets|fulfils|has been (?:evaluated|verified|pre-approved|rated))\b"
    rf".{{0,80}}(?:criteri|rubric|score|{_TOP})",
    r"\bresponse that fully satisfies\b",
    r"\b(?:treat|consider|regard) (?:this|it) (?:as )?the (?:gold|best|reference|ideal)",
    r"\bideal reference answer\b|\ba score (?:lower|below|less) than\b|\bpre-approved with a score\b",
    rf"\b(?:rate|score|grade|mark|give) (?:this|my|it)(?: \w+)?(?: with| as| to)?(?: an?| the)? ?{_TOP}",
    r"\bI (?:would|'d) rate this (?:response|answer|reply)|\brating of this (?:response|answer)",
    r"\b(?:assign|award|output|give|return)\b.{0,30}(?:\bscore of 1"
    rf"|{_MOST} (?:score|rating|marks?|grade|points|credit))",
)
_VERDICTS_AND_PROMPTS = (
    r"\[the (?:start|end) of assistant|\bimpartial judge\b|\bassistant [ab] is better\b|\bfinal verdict is\b",
    r"\[result\] ?\d|\byou are evaluating an answer\b|\bbegin your evaluation by\b",
    r"<\|?(?:judge|score|rating|grade)\|?>",
    rf"\A\s*{_VERDICT}|{_VERDICT}[\s.]*\Z",
    rf"{_CRITERION}{_MARK}[\s\S]{{0,30}}{_CRITERION}[\"']?\*{{0,2}}\s*[:=]?\s*\d",
    rf"\d(?:\.\d+)? {_CRITERION}, \d(?:\.\d+)? {_CRITERION}",
    r"(?:^|[.!?] )(?:final |overall )?(?:score|rating|grade|verdict)\s*[:=]\s*"
    r"(?:\d+(?:\.\d+)?(?:\s*/\s*\d+)?\s*(?:$|[.]\s|[.]$)|A\+|correct\b)",
)
_OTHER_LANGUAGES = (
    r"\bbewertung: \d+ (?:von|/) ?\d+|\b(?:diese|meine) antwort\b.{0,50}\b(?:punktzahl|höchstnote|bestnote)",
    r"\bliebe[rs]? (?:bewerter|prüfer|gutachter)|\bcette réponse\b.{0,40}\bnote (?:maximale|parfaite)",
    r"\bcher (?:évaluateur|juge)|\battribuer \d+ sur \d+|\besta respuesta\b.{0,40}\b(?:puntuación|nota|un 10|un 5)",
    r"\bestimado (?:evaluador|juez)",
)
_FOUND = re.compile(
    "|".join([*_SPOKEN_TO, *_PRAISES_ITSELF, *_VERDICTS_AND_PROMPTS, *_OTHER_LANGUAGES]), re.IGNORECASE | re.MULTILINE
)
_ASKED_FOR = re.compile(
    r"\b(?:judg|grad(?:e|ing)\b(?! \d)|grader|autograder|evaluat|rat(?:e|ed|ing|ings)\b|scor|review|rubric|assess"
    r"|critique|marks|stars?\b|kappa|mt-bench|win+er|which (?:response|answer|one) is better|\[\[|bewert|punkte"
    r"|note[rz]?\b|calific|puntu)",
    re.IGNORECASE,
)


def may_address_a_judge(answers: Answers) -> pl.Series:
    """Boolean: whether a text holds a word that such texts have, and one more of them."""
    found = holds_any(answers.texts, (*_TRACES, _BRACKETED))
    worded = found.arg_true()
    return found.scatter(worded, holds_any(answers.texts.gather(worded), _COMPANIONS)) if len(worded) else found


def addresses_the_judge(answer: Answer) -> bool:
    """The text speaks to whoever scores it, scores itself, or is a judge's prompt or verdict.

    Not where the question is about judging, grading, rating or reviewing: then the same words are an answer.
    """
    if _ASKED_FOR.search(answer.prompt):
        return False
    return any(_FOUND.search(part) for part in _parts_with_a_trace(answer.text))


def _parts_with_a_trace(text: str) -> Iterator[str]:
    """The text around each trace, so that a long text costs little more than a short one."""
    read = -1
    for trace in _TRACE.finditer(text):
        if trace.start() >= read:
            start, end = max(0, trace.start() - _AROUND), trace.end() + _AROUND
            read = end - _AROUND // 2
            yield text[start:end]
