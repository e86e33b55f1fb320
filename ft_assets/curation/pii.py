"""Masking: every piece of personal data and every secret becomes a placeholder such as <EMAIL_1>.

One value has one placeholder within a conversation, so that "write to the address above" still makes sense. What it
looks for is in pii_patterns.py and beside it. Python looks only at texts that `may_hold_secret` names.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence

import polars as pl

from ft_assets.curation.byte_scans import may_hold_digits
from ft_assets.curation.normalise import normalise_text
from ft_assets.curation.pii_detector import OTHER_SIGNS, Detector, Searched, in_ascii_signs
from ft_assets.curation.pii_patterns import DETECTORS

_PLACEHOLDER = re.compile(r"<([A-Z_]{2,20})_(\d{1,9})>")
_MOST_CHARACTERS = 1_000_000  # read for one text: a replacement can uncover a neighbour, so a text is read again
_SEPARATORS = re.compile(r"[ ().\-/\u00a0]")
_PRINTED_WITH_SEPARATORS = frozenset({"PHONE", "CREDIT_CARD", "IBAN", "NATIONAL_ID"})


_TRACES = "|".join([*(each.trace for each in DETECTORS if not each.in_digits), OTHER_SIGNS])
_TRACES_IN_DIGITS = tuple(  # two, because the machine for all at once no longer fits Rust's cache
    "|".join(each.trace for each in DETECTORS if each.in_digits and (each.kind == "NATIONAL_ID") == is_national)
    for is_national in (False, True)
)


def may_hold_secret(texts: pl.Series) -> pl.Series:
    """Boolean, one per text: False says for certain that `still_secret` finds nothing there; null counts as empty.

    For normalised plain text. JSON can hide an address behind an escape, so it always needs `Masker.mask_json`.
    """
    texts = texts.fill_null("")
    found = texts.str.contains(_TRACES)
    dense = (may_hold_digits(texts) & ~found).arg_true()
    numbers = texts.gather(dense)
    for traces in _TRACES_IN_DIGITS if len(dense) else ():
        found = found.scatter(dense, found.gather(dense) | numbers.str.contains(traces))
    return found


class Masker:
    """Masks the texts of one conversation, in order. `reserve` comes first for all of them.

    `counts` holds the replacements made since `take_counts`, by kind; placeholders live as long as the object.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._placeholders: dict[tuple[str, str], str] = {}
        self._last_number: Counter[str] = Counter()

    def reserve(self, text: str) -> None:
        """Leaves out the numbers of placeholders that a text holds already: some logs are masked before they come."""
        for kind, number in _PLACEHOLDER.findall(text) if "<" in text else ():
            self._last_number[kind] = max(self._last_number[kind], int(number))

    def take_counts(self) -> Counter[str]:
        """The replacements by kind since the last call, such as those of one row; counting starts again."""
        taken, self.counts = self.counts, Counter()
        return taken

    def mask(self, text: str) -> str:
        """The text with a placeholder for everything found. Masking a masked text changes nothing.

        Of a text that was made to be read without end (each replacement uncovers the next) nothing is left but
        <UNREADABLE_1>, so that no secret can stay.
        """
        self.reserve(text)
        read, detectors = 0, DETECTORS
        while read <= _MOST_CHARACTERS + 2 * len(text):
            read += len(text)
            masked, detectors = self._mask_once(text, detectors)
            if masked == text:
                return text
            text = masked
        return self._placeholder("UNREADABLE", text)

    def mask_json(self, text: str) -> str:
        """JSON text, such as tool calls, with its strings and telling numbers normalised and masked; still JSON.

        Text that is no JSON is masked as plain text.
        """
        try:
            masked = json.dumps(self._mask_value("", json.loads(text)), ensure_ascii=False)
            masked.encode()  # an escape in an inner JSON text can unfold to half a surrogate pair
            return masked
        except (ValueError, RecursionError):
            return self.mask(normalise_text(text))

    def _mask_value(self, key: str, value: object) -> object:
        if isinstance(value, dict):
            return {self.mask(name): self._mask_value(name, inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._mask_value(key, inner) for inner in value]
        if isinstance(value, str):
            if value.lstrip().startswith(("{", "[")):  # arguments of a call are JSON in a string
                return self.mask_json(value)
            return self._mask_named(key, normalise_text(value))
        if isinstance(value, int) and not isinstance(value, bool):
            masked = self._mask_named(key, str(value))
            return value if masked == str(value) else masked
        return value

    def _mask_named(self, key: str, value: str) -> str:
        """The value masked as it would be after its key: in {"phone": "4155550134"} only the key tells what it is."""
        prefix = f"{key}: "
        masked = self.mask(prefix + value)
        return masked.removeprefix(prefix) if masked.startswith(prefix) else self.mask(value)

    def _mask_once(self, text: str, detectors: tuple[Detector, ...]) -> tuple[str, tuple[Detector, ...]]:
        """The text masked, and the detectors that could find something: no placeholder makes another one able to."""
        searched, able = Searched(in_ascii_signs(text)), []
        for detector in detectors:
            if not detector.may_find(searched):
                continue
            able.append(detector)
            parts, end = [], 0
            for start, stop in detector.spans(searched):
                parts += [text[end:start], self._placeholder(detector.kind, searched.text[start:stop])]
                end = stop
            if parts:
                text = "".join([*parts, text[end:]])
                searched = Searched(in_ascii_signs(text))
        return text, tuple(able)

    def _placeholder(self, kind: str, value: str) -> str:
        self.counts[kind] += 1
        identity = (
            kind,
            _SEPARATORS.sub("", value).casefold() if kind in _PRINTED_WITH_SEPARATORS else value.casefold(),
        )
        if identity not in self._placeholders:
            self._last_number[kind] += 1
            self._placeholders[identity] = f"<{kind}_{self._last_number[kind]}>"
        return self._placeholders[identity]


def mask_text(text: str) -> tuple[str, dict[str, int]]:
    """The masked text, and how many replacements there were by kind."""
    masker = Masker()
    return masker.mask(text), dict(masker.counts)


def masked_together(texts: Sequence[str]) -> list[str] | None:
    """The texts of one conversation normalised and masked, the same value with the same placeholder in all of them;
    None where something is left that must not leave the house."""
    masker = Masker()
    plain = [normalise_text(text) for text in texts]
    for text in plain:
        masker.reserve(text)
    masked = [masker.mask(text) for text in plain]
    return None if any(still_secret(text) for text in masked) else masked


def still_secret(text: str) -> list[str]:
    """The kinds, sorted, that still stand in a text; empty for every masked text. For a blocking check."""
    searched = Searched(in_ascii_signs(text))
    able = [detector for detector in DETECTORS if detector.may_find(searched)]
    return sorted({detector.kind for detector in able if next(detector.spans(searched), None)})
