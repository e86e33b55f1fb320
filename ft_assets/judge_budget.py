"""What a run may still spend on its judge."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ft_assets.judge_rules import JudgeRules


@dataclass
class Budget:
    """Counts what was asked. Tokens under way count as estimated until the endpoint has said how many they were."""

    rules: JudgeRules
    clock: Callable[[], float] = time.monotonic
    items: int = 0
    tokens: int = 0
    under_way: int = 0
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def refusal(self, tokens: int) -> str | None:
        """The limit that one more answer of so many tokens would break; None when it fits."""
        rules = self.rules
        if tokens > rules.most_item_tokens + rules.most_answer_tokens:
            return "most_item_tokens"
        if self.items >= rules.most_items:
            return "most_items"
        expected = self.tokens + self.under_way + tokens
        if expected > rules.most_tokens:
            return "most_tokens"
        if rules.most_dollars is not None and rules.dollars(expected) > rules.most_dollars:
            return "most_dollars"
        return "most_minutes" if self.clock() - self.started > rules.most_minutes * 60 else None

    def begin(self, tokens: int) -> None:
        """An answer of so many estimated tokens goes out."""
        self.items += 1
        self.under_way += tokens

    def end(self, estimated: int, tokens: int) -> None:
        """It came back, or did not, and cost so many."""
        self.under_way -= estimated
        self.tokens += tokens
