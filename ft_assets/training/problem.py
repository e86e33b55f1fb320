"""What is wrong with a recipe, under a name that stays, so that people, checks and tests can ask for it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One reason against a run. `code` is a stable name; `refuses` is false for what is said and stops nothing.

    `key` is where the cause was written, outermost part first; empty where nobody wrote it.
    """

    code: str
    message: str
    refuses: bool = True
    key: tuple[str, ...] = ()


class RecipeRefused(ValueError):
    """Knobs that cannot stand together. Pydantic reports it as text; `problems` keeps the names."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.message for problem in self.problems))
