"""Before anything is trained: could an equally good model pass the gate of each line, with the questions it has?"""

import json
from collections.abc import Mapping
from pathlib import Path

from ft_assets.evaluation.gate_power import power_problem
from ft_assets.evaluation.gate_rules import GENERAL_ABILITY, JUDGED, GateRules
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
    sizes = {JUDGED: _size(spec.evaluation.golden_set, spec.gate)}
    if spec.evaluation.general_ability:
        sizes[GENERAL_ABILITY] = _size(GENERAL_FILE, spec.gate)
    sizes |= {suite.name: _size(suite.file, spec.gate) for suite in spec.evaluation.suites}
    sizes |= {
        f"golden set of {name}": _size(other.evaluation.golden_set, other.gate)
        for name, other in lines.items()
        if _is_asked_its_questions(spec, other)
    }
    return power_problem(blocking_rules(spec), sizes, discordance)


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


def _size(place: Path | str | None, rules: GateRules) -> int:
    """Independent questions of a suite: its clusters, or its prompts where rows name none."""
    if not isinstance(place, Path) or not place.is_file():
        return rules.minimum_clusters
    clusters = set()
    for line in place.read_bytes().split(b"\n"):
        try:
            row = json.loads(line)
            prompt = [*row["messages"][:-1]] if row.get("messages") else row["input"]
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # an empty line, or no row at all: whoever reads the suite names it
        clusters.add(row.get("cluster_id") or json.dumps(prompt))
    return len(clusters)
