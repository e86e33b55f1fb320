"""Asks a model whose weights lie on disk, by transformers; also how probable it finds the reference answers.

Torch enters inside the functions, when a question is not answered yet.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar

from ft_assets.chat import Chat, load_model
from ft_assets.compute import compute_device, device_kind, fastest_dtype, use_available_cores
from ft_assets.evaluation.asking.asked_tokens import AskedTokens, asked_tokens, in_asking_order, next_batch
from ft_assets.evaluation.asking.backend import Batch, Question, Setting, setting_digest
from ft_assets.evaluation.asking.model_to_ask import ModelToAsk
from ft_assets.evaluation.prediction import Prediction
from ft_assets.memory_errors import forget, free_memory, is_out_of_memory

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

BATCH_ROWS = 32  # four times the throughput of single rows on a CPU; 64 adds little
# Raise it when the same model would answer differently: kept answers of the old way are not used any more.
GENERATOR_VERSION = 2
MODEL_TOO_LARGE = "out of memory: the model itself does not fit"
Result = TypeVar("Result")


class TransformersBackend:
    """Greedy answers in left-padded batches of rows of like length.

    Memory that runs out halves the batches from there on; a row that does not fit alone is missing.
    """

    def __init__(
        self, model: ModelToAsk, max_new_tokens: int, batch_rows: int = BATCH_ROWS, always_merged: bool = False
    ):
        """An adapter is merged into its base in float32, where that changes no answer; `always_merged`: in any."""
        self.model = model
        self.max_new_tokens = max_new_tokens
        self.batch_rows = batch_rows
        self.always_merged = always_merged

    @property
    def model_digest(self) -> str:
        """The adapter's, or the base's where there is none."""
        return self.model.digest

    @cached_property
    def setting(self) -> Setting:
        """How this machine makes answers."""
        dtype = str(evaluation_dtype()).removeprefix("torch.")
        return {
            "backend": "transformers",
            "version": version("transformers"),
            "torch": version("torch"),
            "generator": GENERATOR_VERSION,
            "decoding": "greedy",
            "max_new_tokens": self.max_new_tokens,
            "dtype": dtype,
            "adapter": "merged" if self.always_merged or dtype == "float32" else "beside the base",
            "device": device_kind(),
            "batches": f"{self.batch_rows} rows, longest prompt first, padded left",
        }

    def batches(self, questions: Sequence[Question]) -> Iterator[Batch]:
        """The answers batch by batch, longest prompts first."""
        if not questions:
            return
        use_available_cores()
        missing, rows = {}, []
        for question in questions:
            tokens = self.tokens(question)
            if isinstance(tokens, str):
                missing[question.row_id] = tokens
            else:
                rows.append(tokens)
        if missing:
            yield Batch([], missing)
        yield from self._in_what_memory_there_is(in_asking_order(rows))

    def alone(self) -> "TransformersBackend":
        """The same loaded model, one row at a time."""
        one = TransformersBackend(self.model, self.max_new_tokens, 1, self.always_merged)
        vars(one)["_network"] = self._network
        return one

    def as_served(self) -> "TransformersBackend":
        """One row at a time and merged; loaded anew where today's model is not merged."""
        if self.setting["adapter"] == "merged" or self.model.adapter_dir is None:
            return self.alone()
        return TransformersBackend(self.model, self.max_new_tokens, 1, always_merged=True)

    def tokens(self, question: Question) -> AskedTokens | str:
        """The question as this model reads it, or why it cannot be asked. Reads the tokenizer and no weights."""
        return asked_tokens(self._chat, question, self._positions, self.max_new_tokens)

    def fits(self, question: Question) -> bool:
        """Whether prompt, reference and the longest answer all have a position."""
        tokens = self.tokens(question)
        return not isinstance(tokens, str) and tokens.allowance == self.max_new_tokens

    def count_tokens(self, text: str) -> int:
        """How many tokens this model's tokenizer makes of a text."""
        return len(self._chat.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    @cached_property
    def _chat(self) -> Chat:
        return Chat(self.model.base_dir)

    @cached_property
    def _positions(self) -> int:
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(self.model.base_dir, local_files_only=True, trust_remote_code=False)
        return int(getattr(config.get_text_config(), "max_position_embeddings", 0) or 1 << 30)

    @cached_property
    def _network(self) -> "PreTrainedModel":
        """The model, decoding as we say: a base may bring a repetition penalty or a temperature of its own."""
        import torch
        from transformers import GenerationConfig

        use_available_cores()
        model = load_model(self.model.base_dir, self.model.adapter_dir, evaluation_dtype())
        merges = self.always_merged or model.dtype == torch.float32  # in bfloat16, 4 of 96 answers change, here none
        if hasattr(model, "merge_and_unload") and merges:  # a model of method full has no adapter to merge
            model = model.merge_and_unload()
        chat = self._chat
        own = GenerationConfig(do_sample=False, eos_token_id=chat.end_token_id, pad_token_id=chat.pad_token_id)
        model.generation_config = own
        return model

    def _in_what_memory_there_is(self, waiting: Sequence[AskedTokens]) -> Iterator[Batch]:
        if waiting and _with_memory(lambda: self._network) is None:
            yield Batch([], dict.fromkeys((row.question.row_id for row in waiting), MODEL_TOO_LARGE))
            return
        most_rows = self.batch_rows
        while waiting:
            rows = next_batch(waiting, most_rows)
            answered = _with_memory(partial(self._answered, rows))
            if answered is None and len(rows) > 1:
                most_rows = len(rows) // 2
                continue
            if answered is None:
                reason = f"out of memory, asked alone with {len(rows[0].conversation)} tokens"
                yield Batch([], {rows[0].question.row_id: reason}, halved=True)
            else:
                yield Batch(*answered, halved=most_rows < self.batch_rows)
            waiting = waiting[len(rows) :]

    def _answered(self, rows: Sequence[AskedTokens]) -> tuple[list[Prediction], dict[str, str]]:
        """The answers, and the rows whose likelihood is no number."""
        likelihoods = teacher_forced(self._network, rows, self._chat.pad_token_id)
        started = time.perf_counter()
        answers = generated(self._network, rows, self._chat)
        seconds = (time.perf_counter() - started) / len(rows)
        predictions, missing = [], {}
        for row, (nll, right), ids in zip(rows, likelihoods, answers, strict=True):
            if not math.isfinite(nll):
                missing[row.question.row_id] = "the likelihood of its reference is no finite number"
                continue
            predictions.append(
                Prediction(
                    model_digest=self.model_digest,
                    setting_digest=setting_digest(self.setting),
                    prompt_digest=row.question.digest,
                    row_id=row.question.row_id,
                    answer=self._chat.decode(ids),
                    n_tokens=len(ids),
                    cut_off=len(ids) == row.allowance,
                    seconds=seconds,
                    answer_nll=nll,
                    answer_tokens=len(row.answer),
                    answer_tokens_right=right,
                )
            )
        return predictions, missing


def evaluation_dtype() -> "torch.dtype":
    """float32 on a CPU, the fastest format on a GPU.

    On a CPU bfloat16 saved no time at 4 M parameters and cost the proof: the same model gave 2 of 96 answers otherwise
    in batches of 1 than of 32, and 4 of 96 otherwise than in float32. In float32 none differed.
    """
    import torch

    return torch.float32 if compute_device() == "cpu" else fastest_dtype()


def teacher_forced(model: "PreTrainedModel", rows: Sequence[AskedTokens], pad: int) -> list[tuple[float, int]]:
    """Per row: the reference's summed negative log-likelihood in nats, and how many of its tokens ranked first."""
    import torch

    ids, mask = _left_padded(model, [row.conversation for row in rows], pad)
    longest = max(len(row.answer) for row in rows)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)  # a model does not count left padding out by itself
    results = []
    with torch.inference_mode():
        logits = model(
            input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=longest + 1
        ).logits
        for row, row_logits in zip(rows, logits, strict=True):
            answer = torch.tensor(row.answer, device=row_logits.device)
            predicted = row_logits[-len(row.answer) - 1 : -1].float()
            nll = torch.nn.functional.cross_entropy(predicted, answer, reduction="sum")
            results.append((float(nll), int((predicted.argmax(dim=-1) == answer).sum())))
    return results


def generated(model: "PreTrainedModel", rows: Sequence[AskedTokens], chat: Chat) -> list[list[int]]:
    """Per row: the tokens of the greedy answer, without the end token. The rows have one allowance."""
    import torch

    ids, mask = _left_padded(model, [row.prompt for row in rows], chat.pad_token_id)
    with torch.inference_mode():
        out = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=rows[0].allowance)
    answers = out[:, ids.shape[1] :].tolist()
    return [answer[: answer.index(chat.end_token_id)] if chat.end_token_id in answer else answer for answer in answers]


def _with_memory(work: Callable[[], Result]) -> Result | None:
    """What `work` returns; None when memory ran out, and everything it held is let go."""
    try:
        return work()
    except (RuntimeError, OSError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        forget(error)
    free_memory()
    return None


def _left_padded(
    model: "PreTrainedModel", rows: Sequence[Sequence[int]], pad: int
) -> "tuple[torch.Tensor, torch.Tensor]":
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in rows], device=model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=model.device)
    return ids, mask
