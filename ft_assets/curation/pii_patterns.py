"""What personal data and secrets look like, kind by kind.

A detector has cheap signs (a text without any of them is not searched), a pattern that is linear in the text's length
(bounded or possessive repeats only), and a check in Python of what the pattern found.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ft_assets.curation.pii_lookalikes import (
    Span,
    after_a_word,
    has_letter_and_digit,
    international,
    is_address,
    is_ipv4,
    is_ipv6,
    looks_random,
    no_template,
    trunk,
    whole,
)


@dataclass(frozen=True)
class Detector:
    """Finds one kind. A text is searched when a sign (lower case) stands in it and `hint` matches."""

    kind: str
    pattern: re.Pattern[str]
    signs: tuple[str, ...] = ()
    hint: re.Pattern[str] | None = None
    check: Callable[[re.Match[str]], Span | None] = whole

    def spans(self, text: str, lowered: str) -> Iterator[Span]:
        """Where in the text this kind stands, from left to right, without overlaps."""
        if self.signs and not any(sign in lowered for sign in self.signs):
            return
        if self.hint and not self.hint.search(text):
            return
        for match in self.pattern.finditer(text):
            span = self.check(match)
            if span:
                yield span


_WORD = "A-Za-z0-9_À-ɏ"  # not \\w: Chinese stands beside an address without a space
_EDGE = r"(?<![A-Za-z0-9])"
_DIGIT_RUN = re.compile(r"\d[\d ().\-/]{5,}\d")
_NOT_IN_ARITHMETIC = r"(?![\w]|[.\-/]?\d|\s{0,2}[=*+/])"

# In the order of masking: what holds others comes first (a URL's password may look like an e-mail address).
DETECTORS: tuple[Detector, ...] = (
    Detector(
        "PRIVATE_KEY",
        # Headers and body hold no "-----" before the end line, and a key that was cut off ends with its last long line.
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:(?:[^-]|-(?!----))*+-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
            r"|(?:(?:\s|\\[nr])*+[A-Za-z0-9+/=]{16,}+)*+)"
        ),
        signs=("private key",),
    ),
    Detector(
        "URL_CREDENTIALS",
        re.compile(r"://(?P<secret>[^\s/:@\"'`]{0,200}:(?P<password>[^\s/@\"'`]{1,200}))@"),
        signs=("://",),
        check=no_template,
    ),
    Detector("JWT", re.compile(r"(?<![\w\-])eyJ[\w\-]{8,}+\.[\w\-]{8,}+\.[\w\-]*+"), signs=("eyj",)),
    Detector(
        "AWS_KEY",
        re.compile(_EDGE + r"(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
        signs=("akia", "asia", "aroa", "aida", "abia", "acca"),
    ),
    Detector(
        "AWS_KEY",
        re.compile(
            r"(?i:aws|secret)[\w\-]{0,20}(?i:key)[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])"
        ),
        signs=("key",),
        check=looks_random,
    ),
    Detector(
        "GITHUB_TOKEN",
        re.compile(_EDGE + r"(?:gh[pousr]_[A-Za-z0-9]{30,}+|github_pat_[A-Za-z0-9_]{22,}+|glpat-[\w\-]{20,}+)"),
        signs=("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-"),
    ),
    Detector(
        "SLACK_TOKEN",
        re.compile(
            _EDGE + r"(?:xox[abeoprs]-[A-Za-z0-9\-]{10,}+|xapp-[A-Za-z0-9\-]{10,}+"
            r"|hooks\.slack\.com/services/[A-Za-z0-9/]{20,}+)"
        ),
        signs=("xox", "xapp-", "hooks.slack.com"),
        check=has_letter_and_digit,
    ),
    Detector(
        "OPENAI_KEY",
        re.compile(_EDGE + r"sk-[A-Za-z0-9_\-]{20,}+"),
        signs=("sk-",),
        check=has_letter_and_digit,
    ),
    Detector(
        "GOOGLE_KEY",
        re.compile(_EDGE + r"(?:AIza[\w\-]{35}|ya29\.[\w\-]{20,}+|GOCSPX-[\w\-]{20,}+)"),
        signs=("aiza", "ya29.", "gocspx-"),
    ),
    Detector("HF_TOKEN", re.compile(_EDGE + r"(?:hf|api_org)_[A-Za-z0-9]{30,}+"), signs=("hf_", "api_org_")),
    Detector(
        "API_KEY",
        re.compile(
            _EDGE
            + r"(?:[srp]k_(?:live|test)_[A-Za-z0-9]{16,}+|npm_[A-Za-z0-9]{36}|pypi-[\w\-]{50,}+|dop_v1_[a-f0-9]{64}"
            r"|SG\.[\w\-]{16,}+\.[\w\-]{16,}+|gsk_[A-Za-z0-9]{30,}+|AGE-SECRET-KEY-1[A-Z0-9]{40,}+)"
        ),
        signs=("k_live_", "k_test_", "npm_", "pypi-", "dop_v1_", "sg.", "gsk_", "age-secret-key"),
    ),
    Detector(
        "API_KEY",
        re.compile(r"(?i:\bbearer)\s{1,3}(?P<secret>[A-Za-z0-9._~+/\-]{20,}+=*+)"),
        signs=("bearer",),
        check=has_letter_and_digit,
    ),
    Detector(
        "API_KEY",
        re.compile(
            r"(?i:api[_\-]?key|secret[_\-]?key|access[_\-]?key|access[_\-]?token|auth[_\-]?token|refresh[_\-]?token"
            r"|client[_\-]?secret|private[_\-]?token|api[_\-]?token|password|passwd|secret|token)"
            r"[\"']?\s{0,3}[:=]>?\s{0,3}[\"']?(?P<secret>[A-Za-z0-9_\-+/=~!#%^&*]{16,}+)(?![A-Za-z0-9(\[.])"
        ),
        signs=("key", "token", "secret", "passw"),
        check=looks_random,
    ),
    Detector(
        "EMAIL",
        # One start per run of name characters, so long runs without @ cost their length once.
        re.compile(
            rf"(?<![{_WORD}.%+\-])(?P<name>[{_WORD}.%+\-]++)@(?P<domain>(?:[{_WORD}\-]++\.)+[A-Za-zÀ-ɏ]{{2,24}}+)"
            rf"(?![{_WORD}(\[]|\.[A-Za-z_])"
        ),
        signs=("@",),
        check=is_address,
    ),
    Detector(
        "IP",
        re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{6,45}+(?![\w])"),
        hint=re.compile(r"::|(?:[0-9A-Fa-f]{1,4}:){7}"),
        check=is_ipv6,
    ),
    Detector(
        "IP",
        re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d|-[A-Za-z])"),
        hint=re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d"),
        check=is_ipv4,
    ),
    Detector(
        "PHONE",
        re.compile(r"(?<![\w+.)\]])\+(?=[1-9])\d++(?:[ .\-()/]{1,2}+\d++){0,7}(?![A-Za-z_])"),
        hint=re.compile(r"\+\d"),
        check=international,
    ),
    Detector(
        "PHONE",
        re.compile(
            r"(?i:\b(?:phone|telephone|tel|mobile|handy|fax|whatsapp)(?:[ _]?(?:number|no|nr|num)\b)?)"
            r"[.\"'\]]{0,2}\s{0,3}"
            r"(?i:[:=#]|is\b|at\b|on\b|under\b)?\s{0,3}[\"']{0,2}(?P<secret>\(?\d[\d ().\-/]{5,24}\d)(?![\w])"
        ),
        signs=("phone", "tel", "mobile", "handy", "fax", "whatsapp"),
        hint=_DIGIT_RUN,
        check=after_a_word,
    ),
    Detector(
        "PHONE",
        re.compile(
            r"(?i:\b(?:call|text|dial|ring|reach|contact|number)\b)[^\d\n]{0,20}+(?P<secret>\d{3} \d{3} \d{4})"
            + _NOT_IN_ARITHMETIC
        ),
        signs=("call", "text", "dial", "ring", "reach", "contact", "number"),
        hint=_DIGIT_RUN,
    ),
    Detector(
        "PHONE",  # North America: (415) 555-0134, 415-555-0134, 1-800-555-0134, 415.555.0134
        re.compile(
            r"(?<![\w.+\-/=*<>#])(?:1[ .\-])?"
            r"(?:\([2-9]\d{2}\)[ \-.]?\d{3}[ \-.]|[2-9]\d{2}-\d{3}-|[2-9]\d{2}\.[2-9]\d{2}\.)\d{4}" + _NOT_IN_ARITHMETIC
        ),
        hint=_DIGIT_RUN,
    ),
    Detector(
        "PHONE",  # with a trunk or exit prefix: 0171 2345678, 020 7946 0958, 0049 171 2345678
        re.compile(r"(?<![\w.:,/+\-])(?<!\d )0\d{2,4}[ /\-]\d{3,8}(?:[ \-]\d{3,8})?(?![\w]|[ .,:\-]\d)"),
        hint=_DIGIT_RUN,
        check=trunk,
    ),
)
