"""Messages to token ids and back, and the models that read them. Training and evaluation share every line of it.

What a person typed never becomes a control token: `<|im_end|>` inside a message is encoded as the text it is.
Nothing is ever cut: whoever has a limit looks at the length and refuses.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ft_assets.compute import compute_device, fastest_dtype, let_waiting_threads_sleep, use_available_cores
from ft_assets.errors import BadConfiguration, BadInput, IncompleteArtifact

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# A Unicode noncharacter, so no text holds it. It stands inside a control token's text while the template is rendered,
# and keeps a message's "<|im_end|>" apart from the one that the template writes.
MARK = "\ufdd0"


class Turn(Protocol):
    """What a message needs to have; `records.Message` and a mapping with the same keys both will do."""

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
        control = [token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        longest_first = sorted(control, key=len, reverse=True)
        self._control = re.compile("|".join(re.escape(text) for text in longest_first) or "(?!)")

    @property
    def end_token_id(self) -> int:
        """The token that ends a turn, where generation stops."""
        return int(self.tokenizer.eos_token_id)

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
        unmarked = [(_without_marks(rendered, start), _without_marks(rendered, end)) for start, end in spans]
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

    def _turns(self, messages: Sequence[Turn | Mapping[str, str]], system_prompt: str | None) -> list[dict[str, str]]:
        turns = [{"role": _field(m, "role"), "content": self._marked(_field(m, "content"))} for m in messages]
        if not turns:
            raise BadInput("a conversation without messages cannot be encoded; drop it in curation")
        if system_prompt and turns[0]["role"] != "system":
            turns.insert(0, {"role": "system", "content": self._marked(system_prompt)})
        return turns

    def _marked(self, text: str) -> str:
        return self._control.sub(lambda found: found[0][0] + MARK + found[0][1:], text.replace(MARK, ""))

    def _render(self, turns: list[dict[str, str]], generation_prompt: bool = False) -> str:
        from jinja2 import TemplateError

        try:
            rendered = self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=generation_prompt
            )
        except TemplateError as error:
            roles = ", ".join(turn["role"] for turn in turns)
            raise BadConfiguration(
                f"the chat template of {self.directory} refuses a conversation of the roles {roles}: {error}. "
                "Select rows this model can read, leave out the system prompt, or change the base model."
            ) from error
        return str(rendered)

    def _answer_span(self, turns: list[dict[str, str]], index: int, rendered: str) -> tuple[int, int]:
        """Where an answer begins and where its end token ends, in characters of `rendered`."""
        before = self._render(turns[:index], generation_prompt=True)
        upto = rendered if index + 1 == len(turns) else self._render(turns[: index + 1])
        ends = [found.end() for found in self._control.finditer(upto, len(before))]
        if not rendered.startswith(before) or not rendered.startswith(upto) or not ends:
            raise BadConfiguration(
                f"the chat template of {self.directory} does not write turn {index + 1} as its generation prompt "
                "announces it, or without an end token, so the answer's tokens cannot be told from the prompt's. "
                "Replace chat_template.jinja by one that only appends turns and ends each with a control token."
            )
        return len(before), ends[-1]

    def _tokens(self, rendered: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Token ids, and the characters each covers in the text without marks."""
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        shift = 0
        for text, as_text in self._pieces(rendered):
            piece = self.tokenizer(
                text, add_special_tokens=False, split_special_tokens=as_text, return_offsets_mapping=True, verbose=False
            )
            ids += piece["input_ids"]
            offsets += [(begin + shift, stop + shift) for begin, stop in piece["offset_mapping"]]
            shift += len(text)
        return ids, offsets

    def _pieces(self, rendered: str) -> Iterator[tuple[str, bool]]:
        """The text in one piece, or cut at the template's control tokens where a message holds one as text."""
        if MARK not in rendered:
            yield rendered, False
            return
        position = 0
        for found in self._control.finditer(rendered):
            yield rendered[position : found.start()].replace(MARK, ""), True
            yield found[0], False
            position = found.end()
        yield rendered[position:].replace(MARK, ""), True


def load_model(
    base_dir: Path, adapter_dir: Path | None = None, dtype: "torch.dtype | None" = None
) -> "PreTrainedModel":
    """The base model, with the adapter on it where one is given: in eval mode, on the GPU if there is one.

    `dtype` defaults to `fastest_dtype()`. Weights are read from safetensors only, and no code that came with them runs.

    Raises:
        IncompleteArtifact: a directory has no safetensors; materialize the asset that makes it again.
    """
    use_available_cores()
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    for directory in filter(None, (base_dir, adapter_dir)):
        if not list(directory.glob("*.safetensors")):
            raise IncompleteArtifact(
                f"{directory} holds no *.safetensors, and no other weights are read. Materialize what makes it again."
            )
    logging.disable_progress_bar()
    options: dict[str, Any] = {"dtype": dtype or fastest_dtype(), "use_safetensors": True, "local_files_only": True}
    model = AutoModelForCausalLM.from_pretrained(base_dir, trust_remote_code=False, **options)
    if adapter_dir is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter_dir), is_trainable=False)
    return model.to(torch.device(compute_device())).eval()


def _field(message: Turn | Mapping[str, str], name: str) -> str:
    return str(message[name] if isinstance(message, Mapping) else getattr(message, name))


def _without_marks(text: str, position: int) -> int:
    return position - text.count(MARK, 0, position)
