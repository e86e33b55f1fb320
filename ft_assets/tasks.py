"""What a task asks of its answer: a text of its own, or one of few right ones. Light: every stage may import it."""

from collections.abc import Mapping
from types import MappingProxyType

FREE_TEXT_CHARACTERS = 50  # an answer in free text that is shorter says too little to be learned from

# Tasks whose right answer is short by nature, and the least characters of it: a label, a number, a name, a call.
CLOSED_ANSWER_TASKS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(
        (
            "classification",
            "question_answering",
            "qa",
            "multiple_choice",
            "extraction",  # as long as what there is to extract
            "translation",  # as long as what there is to translate
            "math",
            "tool_call",
            "tool_calling",
            "function_calling",
            "api_call",
            "code",
            "code_generation",
            "code_completion",
            "commit_message",
        ),
        1,
    )
)
