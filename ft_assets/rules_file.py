"""The rules of an installation: one YAML file with a section per stage, or each stage's defaults without one."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ft_assets.errors import BadConfiguration

SECTIONS = ("ingest", "curation", "judge", "preferences", "review", "retention")
Rules = TypeVar("Rules", bound=BaseModel)


def read_rules(path: Path | None, section: str, model: type[Rules]) -> Rules:
    """The rules in one section of the file at `path`; what is left out, and None, has the model's defaults.

    Raises:
        BadConfiguration: the file is not there, is no YAML mapping of these sections, or holds an unknown or impossible
            value; names file, key and what is allowed.
    """
    content = _sections(path).get(section) if path else None
    try:
        return model.model_validate(content or {})
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False))
        raise BadConfiguration(
            f"The section {section} of {path} cannot be used: {'; '.join(problems)}. "
            f"Keys: {', '.join(model.model_fields)}. Nothing was read or written."
        ) from error


def _sections(path: Path) -> dict[str, object]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadConfiguration(
            f"The rules {path} cannot be read: {error}. Mend it, or unset FT_ASSETS_RULES."
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not content.keys() <= set(SECTIONS):
        found = f"the keys {sorted(map(str, content))}" if isinstance(content, dict) else f"a {type(content).__name__}"
        raise BadConfiguration(f"The rules {path} hold {found}; wanted: the sections {' and '.join(SECTIONS)}.")
    return content
