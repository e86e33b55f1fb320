"""What only looks like personal data or a secret: versions, slices, dates, templates, arithmetic.

Each check gets what a pattern of pii_patterns.py found and gives the span to mask, or None for a look-alike.
"""

import ipaddress
import itertools
import math
import re
from collections import Counter

from ft_assets.curation.pii_detector import Span, whole

_FEWEST_DIFFERENT = 8  # characters of a key; ghp_xxxxxxxxxxxx in a manual has fewer


def not_a_placeholder_word(match: re.Match[str]) -> Span | None:
    """Not `ghp_xxxxxxxxxxxxxxxxxxxx`, as manuals write it."""
    start, end = whole(match)
    return (start, end) if len(set(match.string[max(start, end - 30) : end])) >= _FEWEST_DIFFERENT else None


def has_digit(match: re.Match[str]) -> Span | None:
    """Not `xoxb-your-token`: of 30 random letters and digits, one in 200 has no digit."""
    span = not_a_placeholder_word(match)
    return span if span and re.search("[0-9]", match.string[slice(*span)]) else None


def has_digit_or_both_cases(match: re.Match[str]) -> Span | None:
    """For issuers whose keys may be of letters alone; not a long word."""
    span = not_a_placeholder_word(match)
    body = match.string[slice(*span)].partition("_")[2] if span else ""
    both = re.search("[a-z]", body) and re.search("[A-Z]", body)
    return span if both or re.search("[0-9]", body) else None


_PART = re.compile(r"[A-Za-z0-9]{12,}+")


def has_random_part(match: re.Match[str]) -> Span | None:
    """Not `sk-folding-cube-animation-container-2`: keys hold a long stretch of letters and digits."""
    parts = _PART.findall(match.group())
    mixed = any(re.search("[0-9]", part) and re.search("[A-Za-z]", part) for part in parts)
    return not_a_placeholder_word(match) if mixed else None


def has_letter_and_digit(match: re.Match[str]) -> Span | None:
    """Not a single word or number: keys hold both."""
    start, end = whole(match)
    value = match.string[start:end]
    mixed = any(character.isdigit() for character in value) and any(character.isalpha() for character in value)
    return (start, end) if mixed else None


_VARIABLE_OR_PATH = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)+|[A-Z0-9]+(?:_[A-Z0-9]+)+|/.*")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def looks_random(match: re.Match[str]) -> Span | None:
    """Assigned values that no programmer names a variable: letters and digits, many different ones."""
    span = has_letter_and_digit(match)
    value = match.string[slice(*span)] if span else ""
    if not value or _VARIABLE_OR_PATH.fullmatch(value):
        return None
    shares = [count / len(value) for count in Counter(value).values()]
    return span if -sum(share * math.log2(share) for share in shares) >= 3.0 else None  # bits per character


_SECRET_KEY = re.compile(r"(?i:api|secret|access|account|subscription|signing|encryption)[_\- ]?$")


def is_named_secret(match: re.Match[str]) -> Span | None:
    """A random value of a key that is not the key of a table, or of a token that is not the id of a page or request."""
    name = match["name"].lower()
    if name == "key" and not _SECRET_KEY.search(match.string, max(0, match.start() - 14), match.start()):
        return None
    return None if name == "token" and _UUID.fullmatch(match["secret"]) else looks_random(match)


# ---- credentials in a URL --------------------------------------------------------------------------------------------
_TEMPLATE = re.compile(r"[{<\[]|\$[A-Z_{(]|%[s(]|\*\*")


def no_template(match: re.Match[str]) -> Span | None:
    """`f"postgresql://{user}:{password}@..."` is code, not a password."""
    return None if _TEMPLATE.match(match["password"]) else match.span("secret")


# ---- e-mail addresses ------------------------------------------------------------------------------------------------
_NO_TOP_LEVEL_DOMAIN = (
    "png jpg jpeg gif svg webp pdf js ts css html json yaml yml xml jar whl tgz zip exe py java kt rb "
    "shape dot mean sum std var min max reshape transpose flatten copy numpy size dtype data item inv grad weight bias "
    "values"
)
_FILE_OR_ATTRIBUTE = frozenset(_NO_TOP_LEVEL_DOMAIN.split())


def is_address(match: re.Match[str]) -> Span | None:
    """Not `git@github.com:...`, not `package@1.0.0-rc.x`, not `icon@2x.png`, not `weights@x.reshape(...)`."""
    domain = match["domain"]
    if match["name"].lower() == "git" or domain.rpartition(".")[2].lower() in _FILE_OR_ATTRIBUTE:
        return None
    return None if re.match(r"v?\d+\.\d+\.", domain) else match.span()


# ---- IP addresses ----------------------------------------------------------------------------------------------------
_VERSION_BEFORE = re.compile(
    r"(?:\b(?:version|ver|v|release|build|revision|section|sect?|chapter|step|clause|firmware)[ .:=]{0,3}|§ ?|"
    r"[=<>~!]= ?|\^|[A-Za-z]-)$",  # pkg==1.2.3.4, ^1.2.3.4, pkg-1.2.3.4.whl; not host/10.0.0.1, as Java logs write
    re.IGNORECASE,
)


_HEADING_AFTER = re.compile(r" [A-Z][a-z]")


def is_ipv4(match: re.Match[str]) -> Span | None:
    """Not the loopback, unspecified or mask addresses of every tutorial, a version of four parts or a heading."""
    octets = [int(octet) for octet in match.group().split(".")]
    if max(octets) > 255 or octets[0] in (0, 127, 255) or octets[1:] == [0, 0, 0]:
        return None
    before = match.string[max(0, match.start() - 16) : match.start()]
    small_at_line_start = before[-1:] in ("", "\n") and min(octets) > 0 and max(octets) <= 25
    is_heading = small_at_line_start and _HEADING_AFTER.match(match.string, match.end())
    return None if is_heading or _VERSION_BEFORE.search(before) else match.span()


_SLICE_BEFORE = re.compile(r"[\w\])]\[$")


def is_ipv6(match: re.Match[str]) -> Span | None:
    """A full address, or a shortened one that begins as routed, private or link-local addresses do.

    So slices (`x[1::2]`), scopes (`fade::dead`), clock times, MAC addresses and the loopback stay.
    """
    value = match.group()
    if value.endswith(":") and not value.endswith("::"):
        value = value[:-1]
    try:
        ipaddress.IPv6Address(value)
    except ValueError:
        return None
    routed = re.match(r"(?:[23][0-9a-f]{3}|f[cd][0-9a-f]{2}|fe[89ab][0-9a-f]|ff0[0-9a-f]):", value, re.IGNORECASE)
    if "::" in value and (not routed or _SLICE_BEFORE.search(match.string[max(0, match.start() - 2) : match.start()])):
        return None
    if all(len(group) == 2 for group in value.split(":")):  # a hardware address of eight bytes
        return None
    return match.start(), match.start() + len(value)


# ---- phone numbers ---------------------------------------------------------------------------------------------------
_GROUP = re.compile(r"\d+")
_DATE = re.compile(r"(?:19|20)\d\d[-./ ]?(?:0[1-9]|1[0-2])[-./ ]?[0-3]\d|[0-3]?\d[-./][01]?\d[-./](?:19|20)\d\d")
MOST_PHONE_DIGITS = 15  # E.164
_LONGEST_WORDS = 40  # telephone number is: and quotes


def _phone(match: re.Match[str], least_digits: int, least_unbroken: int) -> Span | None:
    """As many leading groups as fit into a phone number; None when they are too few, a date or a decimal number."""
    start, end = whole(match)
    value = match.string[start:end]
    groups = list(_GROUP.finditer(value))
    while groups and sum(len(group.group()) for group in groups) > MOST_PHONE_DIGITS:
        groups.pop()
    if not groups or _DATE.match(value):
        return None
    kept = value[: groups[-1].end()]
    digits = sum(len(group.group()) for group in groups)
    separators = re.sub(r"[\d+]", "", kept)
    if digits < (least_digits if separators else least_unbroken) or separators == ".":
        return None
    singles = sum(len(group.group()) == 1 for group in groups[1:])
    return (start, start + len(kept)) if singles <= 1 else None


def international(match: re.Match[str]) -> Span | None:
    """After a plus sign: at least 8 digits in groups, or 10 without a break; not +12345678.50."""
    return _phone(match, least_digits=8, least_unbroken=10)


_COLUMNS = re.compile(r"00[1-9]0(?: {1,2}[0-9]{2})+\Z|.* 00[0-9]|[01 ().\-/]+\Z")


def after_exit_code(match: re.Match[str]) -> Span | None:
    """After 00 and a country: at least 8 digits in groups; not a hex dump, padded numbers or binary ones."""
    return None if _COLUMNS.match(match.group()) else _phone(match, least_digits=12, least_unbroken=99)


def after_a_word(match: re.Match[str], words: re.Pattern[str]) -> Span | None:
    """After a word such as phone: local numbers of 7 digits, too; not the date that somebody bought the phone."""
    if not words.search(match.string, max(0, match.start() - _LONGEST_WORDS), match.start()):
        return None
    return _phone(match, least_digits=7, least_unbroken=7)


def trunk(match: re.Match[str]) -> Span | None:
    """After a leading zero: at least 9 digits in groups; not binary numbers."""
    is_binary = not set(match.group()) - set("01 -/")
    return None if is_binary else _phone(match, least_digits=9, least_unbroken=99)


def not_counted(match: re.Match[str]) -> Span | None:
    """Not 01 02 03 04 05, and no clock or date written in pairs."""
    groups = [int(group.group()) for group in _GROUP.finditer(match.group())]
    steps = {after - before for before, after in itertools.pairwise(groups)}
    return match.span() if len(groups) < 5 or len(steps) > 1 else None
