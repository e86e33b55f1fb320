"""Keys, tokens and passwords by what their issuers print on them, or by the name that they are assigned to.

Most patterns are written once: `_issued` makes a detector of prefixes that only keys have.
"""

import re

from ft_assets.curation.pii_detector import BLANK, EDGE, Check, Detector
from ft_assets.curation.pii_lookalikes import (
    has_digit,
    has_digit_or_both_cases,
    has_letter_and_digit,
    has_random_part,
    is_named_secret,
    looks_random,
    no_template,
    not_a_placeholder_word,
)

_END = r"(?![A-Za-z0-9])"


def _issued(kind: str, *bodies: str, signs: tuple[str, ...], check: Check = has_digit) -> Detector:
    """A detector of bodies that say the same in the syntaxes of Python and Rust."""
    either = "|".join(bodies)
    return Detector(kind, re.compile(f"{EDGE}(?:{either})"), either, signs, check=check)


# Written without a flag for case, so that Python's engine can scan for the first letters.
_NAME_END = (
    "(?:[kK][eE][yY]|[tT][oO][kK][eE][nN]|[sS][eE][cC][rR][eE][tT]|[pP][aA][sS][sS](?:[wW][oO][rR][dD]|[wW][dD]))"
)
_VALUE = r"(?:[A-Za-z0-9_\-+/=~!#%^*]|&(?![A-Za-z_]{1,20}=))"  # the next field of a form is not part of it
_ASSIGNED = rf"[\"']?{BLANK}{{0,3}}[:=]>?{BLANK}{{0,3}}[\"']?"

SECRET_DETECTORS: tuple[Detector, ...] = (
    Detector(
        "PRIVATE_KEY",
        # Headers and body hold no "-----" before the end line, and a key that was cut off ends with its last long line.
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:(?:[^-]|-(?!----))*+-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
            r"|(?:(?:\s|\\[nr])*+[A-Za-z0-9+/=]{16,}+)*+)"
        ),
        r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY",
        signs=("private key",),
    ),
    Detector(
        "PRIVATE_KEY",  # PuTTY
        re.compile(r"Private-Lines: [0-9]{1,3}(?:\r?\n|\\n)(?P<secret>(?:[A-Za-z0-9+/=]{16,64}+(?:\r?\n|\\n)?)++)"),
        r"Private-Lines: [0-9]",
        signs=("private-lines: ",),
    ),
    Detector(
        "URL_CREDENTIALS",
        re.compile(r"://(?P<secret>[^\s/:@\"'`]{0,200}:(?P<password>[^\s/@\"'`?#][^\s/\"'`?#]{0,199}))@"),
        r"://[^ \t\n\r/:@\"'`]*:[^ \t\n\r/\"'`?#]+@",
        signs=("://",),
        check=no_template,
    ),
    Detector(
        "JWT",
        re.compile(
            r"(?<![\w\-])eyJ[A-Za-z0-9_\-]{8,}+\.[A-Za-z0-9_\-]{8,}+\.[A-Za-z0-9_\-]*+(?:\.[A-Za-z0-9_\-]++){0,2}"
        ),
        r"eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8}",
        signs=("eyj",),
    ),
    Detector(
        "AWS_KEY",
        re.compile(r"A(?<![A-Za-z0-9].)(?:KIA|SIA|ROA|IDA|BIA|CCA)[A-Z0-9]{16}" + _END),
        r"A(?:KIA|SIA|ROA|IDA|BIA|CCA)[A-Z0-9]{16}",
        signs=("akia", "asia", "aroa", "aida", "abia", "acca"),
        check=not_a_placeholder_word,
    ),
    Detector(
        "AWS_KEY",
        re.compile(
            r"(?i:aws|secret)[A-Za-z0-9_ \-]{0,20}(?i:key)"
            rf"[\"']?{BLANK}{{0,3}}(?:[:=]>?|is){BLANK}{{0,3}}[\"']?"
            r"(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"
        ),
        rf"(?i:key)[\"']?{BLANK}{{0,3}}(?:[:=]>?|is){BLANK}{{0,3}}[\"']?[A-Za-z0-9/+]{{40}}",
        signs=("key",),
        check=looks_random,
    ),
    _issued(
        "AZURE_KEY",  # storage accounts, service buses and event hubs, client secrets
        r"(?i:AccountKey|SharedAccessKey)=(?P<secret>[A-Za-z0-9+/]{43,86}={1,2})",
        signs=("accountkey=", "sharedaccesskey="),
    ),
    Detector(
        "AZURE_KEY",
        re.compile(r"(?<![A-Za-z0-9_~.\-])[A-Za-z0-9_~.\-]{3}[0-9]Q~[A-Za-z0-9_~.\-]{31,34}(?![A-Za-z0-9_~\-])"),
        r"[0-9]Q~[A-Za-z0-9_~.\-]{31}",
        signs=("q~",),
    ),
    Detector(
        "AZURE_KEY",  # shared access signatures
        re.compile(r"[?&;](?:amp;)?sig=(?P<secret>[A-Za-z0-9%+/]{40,200}+=*+)"),
        r"[?&;]sig=[A-Za-z0-9%+/]{40}",
        signs=("sig=",),
        check=has_letter_and_digit,
    ),
    _issued(
        "GITHUB_TOKEN",
        r"gh[pousr]_[A-Za-z0-9]{30,255}",
        r"github_pat_[A-Za-z0-9_]{22,255}",
        signs=("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    ),
    _issued(
        "GITLAB_TOKEN",
        r"gl(?:pat|ptt|dt|rt|cbt|soat|oas|ft|imt)-[A-Za-z0-9_\-.]{20,300}",
        signs=("glpat-", "glptt-", "gldt-", "glrt-", "glcbt-", "glsoat-", "gloas-", "glft-", "glimt-"),
    ),
    _issued(
        "SLACK_TOKEN",
        r"xox[abceoprs](?:\.xox[bp])?-[A-Za-z0-9\-]{10,255}",
        r"xapp-[A-Za-z0-9\-]{10,255}",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{20,255}",
        signs=("xox", "xapp-", "hooks.slack.com"),
    ),
    Detector(
        "OPENAI_KEY",  # and those in its style: sk-proj-, sk-ant-, sk-or-
        re.compile(EDGE + r"sk-[A-Za-z0-9_\-]{20,}+"),
        r"sk-[A-Za-z0-9_\-]{20}",
        signs=("sk-",),
        check=has_random_part,
    ),
    _issued(
        "GOOGLE_KEY",
        r"AIza[A-Za-z0-9_\-]{35}",
        r"ya29\.[A-Za-z0-9_\-.]{20,2000}",
        r"GOCSPX-[A-Za-z0-9_\-]{20,60}",
        r"1//0[A-Za-z0-9_\-]{40,200}",
        signs=("aiza", "ya29.", "gocspx-", "1//0"),
    ),
    _issued(
        "HF_TOKEN",
        r"(?:hf|api_org)_[A-Za-z0-9]{30,60}",
        signs=("hf_", "api_org_"),
        check=has_digit_or_both_cases,
    ),
    _issued(
        "STRIPE_KEY",
        r"[srp]k_(?:live|test)_[A-Za-z0-9]{16,255}",
        r"whsec_[A-Za-z0-9+/]{24,255}",
        signs=("k_live_", "k_test_", "whsec_"),
    ),
    _issued("NPM_TOKEN", r"npm_[A-Za-z0-9]{36}", signs=("npm_",)),
    _issued("PYPI_TOKEN", r"pypi-[A-Za-z0-9_\-]{50,400}", signs=("pypi-",)),
    _issued(
        "API_KEY",
        r"do[opr]_v1_[a-f0-9]{64}",
        r"SG\.[A-Za-z0-9_\-]{16,64}\.[A-Za-z0-9_\-]{16,64}",
        r"gsk_[A-Za-z0-9]{30,80}",
        r"AGE-SECRET-KEY-1[A-Z0-9]{40,80}",
        r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
        r"dckr_[op]at_[A-Za-z0-9_\-]{20,60}",
        r"hv[sb]\.[A-Za-z0-9_\-]{24,300}",
        r"glsa_[A-Za-z0-9_]{32,60}",
        r"ATATT3[A-Za-z0-9_\-=]{40,300}",
        r"xkeysib-[a-f0-9]{64}",
        r"dapi[a-f0-9]{32}",
        r"r8_[A-Za-z0-9]{37}",
        r"(?:nvapi|pplx|xai|tvly)-[A-Za-z0-9_\-]{32,100}",
        r"lin_api_[A-Za-z0-9]{40}",
        r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}",
        r"sq0(?:atp|csp)-[A-Za-z0-9_\-]{22,60}",
        r"[0-9]{8,10}:AA[A-Za-z0-9_\-]{33}",
        signs=(
            *(
                "dop_v1_",
                "doo_v1_",
                "dor_v1_",
                "sg.",
                "gsk_",
                "age-secret",
                "shpat",
                "shpca",
                "shppa",
                "shpss",
                "dckr_",
                "hvs.",
                "hvb.",
                "glsa_",
                "atatt3",
                "xkeysib-",
            ),
            *("dapi", "r8_", "nvapi-", "pplx-", "xai-", "tvly-", "lin_api_", "pmak-", "sq0", ":aa"),
        ),
    ),
    Detector(
        "API_KEY",
        re.compile(r"(?i:\bbearer)[ \t]{1,3}(?P<secret>[A-Za-z0-9._~+/\-]{20,}+=*+)"),
        r"(?i:bearer)[ \t]{1,3}[A-Za-z0-9._~+/\-]{20}",
        signs=("bearer",),
        check=has_letter_and_digit,
    ),
    Detector(
        "API_KEY",
        re.compile(rf"(?i:authorization){_ASSIGNED}(?i:basic)[ \t]{{1,3}}(?P<secret>[A-Za-z0-9+/]{{12,}}+=*+)"),
        rf"(?i:authorization){_ASSIGNED}(?i:basic)[ \t]{{1,3}}[A-Za-z0-9+/]{{12}}",
        signs=("authorization",),
    ),
    Detector(
        "API_KEY",
        re.compile(rf"(?P<name>{_NAME_END}){_ASSIGNED}(?P<secret>{_VALUE}{{16,}}+)(?![A-Za-z0-9(\[.])"),
        # A value that looks random holds a digit, which most assigned names and calls do not.
        rf"{_NAME_END}{_ASSIGNED}[A-Za-z_\-+/=~!#%^&*]*[0-9]",
        signs=("key", "token", "secret", "passw"),
        check=is_named_secret,
    ),
)
