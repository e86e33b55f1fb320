"""What is wrong with a configuration, in words: the key, what was found, what is allowed."""

from collections.abc import Collection
from typing import Any

from pydantic import ValidationError

from ft_assets.training.problem import Problem, RecipeRefused
from ft_assets.training.recipe_aliases import TODAYS_NAMES

LONGEST_FOUND = 60
DESCRIBED = {
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "string_type": "a text (put it in quotes)",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}


def shown(value: object) -> str:
    """A value and its kind, `'sixteen' (text)`, cut where it is long."""
    text = repr(value)
    kind = {"str": "text", "dict": "keys with values", "NoneType": "nothing"}.get(type(value).__name__)
    return f"{text if len(text) <= LONGEST_FOUND else text[:LONGEST_FOUND] + '...'} ({kind or type(value).__name__})"


def allowed(wrong: Any) -> str:
    """What one of pydantic's complaints would have taken."""
    words = str(wrong["msg"]).removeprefix("Input should be ").removeprefix("String should ")
    return DESCRIBED.get(wrong["type"]) or words


def meant(key: str, known: Collection[str]) -> str | None:
    """The known name that an unknown one stands for: today's name of an old key, or the one that looks alike."""
    from difflib import get_close_matches  # only when something is wrong

    if (today := TODAYS_NAMES.get(key)) in known:
        return today
    return next(iter(get_close_matches(key, known, n=1)), None)


def problems_in(error: ValidationError, known: Collection[str], above: tuple[str, ...] = ()) -> list[Problem]:
    """The problems of a recipe that could not be made, each with its key under `above`."""
    found: list[Problem] = []
    for wrong in error.errors(include_url=False):
        key = (*above, *(str(part) for part in wrong["loc"]))
        cause = wrong.get("ctx", {}).get("error")
        place = ".".join(key)
        if isinstance(cause, RecipeRefused):
            found += [_moved(problem, key) for problem in cause.problems]
        elif wrong["type"] == "extra_forbidden":
            found.append(unknown_key(key, known))
        elif isinstance(cause, ValueError):
            found.append(Problem("value_not_allowed", f"{place}: {cause}", key=key))
        else:
            told = f"{place}: found {shown(wrong['input'])}, allowed: {allowed(wrong)}"
            found.append(Problem("value_not_allowed", told, key=key))
    return found


def unknown_key(key: tuple[str, ...], known: Collection[str]) -> Problem:
    """An unknown key, with the one that was probably meant or with all that may stand there."""
    close = meant(key[-1], known)
    hint = f"write {close}" if close else f"allowed here: {', '.join(known)}"
    return Problem("unknown_key", f"{'.'.join(key)}: unknown key; {hint}", key=key)


def _moved(problem: Problem, above: tuple[str, ...]) -> Problem:
    message = f"{'.'.join(above)}: {problem.message}" if above else problem.message
    return Problem(problem.code, message, problem.refuses, (*above, *problem.key))
