"""Before anything is trained: could an equally good model pass the gate of each line, with the questions it has?"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from ft_assets.evaluation.deciding.gate_power import power_problem, unevenness_of
from ft_assets.evaluation.deciding.gate_rules import GENERAL_ABILITY, JUDGED, GateRules
from ft_assets.settings import PROJECT_ROOT
from ft_assets.specializations.specialization import Specialization
from ft_assets.training.catalogue import resolve

GENERAL_FILE = PROJECT_ROOT / "data" / "general_ability.jsonl"


def gate_problem(
    spec: Specialization, lines: Mapping[str, Specialization], discordance: Mapping[str, float] | None = None
) -> str | None:
    """Why the gate of a line cannot work with suites of these sizes, naming the sizes it needs; None where it can.

    `discordance` by "metric on suite" is what a report has seen (gate_power.observed_discordance), else it is assumed.

    A golden set or suite that is in the lake is not read here: the line's `minimum_clusters` stands in for its size.
    `lines` are all lines, for those that the adapter serves, too.
    """
    suites = {JUDGED: _clusters(spec.evaluation.golden_set, spec.gate)}
    if spec.evaluation.general_ability:
        suites[GENERAL_ABILITY] = _clusters(GENERAL_FILE, spec.gate)
    suites |= {suite.name: _clusters(suite.file, spec.gate) for suite in spec.evaluation.suites}
    suites |= {
        f"golden set of {name}": _clusters(other.evaluation.golden_set, other.gate)
        for name, other in lines.items()
        if _is_asked_its_questions(spec, other)
    }
    sizes = {name: len(clusters) for name, clusters in suites.items()}
    uneven = {name: unevenness_of(clusters) for name, clusters in suites.items()}
    return power_problem(blocking_rules(spec), sizes, discordance, uneven)


def _is_asked_its_questions(spec: Specialization, other: Specialization) -> bool:
    """Whether the models of a line are asked the golden set of another; a retired line's is asked of nobody."""
    has_questions = other.status == "active" and other.evaluation.golden_set is not None
    return spec.evaluation.interference and other.name != spec.name and has_questions


def not_blocking(spec: Specialization) -> dict[str, str]:
    """Suites whose guardrails only inform, and why."""
    if resolve(spec.base_model).source != "embedded":
        return {}
    return {GENERAL_ABILITY: "the embedded tiny model has next to no general ability that it could forget"}


def blocking_rules(spec: Specialization) -> GateRules:
    """The line's rules, without the guardrails that only inform here."""
    silent = not_blocking(spec)
    rails = tuple(
        rail.model_copy(update={"blocks": rail.blocks and rail.suite not in silent}) for rail in spec.gate.guardrails
    )
    return spec.gate.model_copy(update={"guardrails": rails})


def _clusters(place: Path | str | None, rules: GateRules) -> list[int]:
    """The rows of each independent question of a suite: of its clusters, or of its prompts where rows name none."""
    if not isinstance(place, Path) or not place.is_file():
        return [1] * rules.minimum_clusters
    rows_of: Counter[str] = Counter()
    for line in place.read_bytes().split(b"\n"):
        try:
            row = json.loads(line)
            prompt = [*row["messages"][:-1]] if row.get("messages") else row["input"]
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # an empty line, or no row at all: whoever reads the suite names it
        rows_of[row.get("cluster_id") or json.dumps(prompt)] += 1
    return list(rows_of.values())
