"""Masking as people write it: compiled `re` patterns, one `sub` each, and checksums where a number has one."""

import ipaddress
import re
from collections.abc import Callable

Check = Callable[[str], bool]


def luhn(text: str) -> bool:
    """Whether the digits of a card number add up."""
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [digit if place % 2 == 0 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 19 and sum(doubled) % 10 == 0


def iban(text: str) -> bool:
    """Whether the check digits of an IBAN are right."""
    compact = text.replace(" ", "")
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1


def address(text: str) -> bool:
    """Whether it is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return not text.startswith(("0.", "127.", "255."))


def phone(text: str) -> bool:
    """Whether it has as many digits as a phone number."""
    return 8 <= sum(character.isdigit() for character in text) <= 15


PATTERNS: list[tuple[str, re.Pattern[str], Check | None]] = [
    ("PRIVATE_KEY", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+?-----END [A-Z ]*PRIVATE KEY-----"), None),
    ("URL_CREDENTIALS", re.compile(r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)"), None),
    ("JWT", re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+"), None),
    ("AWS_KEY", re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b"), None),
    ("GITHUB_TOKEN", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{22,})"), None),
    ("SLACK_TOKEN", re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"), None),
    ("OPENAI_KEY", re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"), None),
    ("GOOGLE_KEY", re.compile(r"\bAIza[\w-]{35}"), None),
    ("API_KEY", re.compile(r"(?i)(?<=api_key=)[\w-]{16,}|(?<=token=)[\w-]{16,}|(?<=password=)[\w-]{16,}"), None),
    ("EMAIL", re.compile(r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}\b"), None),
    ("IBAN", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), iban),
    ("CARD", re.compile(r"\b\d(?:[ -]?\d){12,18}\b"), luhn),
    ("IP", re.compile(r"\b[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}\b"), address),
    ("IP", re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"), address),
    (
        "PHONE",
        re.compile(r"\+\d{1,3}(?:[ .-]?\(?\d{1,9}\)?){2,6}|\(\d{3}\) ?\d{3}[ .-]\d{4}\b|\b\d{3}[.-]\d{3}[.-]\d{4}\b"),
        phone,
    ),
]


class PlainMasker:
    """Masks the texts of one conversation: a value has the same placeholder in all of them."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._placeholders: dict[str, str] = {}

    def mask(self, text: str) -> str:
        """The text with placeholders such as <EMAIL_1>."""
        for kind, pattern, check in PATTERNS:
            text = pattern.sub(lambda match, kind=kind, check=check: self._replace(match.group(), kind, check), text)
        return text

    def _replace(self, value: str, kind: str, check: Check | None) -> str:
        if check and not check(value):
            return value
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if value not in self._placeholders:
            number = sum(each.startswith(f"<{kind}_") for each in self._placeholders.values()) + 1
            self._placeholders[value] = f"<{kind}_{number}>"
        return self._placeholders[value]


def holds_secret(text: str) -> bool:
    """Whether any pattern still finds something."""
    return any(
        check is None or check(match.group()) for _, pattern, check in PATTERNS for match in pattern.finditer(text)
    )
