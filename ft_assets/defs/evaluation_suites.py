from pathlib import Path
from typing import TYPE_CHECKING

from ft_assets.defs.conventions import SPECIALIZATIONS
from ft_assets.errors import MissingInput
from ft_assets.lake import Lake
from ft_assets.specializations.choice import golden_of
from ft_assets.specializations.evaluation_settings import OwnSuite, lake_key
from ft_assets.specializations.loader import Specialization
from ft_assets.system_prompts import SystemPrompt

if TYPE_CHECKING:
    from ft_assets.evaluation.suites import Suite


def suites_of(lake: Lake, spec: Specialization, snapshot: Path) -> "list[Suite]":
    """What a line's models are asked; the first suite decides: the golden set, or the eval side where there is none.

    Raises:
        MissingInput: neither holds a row, so nothing could be decided.
    """
    from ft_assets.dataset.rows import read_side
    from ft_assets.evaluation.general_ability import general_suite
    from ft_assets.evaluation.suites import golden_suite, interference_suite, snapshot_suite

    prompt = spec.system_prompt.as_written()
    suites = [
        golden_suite(golden_of(spec, lake), prompt, only_role(spec)),
        snapshot_suite(read_side(snapshot, "eval"), prompt),
    ]
    suites = [suite for suite in suites if suite.items]
    if not suites:
        raise MissingInput(
            f"{spec.name} has no golden set and its snapshot no eval side, so a candidate could not be judged. Name a "
            "golden_set in the specialization, or collect more rows and materialize train_eval_split again."
        )
    suites += [_own(lake, suite, prompt) for suite in spec.evaluation.suites]
    if spec.evaluation.general_ability:
        suites.append(general_suite())
    if spec.evaluation.interference:
        suites += [
            interference_suite(other.name, rows, other.system_prompt.as_written(), only_role(other))
            for other in SPECIALIZATIONS.values()
            if other.name != spec.name and other.status == "active" and (rows := golden_of(other, lake))
        ]
    return suites


def only_role(spec: Specialization) -> str | None:
    """Whose prompt a golden row is asked with that names no role."""
    return spec.select.roles[0] if len(spec.select.roles) == 1 else None


def _own(lake: Lake, suite: OwnSuite, prompt: SystemPrompt) -> "Suite":
    from ft_assets.evaluation.suite_files import suite_from_file

    source = lake.read_file(key) if (key := lake_key(suite.file)) else Path(suite.file)
    return suite_from_file(source, prompt, suite.name, sha256=suite.sha256)
