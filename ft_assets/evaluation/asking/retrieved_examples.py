"""The base with the nearest training examples in its prompt: does fine-tuning beat prompting?"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ft_assets.evaluation.asking.backend import Question, questions_of
from ft_assets.evaluation.asking.nearest_prompts import Near, NearestPrompts
from ft_assets.evaluation.items import EvalItem
from ft_assets.evaluation.suites import Suite, suite_of
from ft_assets.records import Message

EXAMPLES = 3


def with_examples(
    suite: Suite, prompts: NearestPrompts, fits: Callable[[Question], bool], examples: int = EXAMPLES
) -> Suite:
    """The suite with the nearest training examples as earlier turns of each question, the nearest one last.

    Ids, clusters, references and checks stay, so answers are scored against the rows of `suite`. Where a question with
    its examples does not fit into the model's positions, the farthest example goes first.
    """
    nearest = prompts.nearest(suite.items, examples)
    items = [_longest_that_fits(suite, item, near, fits) for item, near in zip(suite.items, nearest, strict=True)]
    return suite_of(suite.name, suite.kind, items, suite.system_prompt)


def _longest_that_fits(
    suite: Suite, item: EvalItem, near: Sequence[Near], fits: Callable[[Question], bool]
) -> EvalItem:
    for count in range(len(near), 0, -1):
        longer = _after(item, near[:count])
        (question,) = questions_of([longer], suite.system_prompt)
        if fits(question):
            return longer
    return item


def _after(item: EvalItem, near: Sequence[Near]) -> EvalItem:
    """The item behind the examples. Its own system turn stays first; theirs would contradict it."""
    earlier: list[Message] = []
    for example, _ in reversed(near):
        earlier += [message for message in example.messages if message.role != "system"]
    own = [message for message in item.messages if message.role == "system"]
    asked = [message for message in item.messages if message.role != "system"]
    return replace(item, messages=(*own, *earlier, *asked))
