"""Why this model: what it was made from, how it was judged, who let it into use, and what it cost."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from ft_assets.answers.named_models import NamedModel, name_of
from ft_assets.answers.reported import Reported, reported
from ft_assets.answers.trained_rows import LEARNED, erased_note, interactions_of, trained_rows
from ft_assets.errors import FtAssetsError
from ft_assets.lake import Lake
from ft_assets.release.mirror import aliases_of
from ft_assets.release.registry import artifact_location
from ft_assets.state import Promotion, State
from ft_assets.state_approvals import Approval, approvals
from ft_assets.state_registry import Evaluated, Registered, evaluations, registrations
from ft_assets.state_taints import Taint, taints


@dataclass(frozen=True)
class Reign:
    """One time that the model became champion, over whom, and who took its place; None while it stands."""

    promotion: Promotion
    over: str | None
    until: Promotion | None


@dataclass(frozen=True)
class ModelAnswer:
    """Everything that is known of a model. `damage` says what is wrong with its files, `provenance` and `rows` are
    empty then. `rows` maps side and kind to (rows, interactions);
    `rows_erased` says that their texts were erased by request."""

    name: str
    digest: str
    specialization: str
    registered: Registered | None
    launched_by: str | None
    trained_at: datetime | None
    artifact: str
    damage: str
    tainted: list[Taint]
    aliases: list[str]
    provenance: Mapping[str, Any]
    rows: dict[str, dict[str, tuple[int, int]]]
    rows_problem: str
    rows_erased: str
    evaluations: list[Evaluated]
    report: Reported | None
    judged_against: dict[str, str]
    approvals: list[Approval]
    reigns: list[Reign]

    def as_dict(self) -> dict[str, Any]:
        """The same for machines."""
        return asdict(self)


def why_model(state: State, lake: Lake, model: NamedModel) -> ModelAnswer:
    """The answer, from state database and lake only. What cannot be read is told and not left out."""
    line, digest = model.specialization, model.digest
    trained = next((each for each in state.trained(line) if each.model_digest == digest), None)
    registered = next((each for each in registrations(state, line) if each.model_digest == digest), None)
    provenance, damage = _provenance(lake, digest)
    judged = evaluations(state, line, digest)
    reigns = _reigns(state, line, digest)
    evidence = judged[-1].report_digest if judged else reigns[-1].promotion.evidence if reigns else None
    rows, rows_problem, rows_erased = ({}, "", "") if damage else _rows(lake, digest)
    report = reported(lake, evidence) if evidence else None
    return ModelAnswer(
        name=model.name,
        digest=digest,
        specialization=line,
        registered=registered,
        launched_by=(registered.trained_by if registered else None) or (trained.by if trained else None),
        trained_at=trained.at if trained else None,
        artifact=artifact_location(lake, digest),
        damage=damage,
        tainted=taints(state).get(digest, []),
        aliases=sorted(alias for alias, named in aliases_of(state, line).items() if named == digest),
        provenance=provenance,
        rows=rows,
        rows_problem=rows_problem,
        rows_erased=rows_erased,
        evaluations=judged,
        report=report,
        judged_against=_judged_against(state, line, report),
        approvals=approvals(state, line, digest),
        reigns=reigns,
    )


def _provenance(lake: Lake, digest: str) -> tuple[Mapping[str, Any], str]:
    try:
        path = lake.artifact("adapter", digest).path
        return json.loads((path / "provenance.json").read_text(encoding="utf-8")), ""
    except (FtAssetsError, OSError, ValueError) as error:
        return {}, str(error)


def _rows(lake: Lake, digest: str) -> tuple[dict[str, dict[str, tuple[int, int]]], str, str]:
    try:
        found, erased = trained_rows(lake, digest), erased_note(lake, digest)
    except FtAssetsError as error:
        return {}, str(error), ""
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    for side in LEARNED:
        for kind in sorted({row.kind for row in found if row.side == side}):
            of_kind = [row for row in found if (row.side, row.kind) == (side, kind)]
            counts.setdefault(side, {})[kind] = (len(of_kind), len(interactions_of(of_kind)))
    return counts, "", erased


def _judged_against(state: State, line: str, report: Reported | None) -> dict[str, str]:
    """Side to the name of its model."""
    others = {side: digest for side, digest in report.models.items() if side != "candidate"} if report else {}
    return {side: name_of(state, line, digest) or digest for side, digest in others.items()}


def _reigns(state: State, line: str, digest: str) -> list[Reign]:
    history = state.promotions(line)
    return [
        Reign(promotion, name_of(state, line, promotion.previous), next(iter(history[place:]), None))
        for place, promotion in enumerate(history, start=1)
        if promotion.model_digest == digest
    ]
