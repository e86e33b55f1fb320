"""Keeps what people typed apart from the control tokens that a chat template writes.

Before a template is rendered, every control token inside a text is marked; afterwards the marks tell where the rendered
text has to be tokenised as plain text, and they go.
"""

import re
from collections.abc import Iterator
from typing import Any

# Unicode noncharacters, so no text holds them. MARK stands inside a special token's text. CUT does so for a token that
# the library does not call special: it keeps such a token out of a piece of text only when the text is cut there.
MARK, CUT = "\ufdd0", "\ufdd1"


class ControlTokens:
    """The tokens that only the chat template of one tokenizer may write.

    `special` are the texts of those that the tokenizer calls special. Markup is meant, too, that it does not call so
    and that the template writes all the same, such as <tool_call> of Qwen; runs of blanks are no markup.
    """

    def __init__(self, tokenizer: Any):
        added = dict(tokenizer.added_tokens_decoder)
        template = str(tokenizer.chat_template)
        self.special = {token.content for token in added.values() if token.special}
        markup = {token.content for token in added.values() if token.content.strip() and token.content in template}
        longest_first = sorted(self.special | markup, key=len, reverse=True)
        self.pattern = re.compile("|".join(re.escape(text) for text in longest_first) or "(?!)")
        self.ids = frozenset(number for number, token in added.items() if self.pattern.fullmatch(token.content))

    def marked(self, value: Any) -> Any:
        """The text with its control tokens marked; the same for every text inside lists and objects, names included."""
        if isinstance(value, str):
            return self.pattern.sub(self._mark, value.replace(MARK, "").replace(CUT, ""))
        if isinstance(value, list):
            return [self.marked(inner) for inner in value]
        if isinstance(value, dict):
            return {self.marked(key): self.marked(inner) for key, inner in value.items()}
        return value

    def pieces(self, rendered: str) -> Iterator[tuple[str, bool]]:
        """The rendered text without marks, piece by piece, and whether a piece is plain text only.

        In one piece where no message holds a control token, otherwise cut at the template's own.
        """
        if MARK not in rendered and CUT not in rendered:
            yield rendered, False
            return
        position = 0
        for found in self.pattern.finditer(rendered):
            yield from _plain(rendered[position : found.start()])
            yield found[0], False
            position = found.end()
        yield from _plain(rendered[position:])

    def last_special_end(self, rendered: str, start: int) -> int | None:
        """Where the last special token of the template behind `start` ends; None where there is none."""
        ends = [found.end() for found in self.pattern.finditer(rendered, start) if found[0] in self.special]
        return ends[-1] if ends else None

    def _mark(self, found: re.Match[str]) -> str:
        return found[0][0] + (MARK if found[0] in self.special else CUT) + found[0][1:]


def without_marks(rendered: str, position: int) -> int:
    """Where a character stands once the marks before it are gone."""
    return position - rendered.count(MARK, 0, position) - rendered.count(CUT, 0, position)


def _plain(text: str) -> Iterator[tuple[str, bool]]:
    for part in text.replace(MARK, "").split(CUT):
        if part:
            yield part, True
