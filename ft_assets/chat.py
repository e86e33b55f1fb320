"""Messages to token ids and back, and the models that read them. Training and evaluation share every line of it.

What a person typed never becomes a control token: `<|im_end|>` inside a message is encoded as the text it is.
Nothing is ever cut: whoever has a limit looks at the length and refuses. Tool calls are written as the chat template
writes them, or as text (tool_calls.as_text) where it knows none; either way they are learned as part of the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ft_assets.compute import compute_device, fastest_dtype, let_waiting_threads_sleep, use_available_cores
from ft_assets.control_tokens import ControlTokens, without_marks
from ft_assets.errors import BadConfiguration, BadInput, IncompleteArtifact
from ft_assets.tool_calls import as_text, calls_in

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig, PreTrainedModel

# Some templates write today's date otherwise, and the same row would be other tokens tomorrow. Llama's own default.
DATE = "26 Jul 2024"


class Turn(Protocol):
    """What a message needs to have; `records.Message` and a mapping with the same keys both will do.

    `tool_calls`, the JSON text of an assistant's calls, is read where it is there.
    """

    @property
    def role(self) -> str: ...
    @property
    def content(self) -> str: ...


@dataclass(frozen=True)
class Encoded:
    """A conversation as tokens. `assistant_mask` is 1 on what the assistant wrote, its end token included, else 0."""

    input_ids: list[int]
    assistant_mask: list[int]


class Chat:
    """The chat format of one tokenizer directory."""

    def __init__(self, directory: Path):
        let_waiting_threads_sleep()
        from transformers import AutoTokenizer

        if not (directory / "tokenizer_config.json").exists():
            raise IncompleteArtifact(
                f"{directory} has no tokenizer_config.json, so nothing can be encoded. Materialize base_model again."
            )
        self.directory = directory
        self.tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        if not self.tokenizer.chat_template:
            raise BadConfiguration(
                f"the tokenizer in {directory} has no chat template, so messages cannot become tokens. "
                "Use an instruction-tuned base model, or add chat_template.jinja beside its tokenizer."
            )
        self.control = ControlTokens(self.tokenizer)

    @property
    def end_token_id(self) -> int:
        """The token that ends a turn, where generation stops."""
        return int(self.tokenizer.eos_token_id)

    @cached_property
    def writes_tool_calls(self) -> bool:
        """Whether the template writes an assistant's tool calls; where it does not, they are written as text."""
        from jinja2 import TemplateError

        probe = {"name": "probed_name", "arguments": {"probed_key": "probed_value"}}
        turns: list[dict[str, Any]] = [
            {"role": "user", "content": "probe"},
            {"role": "assistant", "content": "", "tool_calls": [_numbered(probe, 1)]},
        ]
        try:
            rendered = str(self.tokenizer.apply_chat_template(turns, tokenize=False, date_string=DATE))
        except (TemplateError, TypeError):  # TypeError: it adds content and something else
            return False
        return all(word in rendered for word in ("probed_name", "probed_key", "probed_value"))

    @property
    def pad_token_id(self) -> int:
        """The token that fills a batch up; the end token where the tokenizer has no padding token."""
        pad = self.tokenizer.pad_token_id
        return self.end_token_id if pad is None else int(pad)

    def encode(self, messages: Sequence[Turn | Mapping[str, str]], system_prompt: str | None = None) -> Encoded:
        """The whole conversation as tokens, with a mask on the assistant's turns.

        The loss starts where generation would start (after the generation prompt) and ends behind the end token.
        `system_prompt` goes first where the messages have no system turn of their own. The result is never cut.

        Raises:
            BadConfiguration: the chat template writes an answer in another way than the prompt before it announces,
                or no end token behind it; use the model's training template.
        """
        turns = self._turns(messages, system_prompt)
        rendered = self._render(turns)
        spans = [self._answer_span(turns, i, rendered) for i, turn in enumerate(turns) if turn["role"] == "assistant"]
        unmarked = [(without_marks(rendered, start), without_marks(rendered, end)) for start, end in spans]
        ids, offsets = self._tokens(rendered)
        mask = [int(any(begin < end and stop > start for start, end in unmarked)) for begin, stop in offsets]
        return Encoded(ids, mask)

    def prompt_ids(self, messages: Sequence[Turn | Mapping[str, str]], system_prompt: str | None = None) -> list[int]:
        """The tokens that a model answers to: the messages, then the generation prompt. Never cut.

        Raises:
            BadInput: the last turn is the assistant's, so there is nothing left to answer; drop it first.
        """
        turns = self._turns(messages, system_prompt)
        if turns[-1]["role"] == "assistant":
            raise BadInput("the prompt ends with the assistant's turn, so nothing is left to answer; drop that turn")
        return self._tokens(self._render(turns, generation_prompt=True))[0]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated tokens, up to the first end token, without control tokens."""
        kept = list(ids)
        if self.end_token_id in kept:
            kept = kept[: kept.index(self.end_token_id)]
        return str(self.tokenizer.decode(kept, skip_special_tokens=True))

    def _turns(self, messages: Sequence[Turn | Mapping[str, str]], system_prompt: str | None) -> list[dict[str, Any]]:
        turns: list[dict[str, Any]] = []
        unanswered: list[dict[str, Any]] = []  # calls, in the order in which their results follow
        number = 0
        for message in messages:
            turn: dict[str, Any] = {
                "role": _field(message, "role"),
                "content": self.control.marked(_field(message, "content")),
            }
            calls = [self.control.marked(call) for call in calls_in(_tool_calls(message))]
            if calls and not self.writes_tool_calls:
                turn["content"] = "\n".join(filter(None, (turn["content"], as_text(calls))))
            elif calls:
                turn["tool_calls"] = [_numbered(call, number + i) for i, call in enumerate(calls, start=1)]
                number += len(calls)
                unanswered += turn["tool_calls"]
            elif turn["role"] == "tool" and unanswered:
                call = unanswered.pop(0)
                turn |= {"tool_call_id": call["id"], "name": call["function"]["name"]}
            turns.append(turn)
        if not turns:
            raise BadInput("a conversation without messages cannot be encoded; drop it in curation")
        if system_prompt and turns[0]["role"] != "system":
            turns.insert(0, {"role": "system", "content": self.control.marked(system_prompt)})
        return turns

    def _render(self, turns: list[dict[str, Any]], generation_prompt: bool = False) -> str:
        from jinja2 import TemplateError

        try:
            rendered = self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=generation_prompt, date_string=DATE
            )
        except TemplateError as error:
            roles = ", ".join(turn["role"] for turn in turns)
            raise BadConfiguration(
                f"the chat template of {self.directory} refuses a conversation of the roles {roles}: {error}. "
                "Select rows this model can read, leave out the system prompt, or change the base model."
            ) from error
        return str(rendered)

    def _answer_span(self, turns: list[dict[str, Any]], index: int, rendered: str) -> tuple[int, int]:
        """Where an answer begins and where its end token ends, in characters of `rendered`."""
        before = self._render(turns[:index], generation_prompt=True)
        upto = rendered if index + 1 == len(turns) else self._render(turns[: index + 1])
        end = self.control.last_special_end(upto, len(before))
        if not rendered.startswith(before) or not rendered.startswith(upto) or end is None:
            raise BadConfiguration(
                f"the chat template of {self.directory} does not write turn {index + 1} as its generation prompt "
                "announces it, or without an end token, so the answer's tokens cannot be told from the prompt's. "
                "Replace chat_template.jinja by one that only appends turns and ends each with a control token."
            )
        return len(before), end

    def _tokens(self, rendered: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Token ids, and the characters each covers in the text without marks."""
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        shift = 0
        for text, is_text in self.control.pieces(rendered):
            piece = self.tokenizer(
                text, add_special_tokens=False, split_special_tokens=is_text, return_offsets_mapping=True, verbose=False
            )
            ids += piece["input_ids"]
            offsets += [(begin + shift, stop + shift) for begin, stop in piece["offset_mapping"]]
            shift += len(text)
        return ids, offsets


def load_model(
    base_dir: Path,
    trained_dir: Path | None = None,
    dtype: "torch.dtype | None" = None,
    quantisation: "BitsAndBytesConfig | None" = None,
) -> "PreTrainedModel":
    """The base model, or what was trained from it if `trained_dir` is given: in eval mode, on the GPU if there is one.

    `trained_dir` holds an adapter, which goes on the base, or a whole model (method full), which takes its place; the
    tokenizer is the base's in both cases. `dtype` defaults to `fastest_dtype()`; `quantisation` packs the base's linear
    layers while it is read. Weights are read from safetensors only, and no code that came with them runs.

    Raises:
        IncompleteArtifact: a directory has no safetensors; materialize the asset that makes it again.
    """
    use_available_cores()
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    for directory in filter(None, (base_dir, trained_dir)):
        if not list(directory.glob("*.safetensors")):
            raise IncompleteArtifact(
                f"{directory} holds no *.safetensors, and no other weights are read. Materialize what makes it again."
            )
    logging.disable_progress_bar()
    options: dict[str, Any] = {"dtype": dtype or fastest_dtype(), "use_safetensors": True, "local_files_only": True}
    if quantisation is not None:
        options["quantization_config"] = quantisation
    adapter_dir = trained_dir if trained_dir is not None and holds_adapter(trained_dir) else None
    model_dir = trained_dir if trained_dir is not None and adapter_dir is None else base_dir
    model = AutoModelForCausalLM.from_pretrained(model_dir, trust_remote_code=False, **options)
    if adapter_dir is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter_dir), is_trainable=False)
    return model.to(torch.device(compute_device())).eval()


def holds_adapter(trained_dir: Path) -> bool:
    """Whether a training left an adapter there; otherwise it is a whole model, from method full."""
    return (trained_dir / "adapter_config.json").exists()


def _field(message: Turn | Mapping[str, str], name: str) -> str:
    return str(message[name] if isinstance(message, Mapping) else getattr(message, name))


def _tool_calls(message: Turn | Mapping[str, str]) -> str | None:
    return message.get("tool_calls") if isinstance(message, Mapping) else getattr(message, "tool_calls", None)


def _numbered(call: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A call as templates take it. Its logged id is random; nine letters and digits are what Mistral's wants."""
    return {"type": "function", "id": f"call{number:05d}", "function": dict(call)}
