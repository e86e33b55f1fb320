"""National identity numbers that cannot be taken for something else: by check digits, by their printed form, by a word.

Left out: numbers that are neither, such as bare personal numbers of ten digits in Sweden and Denmark, which log files
write as dates with times. They are found after their name only.
"""

import re
from collections.abc import Callable

from ft_assets.curation import pii_checksums as checks
from ft_assets.curation.pii_detector import Detector, Span

_SEPARATORS = re.compile(r"[ .\-/+]")

# ---- numbers in their printed form -----------------------------------------------------------------------------------
# Patterns begin with the characters of a class, which Python's regex engine scans for quickly, and look behind it then.
_NUMBER_START = r"[0-9](?<![A-Za-z0-9_.\-+].)"
_NUMBER_END = r"(?![A-Za-z0-9_]|[.\-/][0-9])"
_WORD_END = "(?![A-Za-z0-9_])"
Forms = dict[str, tuple[str, Callable[[str], bool]]]  # the form after its first character, and the check
_NUMBERS: Forms = {
    "ssn": (r"[0-9]{2}-[0-9]{2}-[0-9]{4}", checks.us_social_security),
    "cpf": (r"[0-9]{2}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", checks.brazil_cpf),
    "cnpj": (r"[0-9]\.[0-9]{3}\.[0-9]{3}/[0-9]{4}-[0-9]{2}", checks.brazil_cnpj),
    "ahv": (r"56\.[0-9]{4}\.[0-9]{4}\.[0-9]{2}", lambda digits: digits[0] == "7" and checks.switzerland_ahv(digits)),
    "belgium": (r"[0-9]\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2}", checks.belgium_national_number),
    "rut": (r"[0-9]?\.[0-9]{3}\.[0-9]{3}-[0-9Kk]", checks.chile_rut),
    "cuit": (r"[0347]-[0-9]{8}-[0-9]", lambda digits: digits[0] in "23" and checks.argentina_cuit(digits)),
    "korea": (r"[0-9]{5}-[1-8][0-9]{6}", checks.korea_resident),
    "china": (r"[0-9]{16}[0-9Xx]", lambda value: value[0] in "12345678" and checks.china_resident(value.upper())),
}
_SPACED: Forms = {  # in groups, where a blank does not end the number
    "aadhaar": (
        r"[0-9]{3}(?: [0-9]{4} [0-9]{4}|-[0-9]{4}-[0-9]{4})",
        lambda digits: digits[0] in "23456789" and not _are_years_or_round(digits) and checks.verhoeff(digits),
    ),
    "nir": (
        r" ?[0-9]{2} ?(?:0[1-9]|[1-9][0-9]) ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}",
        lambda value: value[0] in "12" and checks.france_nir(value),
    ),
}


def _are_years_or_round(digits: str) -> bool:
    """2001 2012 2023 and 2000 3000 4000 are columns of a table."""
    groups = [digits[place : place + 4] for place in (0, 4, 8)]
    return all(group[:2] in ("19", "20") for group in groups) or all(group.endswith("00") for group in groups)


# ---- numbers with letters --------------------------------------------------------------------------------------------
_LETTERS: Forms = {
    "nino": (
        r"[A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]",
        lambda value: value[0] not in "DFIQUV" and value[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ"),
    ),
    "nie": (r"-?[0-9]{7}-?[A-Z]", lambda value: value[0] in "XYZ" and checks.spain_dni(value)),
    "pan": (r"[A-Z]{2}[ABCFGHLJPT][A-Z][0-9]{4}[A-Z]", lambda value: True),
    "codice_fiscale": (
        r"[A-Z]{5}[0-9]{2}[A-EHLMPRST][0-9L-NP-V]{2}[A-Z][0-9L-NP-V]{3}[A-Z]",
        checks.italy_codice_fiscale,
    ),
    "curp": (r"[A-Z]{3}[0-9]{6}[HMX][A-Z]{5}[0-9A-Z][0-9]", checks.mexico_curp),
}
_MIXED: Forms = {
    # 12345678L and 12345678F are numbers of a program
    "dni": (r"[0-9]{7}[ \-]?[A-CEGHJKM-Z]|[0-9]{7}[ \-][DFL]|[0-9]\.[0-9]{3}\.[0-9]{3}-[A-Z]", checks.spain_dni),
    "hetu": (r"[0-9]{5}[-+A][0-9]{3}[0-9A-Y]", lambda value: True),  # checked with its sign
}
_PART_NUMBER = re.compile(
    r"(?i:\b(?:part|serial|model|sku|item|order|batch|lot|ref|reference|invoice|commit|flight|product|isbn|asin)\b"
    r"[ _\-]?(?:id|no|nr|num|number|code)?)[\"'\])]{0,2}[ \t]?[:=#.]?[ \t]?[\"']?$"
)


def _checked(forms: Forms) -> Callable[[re.Match[str]], Span | None]:
    """A check that looks up which form matched. Part numbers that are called so stay."""

    def check(match: re.Match[str]) -> Span | None:
        name = next(name for name in forms if match[name] is not None)
        value = match.group()
        if _PART_NUMBER.search(match.string, max(0, match.start() - 32), match.start()):
            return None
        is_real = checks.finland_hetu(value) if name == "hetu" else forms[name][1](_SEPARATORS.sub("", value))
        return match.span() if is_real else None

    return check


def _printed(start: str, forms: Forms, end: str) -> Detector:
    """One detector for several forms, so that a text is walked through once. Forms read the same in Python and Rust."""
    named = "|".join(f"(?P<{name}>{form})" for name, (form, _) in forms.items())
    either = "|".join(form for form, _ in forms.values())
    first = start.partition("(")[0]
    trace = rf"(?:^|[^A-Za-z0-9_]){first}(?:{either})(?:[^A-Za-z0-9_]|$)"
    pattern = re.compile(f"{start}(?:{named}){end}")
    return Detector("NATIONAL_ID", pattern, trace, check=_checked(forms), in_digits=True)


# ---- numbers after their name ----------------------------------------------------------------------------------------
_NAMED: tuple[tuple[str, int, Callable[[str], bool]], ...] = (  # name, digits, check
    ("ssn", 9, checks.us_social_security),
    ("social security", 9, checks.us_social_security),
    ("cpf", 11, checks.brazil_cpf),
    ("cnpj", 14, checks.brazil_cnpj),
    ("aadhaar", 12, checks.verhoeff),
    ("aadhar", 12, checks.verhoeff),
    ("uidai", 12, checks.verhoeff),
    ("personnummer", 10, checks.scandinavian),
    ("personnummer", 12, checks.scandinavian),
    ("samordningsnummer", 10, checks.scandinavian),
    ("cpr", 10, checks.scandinavian),
    ("pesel", 11, checks.poland_pesel),
    ("bsn", 9, checks.netherlands_bsn),
    ("burgerservicenummer", 9, checks.netherlands_bsn),
    ("steuer-id", 11, checks.germany_tax_id),
    ("steueridentifikationsnummer", 11, checks.germany_tax_id),
    ("identifikationsnummer", 11, checks.germany_tax_id),
    ("steuernummer", 11, checks.germany_tax_id),
    ("idnr", 11, checks.germany_tax_id),
)
_NAMES = tuple(sorted({name for name, _, _ in _NAMED}))
_EITHER_NAME = "|".join(_NAMES)
_LINK = r"[ A-Za-z:=#.\"'()\-]{0,24}"
_NAME_BEFORE = re.compile(
    rf"(?i:(?<![A-Za-zÀ-ɏ])(?P<name>{_EITHER_NAME}))(?![A-Za-z]){_LINK}\Z"
)  # 27 and 24 characters


def _is_named_number(match: re.Match[str]) -> Span | None:
    """As many digits as the name before them asks for, and they are right."""
    before = _NAME_BEFORE.search(match.string, max(0, match.start() - 56), match.start())
    if not before:
        return None
    places = [place for place in range(*match.span()) if match.string[place].isdigit()]
    digits = "".join(match.string[place] for place in places)
    for name, length, check in _NAMED:
        if name == before["name"].lower() and len(digits) >= length and check(digits[:length]):
            end = places[length - 1] + 1
            if not match.string[end : end + 1].isdigit():
                return places[0], end
    return None


NATIONAL_ID_DETECTORS: tuple[Detector, ...] = (
    Detector(
        "NATIONAL_ID",
        re.compile(r"[0-9](?<![0-9][ .\-/+].)(?<![0-9].)(?:[ .\-/+]?[0-9]){8,13}(?![A-Za-z0-9_])"),
        rf"(?i:{_EITHER_NAME}){_LINK}[0-9](?:[ .\-/+]?[0-9]){{8}}",
        signs=_NAMES,
        check=_is_named_number,
        in_digits=True,
    ),
    Detector(
        "NATIONAL_ID",
        re.compile(
            r"(?i:\b(?:national insurance|nino|ni (?:number|no))\b[^0-9\n]{0,20}?)\b"
            r"(?P<secret>[A-Za-z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-Da-d])(?![A-Za-z0-9_])"
        ),
        r"[A-Za-z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-Da-d](?:[^A-Za-z0-9_]|$)",
        signs=("national insurance", "nino", "ni number", "ni no"),
        in_digits=True,
    ),
    Detector(
        "NATIONAL_ID",
        re.compile(
            r"(?i:\bpass(?:port|eport|aporte|aporto)|\breisepass)"
            r"(?i:[ _\-]?(?:number|numero|nummer|num|no|nr|n°)\.?|[ ]?[:#=])"
            r"[ :=#.\"'\-]{0,4}(?:is )?(?P<secret>[A-Z]{0,2}[0-9]{6,9})(?![A-Za-z0-9_])"
        ),
        r"(?i:pass(?:port|eport|aporte|aporto)|reisepass)[ A-Za-z:=#.°\"'\-]{0,20}[0-9]{6}",
        signs=("passport", "passeport", "pasaporte", "passaporto", "reisepass"),
    ),
    _printed(_NUMBER_START, _NUMBERS, _NUMBER_END),
    _printed(_NUMBER_START + "(?<![0-9][ ].)", _SPACED, r"(?![A-Za-z0-9_]|[ \-]?[0-9])"),
    _printed(_NUMBER_START, _MIXED, _WORD_END),
    _printed("[A-Z](?<![A-Za-z0-9_].)", _LETTERS, _WORD_END),
)
