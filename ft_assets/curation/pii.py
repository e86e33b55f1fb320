"""Masking: every piece of personal data and every secret becomes a placeholder such as <EMAIL_1>.

One value has one placeholder within an example, so that "write to the address above" still makes sense. What it looks
for is in pii_patterns.py; adding a kind is a detector there and a line in its test.
"""

import json
import re
from collections import Counter

from ft_assets.curation.normalise import normalise_text
from ft_assets.curation.pii_patterns import DETECTORS

_PLACEHOLDER = re.compile(r"<([A-Z_]{2,20})_(\d{1,9})>")
_MOST_ROUNDS = 4  # a replacement can uncover a neighbour; what is left after these, the blocking check finds


class Masker:
    """Masks the texts of one example. `counts` holds the replacements made so far, by kind."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._placeholders: dict[tuple[str, str], str] = {}
        self._last_number: Counter[str] = Counter()

    def reserve(self, text: str) -> None:
        """Leaves out the numbers of placeholders that a text holds already: some logs are masked before they come."""
        for kind, number in _PLACEHOLDER.findall(text) if "<" in text else ():
            self._last_number[kind] = max(self._last_number[kind], int(number))

    def mask(self, text: str) -> str:
        """The text with a placeholder for everything found. Masking a masked text changes nothing."""
        self.reserve(text)
        for _ in range(_MOST_ROUNDS):
            masked = self._mask_once(text)
            if masked == text:
                break
            text = masked
        return text

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

    def _mask_once(self, text: str) -> str:
        lowered = text.lower()
        for detector in DETECTORS:
            parts, end = [], 0
            for start, stop in detector.spans(text, lowered):
                parts += [text[end:start], self._placeholder(detector.kind, text[start:stop])]
                end = stop
            if parts:
                text = "".join([*parts, text[end:]])
                lowered = text.lower()
        return text

    def _placeholder(self, kind: str, value: str) -> str:
        self.counts[kind] += 1
        identity = (kind, re.sub(r"[ ().\-/]", "", value) if kind == "PHONE" else value.casefold())
        if identity not in self._placeholders:
            self._last_number[kind] += 1
            self._placeholders[identity] = f"<{kind}_{self._last_number[kind]}>"
        return self._placeholders[identity]


def mask_text(text: str) -> tuple[str, dict[str, int]]:
    """The masked text, and how many replacements there were by kind."""
    masker = Masker()
    return masker.mask(text), dict(masker.counts)


def still_secret(text: str) -> list[str]:
    """The kinds, sorted, that still stand in a text; empty for every masked text. For a blocking check."""
    lowered = text.lower()
    return sorted({detector.kind for detector in DETECTORS if next(detector.spans(text, lowered), None)})
