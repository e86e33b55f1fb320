"""Which conversations the filters have to look at: most can break none of them, and whole columns tell which."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import polars as pl

from ft_assets.curation.rules import MAY_FOLLOW, CurationRules
from ft_assets.curation.turns import starts

_ROLES = ("system", "user", "assistant", "tool")
_SYSTEM, _USER, _ASSISTANT, _TOOL, _OTHER, _CALLING, _NOBODY = range(7)
_NAMES = {
    _SYSTEM: "system",
    _USER: "user",
    _ASSISTANT: "assistant",
    _TOOL: "tool",
    _CALLING: "assistant with tool calls",
}
_FOLLOWS = np.array(
    [[role in MAY_FOLLOW.get(_NAMES.get(before), ()) for role in _ROLES] + [False] for before in range(7)]
)


@dataclass(frozen=True)
class TurnColumns:
    """The turns of conversations that have one or more: per turn `row`, `role` (a code), `says` (its characters without
    blanks around them) and `calls` a tool or not; per conversation `last`, the place of its last turn, and its task.
    """

    row: np.ndarray
    role: np.ndarray
    says: np.ndarray
    calls: np.ndarray
    last: np.ndarray
    tasks: pl.Series

    def rows_of(self, turns: np.ndarray) -> np.ndarray:
        """Boolean per conversation, from Boolean per turn: whether any of its turns is one."""
        found = np.zeros(len(self.last), bool)
        found[self.row[turns]] = True
        return found


def suspects(turns: pl.DataFrame, tasks: pl.Series, rules: CurationRules) -> np.ndarray:
    """Boolean per conversation: False says for certain that no filter of `rules` rejects it.

    `turns` are the flat turns of as many conversations as `tasks` names a task for. A filter that has no twin here,
    such as one of your own, looks at every conversation.
    """
    places = starts(turns, len(tasks))
    found = places[1:] == places[:-1]
    if any(name not in SUSPECTS for name in rules.filters) or found.any():
        return np.ones(len(tasks), bool)
    roles = turns["role"].replace_strict(_ROLES, range(4), default=_OTHER, return_dtype=pl.UInt8).to_numpy()
    columns = TurnColumns(
        turns["row"].to_numpy(),
        roles,
        turns["content"].str.strip_chars().str.len_chars().to_numpy(),
        (turns["tool_calls"] != "").fill_null(False).to_numpy(),
        places[1:] - 1,
        tasks,
    )
    for name in rules.filters:
        found |= SUSPECTS[name](columns, rules)
    return found


def _ends_without_answer(turns: TurnColumns, rules: CurationRules) -> np.ndarray:
    return turns.role[turns.last] != _ASSISTANT


def _empty_answer(turns: TurnColumns, rules: CurationRules) -> np.ndarray:
    return (turns.says[turns.last] == 0) & ~turns.calls[turns.last]


def _no_user_turn(turns: TurnColumns, rules: CurationRules) -> np.ndarray:
    return ~turns.rows_of(turns.role == _USER)


def _empty_turn(turns: TurnColumns, rules: CurationRules) -> np.ndarray:
    return turns.rows_of((turns.says == 0) & (turns.role != _TOOL) & ~turns.calls)


def _turns_out_of_order(turns: TurnColumns, rules: CurationRules) -> np.ndarray:
    spoke = np.where(turns.calls & (turns.role == _ASSISTANT), _CALLING, turns.role)
    before = np.concatenate([[_NOBODY], spoke[:-1]])
    before[turns.last[:-1] + 1] = _NOBODY
    return turns.rows_of(~_FOLLOWS[before, turns.role])


def _answer_too_short(turns: TurnColumns, rules: CurationRules) -> np.ndarray:
    needed = {task: rules.shortest_answer_chars(task) for task in turns.tasks.unique()}
    least = turns.tasks.replace_strict(needed, return_dtype=pl.Int64).to_numpy()
    return (turns.says[turns.last] < least) & ~turns.calls[turns.last]


SUSPECTS: Mapping[str, Callable[[TurnColumns, CurationRules], np.ndarray]] = MappingProxyType(
    {
        twin.__name__[1:]: twin
        for twin in (
            _ends_without_answer,
            _empty_answer,
            _no_user_turn,
            _empty_turn,
            _turns_out_of_order,
            _answer_too_short,
        )
    }
)
