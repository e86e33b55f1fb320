"""What speaks against a run once its rows are tokens: masks, lengths, control tokens, and what packing would mix.

Needs a tokenizer and no model. A check is a function that yields problems, and a line in `CHECKS`. Rows are named by
their ids; their text is never quoted.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft_assets.chat import Chat, Turn
from ft_assets.errors import BadConfiguration, BadInput
from ft_assets.system_prompts import SystemPrompt, prompt_of
from ft_assets.tool_calls import calls_in
from ft_assets.training.packed_rows import IGNORED, TrainingRow, some
from ft_assets.training.problem import Problem
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_ranges import Objective
from ft_assets.training.stage_data import SideRows
from ft_assets.training.token_store import ROWS_AT_ONCE, TokenBatch, token_batches, token_rows, turn_fields

if TYPE_CHECKING:
    import numpy as np

# Of all tokens that are read, those that are learned. Under a hundredth a run costs a hundred times what it teaches:
# a system prompt or a context outweighs the answers. Chats have 0.2 to 0.8; under a twentieth is worth a look.
LEAST_TRAINABLE_SHARE, FEW_TRAINABLE_SHARE = 0.01, 0.05
FITS_MOST = 0.99
LENGTHS_COME_IN = 64  # tokens; rows are padded to such multiples
CALL = '{"name": "f", "arguments": {}}'


@dataclass
class SideTokens:
    """What one side of one objective is as tokens. The lists hold ids of rows."""

    side: str
    objective: Objective
    lengths: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    learned: int = 0
    mute: list[str] = field(default_factory=list)
    endless: list[str] = field(default_factory=list)
    begun_by_answer: list[str] = field(default_factory=list)
    smuggled: list[str] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """Tokens that one pass reads, padding left out."""
        return sum(self.lengths)

    @property
    def trainable_share(self) -> float:
        """Learned tokens over all tokens, 0 to 1; 0 where there is none."""
        return self.learned / self.tokens if self.tokens else 0.0


@dataclass(frozen=True)
class Conversation:
    """One answer of a preference pair behind its prompt, as a row."""

    example_id: str
    messages: Sequence[Turn | Mapping[str, str]]
    role: str | None
    reasoning_mode: str | None


def conversations(rows: SideRows, objective: Objective) -> Sequence[TrainingRow]:
    """What an objective reads of a side as rows of messages: a pair is two, one with each answer."""
    if objective == "sft":
        return rows.examples
    if objective == "kto":
        return rows.judged
    return [
        Conversation(
            f"{pair.pair_id} {which}",
            [*pair.prompt, *answer],
            getattr(pair, "role", None),
            getattr(pair, "reasoning_mode", None),
        )
        for pair in rows.pairs
        for which, answer in (("chosen", pair.chosen), ("rejected", pair.rejected))
    ]


def side_tokens(
    rows: Sequence[TrainingRow],
    side: str,
    objective: Objective,
    chat: Chat,
    system_prompt: SystemPrompt,
    tokens_dir: Path,
) -> SideTokens:
    """Tokenises a side (or reads what `tokens_dir` has of it) and looks at every row.

    Raises:
        BadInput, BadConfiguration: a row cannot be rendered; names it.
    """
    found = SideTokens(side, objective)
    end, expected = _end_token(chat), _ControlTokens(chat, system_prompt)
    by_name = {row.example_id: row for row in rows}
    for batch in token_batches(token_rows(rows, chat, system_prompt, tokens_dir)):
        _look(batch, found, end)
        own = batch.counted(_is_one_of(batch.ids, chat.control.ids)).tolist()
        found.smuggled += [n for n, count in zip(batch.names, own, strict=True) if count > expected.of(by_name[n])]
    return found


def token_problems(tokens: SideTokens, recipe: Recipe) -> Iterator[Problem]:
    """Everything that speaks against training on this side with `recipe`."""
    if tokens.names:
        for check in CHECKS:
            yield from check(tokens, recipe)


def packed_count(lengths: Sequence[int], max_length: int) -> int:
    """How many rows best-fit packing makes of rows of so many tokens, as TRL packs them, a batch at a time.

    Longer ones count as one row each. Best fit decreasing: Ding et al. 2024, "Fewer Truncations Improve Language
    Modeling".
    """
    bins = 0
    for start in range(0, len(lengths), ROWS_AT_ONCE):
        free: list[int] = []
        for length in sorted(lengths[start : start + ROWS_AT_ONCE], reverse=True):
            place = bisect_left(free, length)
            room = free.pop(place) if place < len(free) else max_length
            bins += room == max_length
            if room > length:
                insort(free, room - length)
    return bins


# ---- the checks ------------------------------------------------------------------------------------------------------
def enough_is_learned(tokens: SideTokens, recipe: Recipe) -> Iterator[Problem]:
    """A share of trainable tokens that is neither next to nothing nor everything."""
    share = tokens.trainable_share
    if tokens.objective != "sft" or not tokens.learned:
        return
    told = f"{share:.1%} of the {tokens.tokens:,} tokens of the {tokens.side} side are learned"
    if share >= 1:
        yield Problem("prompts_would_be_learned", f"{told}: the mask covers the prompts, too. Mend the chat template")
    elif share < FEW_TRAINABLE_SHARE:
        refuses = share < LEAST_TRAINABLE_SHARE
        limit = LEAST_TRAINABLE_SHARE if refuses else FEW_TRAINABLE_SHARE
        mend = "Shorten the system prompt, or leave out rows with a long context and a short answer"
        yield Problem(
            "few_trainable_tokens", f"{told}, under {limit:.0%}: the rest is read for nothing. {mend}", refuses
        )


def every_row_teaches(tokens: SideTokens, recipe: Recipe) -> Iterator[Problem]:
    """A row without an answer is in the batch and in no gradient."""
    if tokens.mute:
        told = f"{len(tokens.mute)} of {len(tokens.names)} {tokens.side} rows have no token to learn"
        mend = "Curation should have dropped a conversation without an answer; materialize train_eval_split again"
        yield Problem("rows_without_trainable_tokens", f"{told}: {some(tokens.mute)}. {mend}")


def nothing_is_truncated(tokens: SideTokens, recipe: Recipe) -> Iterator[Problem]:
    """A row over `max_length` would lose its end, which is the answer; nothing is cut silently."""
    pairs = zip(tokens.names, tokens.lengths, strict=True)
    long = [f"{name} ({length} tokens)" for name, length in pairs if length > recipe.max_length]
    if not long:
        return
    in_order = sorted(tokens.lengths)
    most = in_order[min(int(FITS_MOST * len(in_order)), len(in_order) - 1)]
    yield Problem(
        "rows_over_max_length",
        f"{len(long)} of {len(tokens.names)} {tokens.side} rows ({len(long) / len(tokens.names):.1%}) are longer than "
        f"max_length {recipe.max_length}: {some(long)}. Nothing is cut silently. max_length: {_rounded(in_order[-1])} "
        f"fits all, {_rounded(most)} fits {FITS_MOST:.0%}; raise it, or leave such rows out (rules: max_tokens)",
        key=("max_length",),
    )


def every_answer_ends(tokens: SideTokens, recipe: Recipe) -> Iterator[Problem]:
    """A model that never learned the end token does not stop."""
    if tokens.endless:
        told = f"in {len(tokens.endless)} {tokens.side} rows an answer ends without the end token inside the mask"
        yield Problem("answers_without_end_token", f"{told}: {some(tokens.endless)}. Mend the chat template")


def text_stays_text(tokens: SideTokens, recipe: Recipe) -> Iterator[Problem]:
    """What a person typed must not become a control token: it would open and close turns."""
    if tokens.smuggled:
        told = f"{len(tokens.smuggled)} {tokens.side} rows hold more control tokens than the chat template writes"
        mend = "Text would be read as the start or end of a turn. Leave these rows out and report it"
        yield Problem("control_tokens_from_text", f"{told}: {some(tokens.smuggled)}. {mend}")


def samples_begin_with_a_prompt(tokens: SideTokens, recipe: Recipe) -> Iterator[Problem]:
    """In a packed row the first token of a sample is predicted from the end of the sample before it."""
    if tokens.objective == "sft" and tokens.begun_by_answer:
        told = f"{len(tokens.begun_by_answer)} {tokens.side} rows are learned from their very first token on"
        why = "packed, that token would be predicted from the row before it"
        yield Problem("packing_mixes_samples", f"{told}; {why}: {some(tokens.begun_by_answer)}. Give them a prompt")


CHECKS: tuple[Callable[[SideTokens, Recipe], Iterator[Problem]], ...] = (
    enough_is_learned,
    every_row_teaches,
    nothing_is_truncated,
    every_answer_ends,
    text_stays_text,
    samples_begin_with_a_prompt,
)


# ---- looking at a batch ----------------------------------------------------------------------------------------------
def _look(batch: TokenBatch, found: SideTokens, end: int) -> None:
    import numpy as np

    learned, firsts, lasts = batch.labels != IGNORED, batch.bounds[:-1], batch.bounds[1:] - 1
    goes_on = np.append(learned[1:], False)
    goes_on[lasts] = False  # the next token is another row's
    per_row = batch.learned
    found.names += batch.names
    found.lengths += batch.lengths.tolist()
    found.learned += int(per_row.sum())
    found.mute += _named(batch, per_row == 0)
    found.endless += _named(batch, batch.counted(learned & ~goes_on & (batch.ids != end)) > 0)
    found.begun_by_answer += _named(batch, learned[firsts])


def _named(batch: TokenBatch, wanted: "np.ndarray") -> list[str]:
    return [batch.names[i] for i in wanted.nonzero()[0]]


def _is_one_of(ids: "np.ndarray", wanted: Iterable[int]) -> "np.ndarray":
    import numpy as np

    return np.isin(ids, np.fromiter(wanted, dtype=ids.dtype))


def _end_token(chat: Chat) -> int:
    """The token with which the template ends an answer."""
    encoded = chat.encode([{"role": "user", "content": "x"}, {"role": "assistant", "content": "x"}])
    return [token for token, on in zip(encoded.input_ids, encoded.assistant_mask, strict=True) if on][-1]


class _ControlTokens:
    """How many control tokens the template writes for a row, told from a row of the same form with x for every text."""

    def __init__(self, chat: Chat, system_prompt: SystemPrompt):
        self.chat = chat
        self.system_prompt = system_prompt
        self.known: dict[tuple[Any, ...], int] = {}

    def of(self, row: TrainingRow) -> int:
        turns = [turn_fields(turn) for turn in row.messages]
        prompted = bool(prompt_of(self.system_prompt, row))
        form = tuple((role, bool(text.strip()), len(calls_in(calls))) for role, text, calls in turns)
        key = (prompted, form)
        if key not in self.known:
            neutral = [
                {"role": role, "content": "x" if text else "", "tool_calls": f"[{', '.join([CALL] * calls)}]"}
                for role, text, calls in form
            ]
            ids = self.chat.encode(neutral, "x" if prompted else None).input_ids
            self.known[key] = sum(token in self.chat.control.ids for token in ids)
        return self.known[key]


def _rounded(length: int) -> int:
    return -(-length // LENGTHS_COME_IN) * LENGTHS_COME_IN


def unrenderable(error: BadInput | BadConfiguration) -> Problem:
    """A row, or every row, that the chat template cannot write."""
    return Problem("row_cannot_be_rendered", str(error))
