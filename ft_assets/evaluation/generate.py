"""What a model answers to the eval prompts, and how probable it finds the reference answers.

Torch enters inside the functions: the gate and the scores read `EvalItem` and `Prediction` without it.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ft_assets.chat import Chat, load_model
from ft_assets.compute import compute_device, fastest_dtype, use_available_cores
from ft_assets.errors import BadInput
from ft_assets.records import Message
from ft_assets.system_prompts import SystemPrompt, prompt_of
from ft_assets.tool_calls import as_text, calls_in

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

BATCH_ROWS = 32  # four times the throughput of single rows on a CPU; 64 adds little
# Raise it when the same model would answer differently: cached predictions of the old way are not used any more.
GENERATOR_VERSION = 1


@dataclass(frozen=True)
class EvalItem:
    """One question of an eval suite. The last message is the reference answer, those before it are the prompt.

    `role` and `reasoning_mode` choose its system prompt.
    """

    row_id: str
    cluster_id: str
    task_type: str
    slice: str
    messages: tuple[Message, ...]
    role: str | None = None
    reasoning_mode: str | None = None

    @property
    def reference(self) -> str:
        """The answer that counts as right; its tool calls as a model that was trained on them writes them."""
        answer = self.messages[-1]
        return "\n".join(filter(None, (answer.content, as_text(calls_in(answer.tool_calls)))))


@dataclass(frozen=True)
class Prediction:
    """One model's answer to one item: a row of the table `predictions`.

    `answer_nll` is the sum over the reference's tokens in nats, its end token included; `answer_tokens` counts them,
    `answer_tokens_right` those that the model ranked first. `n_tokens` counts the generated tokens without the end
    token. `seconds` is the row's equal share of its batch.
    """

    key: str
    model_digest: str
    suite_digest: str
    row_id: str
    answer: str
    n_tokens: int
    answer_nll: float
    answer_tokens: int
    answer_tokens_right: int
    seconds: float


@dataclass(frozen=True)
class _Tokens:
    """An item as token ids; `answer` ends with the end token."""

    item: EvalItem
    prompt: list[int]
    conversation: list[int]
    answer: list[int]


def predict(
    model_dir_base: Path,
    adapter_dir: Path | None,
    items: Sequence[EvalItem],
    system_prompt: SystemPrompt,
    max_new_tokens: int,
    on_progress: Callable[[int, int], None],
    *,
    model_digest: str,
    batch_rows: int = BATCH_ROWS,
) -> list[Prediction]:
    """One prediction per item, ordered by row id: the greedy answer, and the reference under teacher forcing.

    Nothing is random. In float32 the size of the batches changes no answer; in bfloat16 it changes 1 in 50, so there it
    belongs to the key. `on_progress` gets (done, all) rows after every batch. `model_digest` names what is asked: the
    adapter's digest, or the base's where there is no adapter.

    Raises:
        BadInput: an item has no reference at its end, or does not fit into the model's positions; change the selector.
    """
    if not items:
        return []
    use_available_cores()
    chat = Chat(model_dir_base)
    model = _loaded(model_dir_base, adapter_dir, chat)
    limit = int(getattr(model.config, "max_position_embeddings", 0) or 1 << 30)
    rows = [_tokens(chat, item, system_prompt, limit) for item in items]
    suite = suite_digest(items, system_prompt)
    key = prediction_key(model_digest, suite, decoding_digest(max_new_tokens, batch_rows))
    predictions: list[Prediction] = []
    for batch in _batches(rows, batch_rows):
        likelihoods = _teacher_forced(model, batch, chat.pad_token_id)
        started = time.perf_counter()
        answers = _generated(model, batch, chat, min(max_new_tokens, limit - max(len(row.prompt) for row in batch)))
        seconds = (time.perf_counter() - started) / len(batch)
        for row, (nll, right), ids in zip(batch, likelihoods, answers, strict=True):
            predictions.append(
                Prediction(
                    key=key,
                    model_digest=model_digest,
                    suite_digest=suite,
                    row_id=row.item.row_id,
                    answer=chat.decode(ids),
                    n_tokens=len(ids),
                    answer_nll=nll,
                    answer_tokens=len(row.answer),
                    answer_tokens_right=right,
                    seconds=seconds,
                )
            )
        on_progress(len(predictions), len(rows))
    return sorted(predictions, key=lambda prediction: prediction.row_id)


def suite_digest(items: Sequence[EvalItem], system_prompt: SystemPrompt) -> str:
    """The identity of a suite, whatever the order of its items: every field of them, and the system prompts."""
    rows = sorted((asdict(item) for item in items), key=lambda row: row["row_id"])
    for row in rows:
        row["messages"] = [message.model_dump() for message in row["messages"]]
    return _digest({"items": rows, "system_prompt": system_prompt or ""})


def decoding_digest(max_new_tokens: int, batch_rows: int = BATCH_ROWS) -> str:
    """The identity of how answers are made on this machine: `decoding`, digested."""
    return _digest(decoding(max_new_tokens, batch_rows))


def decoding(max_new_tokens: int, batch_rows: int = BATCH_ROWS) -> dict[str, str | int]:
    """How answers are made: greedy, at most so many tokens, in which number format, by which version of this file."""
    dtype = str(evaluation_dtype()).removeprefix("torch.")
    facts: dict[str, str | int] = {"method": "greedy", "max_new_tokens": max_new_tokens, "dtype": dtype}
    rounding = {} if dtype == "float32" else {"batch_rows": batch_rows}
    return {**facts, **rounding, "generator": GENERATOR_VERSION}


def prediction_key(model_digest: str, suite: str, decoding: str) -> str:
    """The partition of the table `predictions`: one per model, suite and way of decoding."""
    return _digest([model_digest, suite, decoding])


def evaluation_dtype() -> "torch.dtype":
    """float32 on a CPU, the fastest format on a GPU.

    On a CPU bfloat16 saved no time at 4 M parameters and cost the proof: the same model gave 2 of 96 answers otherwise
    in batches of 1 than of 32, and 4 of 96 otherwise than in float32. In float32 none differed.
    """
    import torch

    return torch.float32 if compute_device() == "cpu" else fastest_dtype()


def _loaded(base_dir: Path, adapter_dir: Path | None, chat: Chat) -> "PreTrainedModel":
    """The model to ask, decoding as we say: a base may bring a repetition penalty or a temperature of its own."""
    import torch
    from transformers import GenerationConfig

    model = load_model(base_dir, adapter_dir, evaluation_dtype())
    if hasattr(model, "merge_and_unload") and model.dtype == torch.float32:  # in bfloat16, 4 of 96 answers change
        model = model.merge_and_unload()  # here none; a model of method full has no adapter to merge
    own = GenerationConfig(do_sample=False, eos_token_id=chat.end_token_id, pad_token_id=chat.pad_token_id)
    model.generation_config = own
    return model


def _tokens(chat: Chat, item: EvalItem, system_prompt: SystemPrompt, limit: int) -> _Tokens:
    if len(item.messages) < 2 or item.messages[-1].role != "assistant":
        raise BadInput(
            f"Eval row {item.row_id} does not end with an assistant's turn after a prompt: nothing to compare."
        )
    own_prompt = prompt_of(system_prompt, item)
    encoded = chat.encode(item.messages, own_prompt)
    end = len(encoded.assistant_mask) - encoded.assistant_mask[::-1].index(1)
    start = next((i + 1 for i in range(end - 1, -1, -1) if not encoded.assistant_mask[i]), 0)
    prompt = chat.prompt_ids(item.messages[:-1], own_prompt)
    if max(end, len(prompt) + 1) > limit:
        raise BadInput(
            f"Eval row {item.row_id} has {end} tokens and the model {limit} positions; a cut prompt would be another "
            "question. Leave it out with the specialization's selector, or use a base with more positions."
        )
    return _Tokens(item, prompt, encoded.input_ids[:end], encoded.input_ids[start:end])


def _batches(rows: Sequence[_Tokens], batch_rows: int) -> Iterator[list[_Tokens]]:
    """Rows of like length together, longest first: little padding, and what does not fit fails at once."""
    order = sorted(rows, key=lambda row: (-len(row.prompt), row.item.row_id))
    for start in range(0, len(order), batch_rows):
        yield order[start : start + batch_rows]


def _left_padded(
    model: "PreTrainedModel", rows: Sequence[Sequence[int]], pad: int
) -> "tuple[torch.Tensor, torch.Tensor]":
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in rows], device=model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=model.device)
    return ids, mask


def _teacher_forced(model: "PreTrainedModel", batch: Sequence[_Tokens], pad: int) -> list[tuple[float, int]]:
    """Per row: the reference's summed negative log-likelihood in nats, and how many of its tokens ranked first."""
    import torch

    ids, mask = _left_padded(model, [row.conversation for row in batch], pad)
    longest = max(len(row.answer) for row in batch)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)  # a model does not count left padding out by itself
    results = []
    with torch.inference_mode():
        logits = model(
            input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=longest + 1
        ).logits
        for row, row_logits in zip(batch, logits, strict=True):
            answer = torch.tensor(row.answer, device=row_logits.device)
            predicted = row_logits[-len(row.answer) - 1 : -1].float()
            nll = torch.nn.functional.cross_entropy(predicted, answer, reduction="sum")
            results.append((float(nll), int((predicted.argmax(dim=-1) == answer).sum())))
    return results


def _generated(model: "PreTrainedModel", batch: Sequence[_Tokens], chat: Chat, max_new_tokens: int) -> list[list[int]]:
    """Per row: the tokens of the greedy answer, without the end token."""
    import torch

    ids, mask = _left_padded(model, [row.prompt for row in batch], chat.pad_token_id)
    with torch.inference_mode():
        out = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=max_new_tokens)
    answers = out[:, ids.shape[1] :].tolist()
    return [answer[: answer.index(chat.end_token_id)] if chat.end_token_id in answer else answer for answer in answers]


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
