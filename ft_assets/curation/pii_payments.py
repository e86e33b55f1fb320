"""Card numbers and bank accounts: the form that issuers print, their prefixes and lengths, and the check digits."""

import re

from ft_assets.curation.pii_checksums import iban_check, luhn
from ft_assets.curation.pii_detector import Detector, Span

_PAN_RANGES = (  # first digits from and to, and the lengths in use; ISO/IEC 7812 and what the networks publish
    ("4", "4", (16,)),
    ("51", "55", (16,)),
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),
    ("37", "37", (15,)),
    ("300", "305", (14,)),
    ("3095", "3095", (14,)),
    ("36", "36", (14,)),
    ("38", "39", (14,)),
    ("3528", "3589", (16,)),
    ("6011", "6011", (16,)),
    ("62", "62", (16,)),
    ("644", "649", (16,)),
    ("65", "65", (16,)),
    ("60", "60", (16,)),
    ("2200", "2204", (16,)),
)
_RARE_RANGES = (  # lengths that article numbers and identifiers have as well: only after a word such as card
    ("4", "4", (13, 19)),
    ("50", "50", (16, 19)),
    ("56", "69", (12, 13, 16, 17, 18, 19)),
)
_CARD_WORD = re.compile(
    r"(?i:\b|_)(?i:cards?|carte|karte|kartennummer|kreditkarte|tarjeta|cart[aã]o|carta|kort|kaart|visa|master[ ]?card|"
    r"amex|maestro|unionpay|jcb|diners|cc|pan|credit|debit)(?![a-z])|карт|卡|カード"
)
_ID_BEFORE = re.compile(
    r"(?:(?:\b|_)(?i:id|order|ticket|tracking|isbn|ean|upc|gtin|imei|serial|ref|timestamp|trace|span|seed|sku|invoice|"
    r"commit|hash|checksum|offset|snowflake|barcode|waybill)|[a-z]I[dD])"
    r"(?:[ _\-]?(?i:id|no|nr|num|number|code))?[\"'\])]{0,2}[ \t]?[:=#.]?[ \t]?[\"']?$"
)
_PLACEHOLDER = re.compile(r"[A-Z_<]*_\d+>")  # <CREDIT_CARD_1> names no card
_WORDS_BEFORE = 48


def _in_ranges(digits: str, ranges: tuple[tuple[str, str, tuple[int, ...]], ...]) -> bool:
    return any(len(digits) in lengths and low <= digits[: len(low)] <= high for low, high, lengths in ranges)


def _is_grouped_card(match: re.Match[str]) -> Span | None:
    """In groups as printed: any issuer's number that passes Luhn."""
    digits = re.sub(r"\D", "", match["secret"])
    known = _in_ranges(digits, _PAN_RANGES) or _in_ranges(digits, _RARE_RANGES)
    return match.span("secret") if known and luhn(digits) else None


def _is_unbroken_card(match: re.Match[str]) -> Span | None:
    """Without a break: lengths in use, unless an identifier's name stands before it; rare lengths after a card word."""
    digits = match.group()
    if not luhn(digits):
        return None
    before = match.string[max(0, match.start() - _WORDS_BEFORE) : match.start()]
    if _in_ranges(digits, _PAN_RANGES) and not _ID_BEFORE.search(before):
        return match.span()
    is_named = _in_ranges(digits, _RARE_RANGES) and _CARD_WORD.search(_PLACEHOLDER.sub("", before))
    return match.span() if is_named else None


# Length by country, from the SWIFT registry.
_IBAN_LENGTHS = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE", "BI"), 16),
    **dict.fromkeys(("DK", "FI", "FK", "FO", "GL", "NL", "SD"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "MN", "XK"), 20),
    **dict.fromkeys(("CH", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "CR", "DE", "GB", "GE", "IE", "ME", "RS", "VA"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "OM", "SO", "TL"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("LY", "PT", "ST"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("DJ", "FR", "GR", "IT", "MC", "MR", "SM"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "GT", "HN", "HU", "LB", "NI", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU", "YE"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
    **dict.fromkeys(("LC",), 32),
    **dict.fromkeys(("RU",), 33),
}
_COUNTRIES = "|".join(sorted(_IBAN_LENGTHS))
_SEVEN_DIGITS = re.compile(r"[0-9](?:[ \-\u00a0]?[0-9]){6}")  # all real accounts have them, few words do
_IBAN_CHARACTER = re.compile(r"[ \-\u00a0]?([A-Z0-9])")


def _is_iban(match: re.Match[str]) -> Span | None:
    """As many characters as the country's accounts have, whatever follows; the check is right."""
    length = _IBAN_LENGTHS[match.group()[:2]]
    characters, end = match.group(), match.end()
    while len(characters) < length:
        following = _IBAN_CHARACTER.match(match.string, end)
        if not following:
            return None
        characters, end = characters + following[1], following.end()
    beyond = match.string[end : end + 1]
    if (beyond.isascii() and beyond.isalnum()) or not _SEVEN_DIGITS.search(match.string, match.start(), end):
        return None
    return (match.start(), end) if iban_check(characters) else None


PAYMENT_DETECTORS: tuple[Detector, ...] = (
    Detector(
        "IBAN",
        re.compile(rf"(?:{_COUNTRIES})(?<![A-Za-z0-9]..)[0-9]{{2}}(?=[ \-\u00a0]?[A-Z0-9])"),
        rf"(?:{_COUNTRIES})[0-9]{{2}}[ \-\u00a0]?(?:[A-Z0-9][ \-\u00a0]?){{10}}[A-Z0-9]",
        hint=re.compile(r"[0-9][0-9](?:[ \-\u00a0]?[A-Z0-9]){11}"),
        check=_is_iban,
        in_digits=True,
    ),
    Detector(
        "CREDIT_CARD",
        re.compile(
            r"(?P<secret>[2-6](?<![A-Za-z0-9_.].)(?<![0-9]{4}[ .\u00a0\-].)"
            r"(?:[0-9]{3}(?P<gap>[ .\u00a0\-])[0-9]{4}(?P=gap)[0-9]{4}(?P=gap)[0-9]{4}(?:(?P=gap)[0-9]{3}(?![0-9]))?"
            r"|[0-9]{3}(?P<sep>[ .\u00a0\-])[0-9]{6}(?P=sep)[0-9]{4,5}))"
            r"(?![A-Za-z0-9_]|\.[0-9]|(?:(?P=gap)|(?P=sep))[0-9]{4}(?![0-9]))"
        ),
        r"[2-6][0-9]{3}[ .\u00a0\-](?:[0-9]{4}[ .\u00a0\-][0-9]{4}[ .\u00a0\-][0-9]{4}|[0-9]{6}[ .\u00a0\-][0-9]{4})",
        hint=re.compile(r"[0-9]{4}[ .\u00a0\-][0-9]{4}"),
        check=_is_grouped_card,
        in_digits=True,
    ),
    Detector(
        "CREDIT_CARD",
        re.compile(r"[2-6](?<![A-Za-z0-9_.].)(?<![A-Za-z0-9]-.)[0-9]{11,18}+(?![A-Za-z0-9_]|\.[0-9]|-[A-Za-z0-9])"),
        r"(?:^|[^0-9])[2-6][0-9]{11,18}(?:[^0-9A-Za-z_]|$)",
        check=_is_unbroken_card,
        in_digits=True,
    ),
)
