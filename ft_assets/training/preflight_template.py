"""What speaks against a base model's chat template: it must be its own, announce answers, end them, and pack."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from ft_assets.chat import Chat
from ft_assets.errors import BadConfiguration
from ft_assets.training.problem import Problem

EXCHANGE = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "x"}]
# Attention that reads positions from somewhere else than position_ids, or a state that runs on from token to token.
NOT_ISOLATED = {
    **dict.fromkeys(("bloom", "mpt"), "its attention counts positions from the start of the row (ALiBi)"),
    **dict.fromkeys(
        ("mamba", "mamba2", "falcon_mamba", "rwkv", "jamba", "bamba", "zamba", "zamba2", "recurrent_gemma"),
        "its state runs on from one sample into the next",
    ),
}


def template_problems(chat: Chat) -> list[Problem]:
    """Everything that speaks against training with this tokenizer's chat template."""
    return [problem for check in CHECKS for problem in check(chat)]


def template_is_the_models_own(chat: Chat) -> Iterator[Problem]:
    """Two templates that differ: one of them is not what the base model was trained with."""
    apart, kept = chat.directory / "chat_template.jinja", _read(chat, "tokenizer_config.json").get("chat_template")
    if isinstance(kept, str) and apart.is_file() and apart.read_text(encoding="utf-8").strip() != kept.strip():
        yield Problem(
            "chat_template_differs",
            "chat_template.jinja and the chat_template of tokenizer_config.json differ, so one of them is not what the "
            "base model was trained with, and the former is used. Keep the base's own and delete the other",
        )


def template_announces_answers(chat: Chat) -> Iterator[Problem]:
    """A head before the answer that no generation prompt writes would be learned as part of it.

    Mistral's template needs no generation prompt: what ends the question begins the answer.
    """
    silent = chat.prompt_ids(EXCHANGE[:1]) == chat.encode(EXCHANGE[:1]).input_ids
    if silent and chat.decode(_learned(chat)).strip() != EXCHANGE[1]["content"]:
        yield Problem(
            "no_generation_prompt",
            "the chat template writes a head before each answer and nothing for add_generation_prompt, so the head "
            "would be learned as part of the answer and written by the model. "
            "Use the base's instruction-tuned version, or add the prompt to its template",
        )


def answers_end_where_generation_stops(chat: Chat) -> Iterator[Problem]:
    """A model learns the template's end token; generation stops at the tokenizer's."""
    learned = _learned(chat)
    if learned[-1] != chat.end_token_id:
        name, stop = (chat.tokenizer.convert_ids_to_tokens(token) for token in (learned[-1], chat.end_token_id))
        yield Problem(
            "end_token_is_not_eos",
            f"the chat template ends answers with {name}, and the tokenizer's eos_token is {stop}: the model would "
            f"learn to stop in a way that nobody listens to. Write {name} as eos_token into tokenizer_config.json",
        )


def template_keeps_to_the_row(chat: Chat) -> Iterator[Problem]:
    """Today's date inside the tokens gives other tokens tomorrow."""
    template = str(chat.tokenizer.chat_template)
    if "strftime_now" in template and "date_string" not in template:
        told = "the chat template writes today's date, so the same rows are other tokens on another day"
        yield Problem("chat_template_reads_the_clock", f"{told}. Put a fixed date into it", refuses=False)


def samples_stay_apart_when_packed(chat: Chat) -> Iterator[Problem]:
    """Packed samples are told apart by positions that restart, and that only helps where attention follows them."""
    kind = _read(chat, "config.json").get("model_type")
    if why := NOT_ISOLATED.get(str(kind)):
        told = f"the base model is a {kind}, and {why}: packed rows would read each other"
        yield Problem("packing_not_isolated", f"{told}. Choose a base with rotary positions")


CHECKS: tuple[Callable[[Chat], Iterator[Problem]], ...] = (
    template_is_the_models_own,
    template_announces_answers,
    answers_end_where_generation_stops,
    template_keeps_to_the_row,
    samples_stay_apart_when_packed,
)


def _learned(chat: Chat) -> list[int]:
    encoded = chat.encode(EXCHANGE)
    return [token for token, on in zip(encoded.input_ids, encoded.assistant_mask, strict=True) if on]


def _read(chat: Chat, name: str) -> dict[str, Any]:
    path = chat.directory / name
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise BadConfiguration(f"{path} is not JSON, so the base model is not whole. Fetch it again.") from error
    return found if isinstance(found, dict) else {}
