"""What a model line takes from the lake, and whether it trains at all: one answer for assets, sensors and people."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft_assets.lake import Lake
from ft_assets.specializations.specialization import Specialization
from ft_assets.state import State

if TYPE_CHECKING:
    from ft_assets.dataset.golden import GoldenRow


def why_skipped(spec: Specialization) -> str | None:
    """Why this line trains nothing, or None."""
    if spec.architecture == "rag-only":
        return "architecture is rag-only: this line answers from retrieval, nothing is trained"
    if not spec.enabled:
        return "enabled is false"
    return None


def choice_of(lake: Lake, state: State, spec: Specialization, split_key: str) -> dict[str, Any]:
    """What decides which rows a line's snapshot takes: arguments of `dataset.snapshot.choose`."""
    from ft_assets.dataset.known_ids import known_ids

    last = state.last_trained(spec.name)
    return {
        "selector": spec.select,
        "split_key": split_key,
        "fractions": spec.split,
        "golden": golden_of(spec, lake),
        "rules": spec.rules,
        "ledger": state.sides(spec.name),
        "previous": known_ids(lake, last.snapshot) if last else (),
    }


def golden_of(spec: Specialization, lake: Lake) -> "list[GoldenRow]":
    """The line's golden set, from its file or from the lake; empty where it has none."""
    from ft_assets.dataset.golden import golden_rows

    place = spec.evaluation.golden_set
    if place is None:
        return []
    if key := spec.evaluation.golden_lake_key:
        return golden_rows(lake.read_file(key), str(place), spec.evaluation.golden_sha256)
    return golden_rows(Path(place), None, spec.evaluation.golden_sha256)
