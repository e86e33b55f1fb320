"""What is wrong with an answer whatever its scores. Judges and crowds love some of these texts all the same.

A fault is two functions of a file fault_*.py, both named in FAULTS: a test of columns that names the few suspects, and
the rule, which looks at one answer with its question and task. Adding one is the two functions and a line here.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import polars as pl

from ft_assets.curation.fault_answers import Answer, Answers, answers_of
from ft_assets.curation.fault_judge import addresses_the_judge, may_address_a_judge
from ft_assets.curation.fault_placeholder import may_be_placeholder, placeholder_text
from ft_assets.curation.fault_praise import empty_praise, may_be_praise
from ft_assets.curation.fault_refusal import may_refuse, refusal
from ft_assets.curation.fault_repeating import may_be_repeating, repeating
from ft_assets.curation.fault_restating import may_restate, restates_the_prompt
from ft_assets.curation.fault_truncated import may_be_truncated, truncated


class Fault(NamedTuple):
    """How a fault is found. `suspects`: Boolean per row, False for nearly all. `holds`: whether one answer has it."""

    suspects: Callable[[Answers], pl.Series]
    holds: Callable[[Answer], bool]

    @property
    def meaning(self) -> str:
        """One sentence for people: the first line of the rule's docstring."""
        return (self.holds.__doc__ or "").strip().split("\n")[0]


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        fault.holds.__name__: fault
        for fault in (
            Fault(may_refuse, refusal),
            Fault(may_be_truncated, truncated),
            Fault(may_be_repeating, repeating),
            Fault(may_be_praise, empty_praise),
            Fault(may_address_a_judge, addresses_the_judge),
            Fault(may_restate, restates_the_prompt),
            Fault(may_be_placeholder, placeholder_text),
        )
    }
)


def faults(
    answers: pl.Series, prompts: pl.Series, task_types: pl.Series, names: Sequence[str] = tuple(FAULTS)
) -> pl.Series:
    """The names of the faults of each answer (List[String], in the order of `names`), empty for nearly all.

    `prompts`: what each answer was given to, best the last user turn. `task_types`: null counts as free text. A null
    answer counts as empty, and has no fault: emptiness is a filter's matter.
    """
    columns = answers_of(answers, prompts, task_types)
    texts_and_tasks = (columns.texts, columns.prompts, task_types)
    found: dict[int, list[str]] = {}
    for name in names:
        suspects, holds = FAULTS[name]
        rows = suspects(columns).arg_true()
        for row, *answer in zip(rows, *(each.gather(rows) for each in texts_and_tasks), strict=True):
            if holds(Answer(*answer)):
                found.setdefault(row, []).append(name)
    kinds = sorted(set(map(tuple, found.values())))
    lists = pl.Series("faults", [[], *map(list, kinds)], dtype=pl.List(pl.String))
    places = np.zeros(len(answers), np.uint32)
    for row, its_names in found.items():
        places[row] = kinds.index(tuple(its_names)) + 1
    return lists.gather(pl.Series(places))
