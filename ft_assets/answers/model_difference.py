"""What sets two models apart: the rows they learned from, what they were made with, and what they score."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ft_assets.answers.named_models import NamedModel
from ft_assets.answers.reported import candidate_rows, units
from ft_assets.answers.trained_rows import TrainedRow, trained_rows
from ft_assets.errors import BadInput, EvaluationIncomplete
from ft_assets.evaluation.score import RowScore
from ft_assets.lake import Lake
from ft_assets.state import State
from ft_assets.state_registry import evaluations

NOT_COMPARED = ("recipe_digest", "specialization")  # follow from what is compared


@dataclass(frozen=True)
class Compared:
    """One metric on one suite that both models answered. `estimate` is the second minus the first on the same rows,
    divided by it where `unit` is ratio, with its 95 % interval."""

    suite: str
    metric: str
    unit: str
    estimate: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class Difference:
    """`changed` maps a knob or a circumstance to (first, second). Rows are those of the train side."""

    first: NamedModel
    second: NamedModel
    removed: list[TrainedRow]
    added: list[TrainedRow]
    kept: int
    changed: dict[str, tuple[Any, Any]]
    compared: list[Compared]
    not_compared: str

    def as_dict(self) -> dict[str, Any]:
        """The same for machines."""
        return asdict(self)


def difference(state: State, lake: Lake, first: NamedModel, second: NamedModel) -> Difference:
    """What the second model has that the first has not, and the other way round.

    Raises:
        IncompleteArtifact, BadInput: the rows of one of them cannot be told; see `trained_rows`.
    """
    rows = [{(row.kind, row.row_id): row for row in trained_rows(lake, m.digest, ("train",))} for m in (first, second)]
    before, after = rows
    compared, not_compared = _compared(state, lake, first, second)
    return Difference(
        first=first,
        second=second,
        removed=[before[key] for key in sorted(set(before) - set(after))],
        added=[after[key] for key in sorted(set(after) - set(before))],
        kept=len(set(before) & set(after)),
        changed=_changed(_made_with(lake, first.digest), _made_with(lake, second.digest)),
        compared=compared,
        not_compared=not_compared,
    )


def _made_with(lake: Lake, digest: str) -> dict[str, Any]:
    text = (lake.artifact("adapter", digest).path / "provenance.json").read_text(encoding="utf-8")
    return dict(_flat({key: value for key, value in json.loads(text).items() if key not in NOT_COMPARED}))


def _flat(value: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{above}{key}.")
        else:
            yield f"{above}{key}", inner


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    keys = sorted({*before, *after})
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def _compared(state: State, lake: Lake, first: NamedModel, second: NamedModel) -> tuple[list[Compared], str]:
    """Both models' newest reports, paired row by row on the suites that both answered."""
    reports = [_newest_report(state, model) for model in (first, second)]
    if missing := [m.name for m, report in zip((first, second), reports, strict=True) if report is None]:
        return [], f"{' and '.join(missing)} has no recorded evaluation"
    ours, theirs = (candidate_rows(lake, str(report)) for report in reports)
    shared = [digest for digest in theirs if digest in ours]
    if not shared:
        return [], "no suite was answered by both, in reports that can be read row by row"
    names = units(lake, str(reports[1]))
    found = [
        compared
        for digest in shared
        for metric, unit in names.items()
        if (compared := _paired(theirs[digest][0], metric, unit, ours[digest][1], theirs[digest][1]))
    ]
    return found, "" if found else "their reports hold no points row by row"


def _newest_report(state: State, model: NamedModel) -> str | None:
    judged = evaluations(state, model.specialization, model.digest)
    return judged[-1].report_digest if judged else None


def _paired(
    suite: str, metric: str, unit: str, first: Sequence[RowScore], second: Sequence[RowScore]
) -> Compared | None:
    from ft_assets.evaluation.deciding.paired_points import paired_points
    from ft_assets.evaluation.statistics import perplexity_ratio, rate_difference

    both = {row.row_id for row in first if metric in row.points} & {r.row_id for r in second if metric in r.points}
    if not both:
        return None
    ratio = unit == "perplexity"
    compare = perplexity_ratio if ratio else rate_difference
    try:
        pairs = paired_points(second, first, metric)
        found = compare(pairs.candidate, pairs.other, pairs.possible, pairs.clusters)
    except (BadInput, EvaluationIncomplete):  # token counts of two tokenizers, a metric without possible points
        return None
    return Compared(suite, metric, "ratio" if ratio else unit, found.estimate, found.low, found.high, len(both))
