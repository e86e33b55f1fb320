"""What answers questions: the promise that every backend keeps, whether it loads weights or asks a server."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ft_assets.errors import BadInput
from ft_assets.evaluation.items import EvalItem, digest, prompt_digest
from ft_assets.evaluation.prediction import Prediction
from ft_assets.system_prompts import SystemPrompt, prompt_of

Setting = Mapping[str, str | int]


@dataclass(frozen=True)
class Question:
    """An item as a model is given it. `digest` is its identity in the cache of answers."""

    item: EvalItem
    system_prompt: str | None
    digest: str

    @property
    def row_id(self) -> str:
        """The item's."""
        return self.item.row_id


@dataclass(frozen=True)
class Batch:
    """What came back at once. A question is in one of the two: answered, or missing with the reason by its row id.

    `halved`: fewer rows were asked together than the policy says, because memory had run out.
    """

    predictions: list[Prediction]
    missing: dict[str, str]
    halved: bool = False


class Backend(Protocol):
    """One model and a way to ask it. Greedy: the same questions get the same answers."""

    @property
    def model_digest(self) -> str:
        """Whose answers these are."""

    @property
    def setting(self) -> Setting:
        """Everything beside model and prompt that can change an answer: decoding, backend and version, number format,
        device, batch policy. Answers are only compared under one setting, and only used again under the same one."""

    def batches(self, questions: Sequence[Question]) -> Iterator[Batch]:
        """Every question once, in an order of the backend's own. A row that cannot be answered is missing, no error."""

    def alone(self) -> "Backend":
        """The same model asked one row at a time."""

    def as_served(self) -> "Backend":
        """The same, one row at a time and merged, as it would be deployed: for measuring time."""


def setting_digest(setting: Setting) -> str:
    """The identity of a setting."""
    return digest(dict(setting))


def questions_of(items: Sequence[EvalItem], system_prompt: SystemPrompt) -> list[Question]:
    """The items with the system prompts that they are asked with.

    Raises:
        BadInput: an item has no prompt or no reference, or two items have one id; mend the suite.
    """
    seen: set[str] = set()
    for item in items:
        if len(item.messages) < 2 or item.messages[-1].role != "assistant":
            raise BadInput(
                f"Eval row {item.row_id} does not end with an assistant's turn after a prompt, so there is nothing to "
                "compare an answer with. Take it out of the suite, or add the reference."
            )
        if item.row_id in seen:
            raise BadInput(f"Two eval rows have the id {item.row_id}; one answer would count for both. Rename one.")
        seen.add(item.row_id)
    return [Question(item, prompt_of(system_prompt, item), prompt_digest(item, system_prompt)) for item in items]


def differing(one: Setting, other: Setting) -> list[str]:
    """The facts in which two settings are not the same, sorted; empty where their answers may be compared."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
