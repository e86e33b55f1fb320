"""Reads the YAML files of the model lines, and says everything that is wrong with them at once.

Read when definitions load, so it imports pydantic and yaml only.
"""

import hashlib
import json
import logging
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from ft_assets.errors import BadConfiguration
from ft_assets.specializations.evaluation_settings import PROJECT_ROOT
from ft_assets.specializations.gate_check import gate_problem
from ft_assets.specializations.older_form import in_todays_form
from ft_assets.specializations.specialization import Specialization
from ft_assets.training.recipe_words import allowed, meant, shown

log = logging.getLogger(__name__)
Key = tuple[int | str, ...]  # where a value stands: ("recipe", "r") is recipe.r


def load_specializations(directory: Path, project_root: Path) -> dict[str, Specialization]:
    """The model lines of `directory` (*.yaml, *.yml), by name and sorted by it; relative paths start at `project_root`.

    Raises:
        BadConfiguration: there is no file, or any of them cannot be used; the message lists every problem of every
            file with line, key, what was found and what is allowed. Mend the files and reload the code location.
    """
    paths = sorted(path for path in directory.glob("*.y*ml") if path.suffix in (".yaml", ".yml"))
    if not paths:
        raise BadConfiguration(
            f"{directory} holds no specialization (*.yaml), so there would be no model line at all. "
            "Add a file there, or point FT_ASSETS_SPECIALIZATIONS at the directory that has them."
        )
    loaded: dict[str, Specialization] = {}
    home: dict[str, Path] = {}
    problems: list[str] = []
    for path in paths:
        spec, complaints = _read(path, project_root)
        problems += complaints
        if spec is None:
            continue
        if spec.name in home:
            problems.append(f"{path.name}: name: {spec.name!r} is already the name of {home[spec.name].name}")
        home.setdefault(spec.name, path)
        loaded[spec.name] = spec
    if not problems:
        found = {name: gate_problem(spec, loaded) for name, spec in loaded.items()}
        problems = [f"{home[name].name}: gate: {problem}" for name, problem in found.items() if problem]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise BadConfiguration(
            f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in the specializations of {directory}, so no "
            f"model line was loaded:\n{listed}\nMend them and reload the code location."
        )
    return dict(sorted(loaded.items()))


def recipe_digest(spec: Specialization) -> str:
    """SHA-256 over everything in a specialization that changes the model: data choice, base, approach and recipe.

    Not over its name, trigger, evaluation, gate and compute: they change when it runs and how it is judged.
    """
    changing = {
        "architecture": spec.architecture,
        "approach": spec.approach,
        "base_model": spec.base_model,
        "recipe": spec.recipe.digest(),
        "rules": spec.rules.model_dump(mode="json"),
        "select": spec.select.model_dump(mode="json"),
        "split": spec.split.model_dump(),
        "system_prompt": spec.system_prompt.as_written(),
    }
    return hashlib.sha256(json.dumps(changing, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _read(path: Path, project_root: Path) -> tuple[Specialization | None, list[str]]:
    """The model line of one file, or None, and what is wrong with the file."""
    try:
        raw, lines, problems = _parse(path)
    except (OSError, yaml.YAMLError, ValueError) as error:
        return None, [f"{path.name}{_mark(error)}: not readable as YAML: {_first_line(error)}"]
    if not isinstance(raw, dict):
        found = "nothing" if raw is None else shown(raw)
        return None, [f"{path.name}: found {found}, allowed: keys with values, at least {', '.join(_required())}"]
    raw, source = in_todays_form(raw)
    if source is not None:
        problems += [f"{path.name}{_line(lines, wrong.key)}: {wrong.message}" for wrong in source.problems]
        log.warning("%s: %s is an older form: %s", path.name, source.root, "; ".join(source.notes))
    spec = None
    try:
        spec = Specialization.model_validate(raw, context={PROJECT_ROOT: project_root})
    except ValidationError as error:
        found_wrong = error.errors(include_url=False)
        for wrong in found_wrong:
            written = source.written_key(wrong["loc"]) if source else wrong["loc"]
            problems.append(f"{path.name}{_line(lines, written)}: {_complaint(wrong)}")
    name = raw.get("name")
    if isinstance(name, str) and name != path.stem:
        problems.append(
            f"{path.name}{_line(lines, ('name',))}: name: found {name!r}, allowed: {path.stem!r}, the file's own name"
        )
    return spec, problems


# ---- YAML with lines -------------------------------------------------------------------------------------------------
def _parse(path: Path) -> tuple[Any, dict[Key, int], list[str]]:
    """The file's value, the line of each key, and the keys that occur twice (YAML would keep the last silently)."""
    loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
    try:
        node = loader.get_single_node()
        entries = list(_entries(node, (), set()))  # before construction, which resolves merge keys in place
        value = loader.construct_document(node) if node is not None else None
    finally:
        loader.dispose()
    lines: dict[Key, int] = {}
    problems = []
    for key, line in entries:
        if lines.setdefault(key, line) != line:
            problems.append(f"{path.name}:{line}: {_dotted(key)}: found twice, first in line {lines[key]}; keep one")
    return value, lines, problems


def _entries(node: yaml.Node | None, key: Key, above: set[int]) -> Iterator[tuple[Key, int]]:
    """Key and line (from 1) of everything under a node; an alias into its own parents is not followed."""
    if node is None or id(node) in above:
        return
    pairs: Sequence[tuple[Hashable, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        pairs = [(name.value, name, value) for name, value in node.value if isinstance(name, yaml.ScalarNode)]
    elif isinstance(node, yaml.SequenceNode):
        pairs = [(position, value, value) for position, value in enumerate(node.value)]
    for name, place, value in pairs:
        inner = (*key, name)
        yield inner, place.start_mark.line + 1  # type: ignore[misc]  # names of scalar nodes are text
        yield from _entries(value, inner, above | {id(node)})  # type: ignore[arg-type]


def _line(lines: dict[Key, int], key: Key) -> str:
    """`:12` for the innermost part of a key that stands in the file."""
    inside = next((key[:size] for size in range(len(key), 0, -1) if key[:size] in lines), None)
    return f":{lines[inside]}" if inside else ""


def _mark(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark is not None else ""


def _first_line(error: Exception) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0]


# ---- what is wrong, in words -----------------------------------------------------------------------------------------
def _complaint(wrong: Any) -> str:
    """Key, what was found, what is allowed."""
    key, kind = wrong["loc"], wrong["type"]
    if kind == "extra_forbidden":
        return _unknown_key(key)
    if kind == "missing":
        return f"{_dotted(key)}: missing; a specialization has at least {', '.join(_required())}"
    if kind == "value_error":
        return f"{_dotted(key)}: {wrong['ctx']['error']}"
    return f"{_dotted(key)}: found {shown(wrong['input'])}, allowed: {allowed(wrong)}"


def _unknown_key(key: Key) -> str:
    """An unknown key with those that may stand there, and the one that was probably meant."""
    siblings = list(_model_at(key[:-1]).model_fields)
    wanted = str(key[-1])
    elsewhere = (_dotted(other) for other in _every_key(Specialization, ()) if other[-1] == wanted)
    close = meant(wanted, siblings) or next(elsewhere, None)
    hint = f" Did you mean {close}?" if close else ""
    return f"{_dotted(key)}: unknown key, allowed here: {', '.join(siblings)}.{hint}"


def _model_at(key: Key) -> type[BaseModel]:
    model: type[BaseModel] = Specialization
    for part in key:
        kind = model.model_fields[str(part)].annotation
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            break  # cannot be: only models forbid unknown keys
        model = kind
    return model


def _every_key(model: type[BaseModel], above: Key) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        yield (*above, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _every_key(field.annotation, (*above, name))


def _required() -> list[str]:
    return [name for name, field in Specialization.model_fields.items() if field.is_required()]


def _dotted(key: Key) -> str:
    return ".".join(str(part) for part in key if part != "[key]")  # pydantic's mark on the keys of a mapping
