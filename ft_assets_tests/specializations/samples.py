"""What the tests of model lines are made from: a smallest YAML file, and what the loader says to a longer one."""

from pathlib import Path

import pytest

import ft_assets
from ft_assets.errors import BadConfiguration
from ft_assets.specializations.loader import Specialization, load_specializations

ROOT = Path(ft_assets.__file__).parent.parent
SHIPPED = ROOT / "ft_assets/specializations"
LINE = """\
name: qa-engineer
description: Writes test cases.
select:
  roles: [qa-engineer]
base_model: tiny-base
"""


def refusal(directory: Path) -> str:
    with pytest.raises(BadConfiguration) as raised:
        load_specializations(directory, ROOT)
    return str(raised.value)


def with_line(directory: Path, extra: str) -> Path:
    """A directory with one specialization that has `extra` from line 6 on."""
    (directory / "qa-engineer.yaml").write_text(LINE + extra)
    return directory


def loaded(directory: Path, extra: str = "") -> Specialization:
    return load_specializations(with_line(directory, extra), ROOT)["qa-engineer"]
