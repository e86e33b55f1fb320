"""What a dossier is written from: the model's artifacts and the state database, read once. Nothing is guessed: what
cannot be read stands in `unknown`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ft_assets.errors import Erased, FtAssetsError
from ft_assets.lake import Lake
from ft_assets.state import Promotion, State
from ft_assets.state_approvals import Approval, approvals
from ft_assets.state_registry import Evaluated, Registered, evaluations, registrations
from ft_assets.state_taints import Taint, taints

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class AboutLine:
    """What the line's YAML file says: who it is for, its base by `BaseModelSpec.model_dump`, whether a person approves,
    and the licence or other right on which the logged answers are used, where somebody has written it down."""

    description: str
    base: Figures
    approval_required: bool
    data_licence: str = ""


@dataclass(frozen=True)
class DossierFacts:
    """Everything that a dossier tells of one registered version. Folders are None where an artifact is not there."""

    version: Registered
    line: AboutLine
    provenance: Figures
    received: Figures
    log: list[Figures]
    recipe: Figures
    counts: Figures
    report: Figures
    report_digest: str
    report_dir: Path | None
    spec_dir: Path | None
    card_dir: Path | None
    card: Figures
    decisions: list[Figures]
    evaluated: list[Evaluated]
    approvals: list[Approval]
    history: list[Promotion]
    tainted: list[Taint]
    names: Mapping[str, str]
    unknown: list[str] = field(default_factory=list)

    @property
    def is_champion(self) -> bool:
        """Whether the line's last change of champion was to this model."""
        return bool(self.history) and self.history[-1].model_digest == self.version.model_digest

    def name(self, digest: str | None) -> str:
        """What to call a model of the line."""
        return "nobody" if digest is None else self.names.get(digest, digest[:12])


def dossier_facts(
    lake: Lake, state: State, version: Registered, line: AboutLine, documents: Mapping[str, str] | None = None
) -> DossierFacts:
    """The facts about a version as they are now. `documents` maps training_spec and data_card to digests where the
    caller knows them; otherwise they are looked for among the stored ones.

    Raises:
        IncompleteArtifact: the adapter itself is damaged or gone; there is nothing to write a dossier of.
    """
    unknown: list[str] = []
    adapter = lake.artifact("adapter", version.model_digest).path
    judged = evaluations(state, version.specialization, version.model_digest)
    snapshot = _folder(lake, "snapshot", version.snapshot, unknown)
    report_digest = judged[-1].report_digest if judged else ""
    if not judged:
        unknown.append("No evaluation of this version is registered.")
    report_dir = _folder(lake, "report", report_digest, unknown) if judged else None
    given = documents or {}
    spec_dir = _document(lake, "training_spec", given, "training-spec.md", version.model_digest, unknown)
    card_dir = _document(lake, "data_card", given, "facts.json", version.snapshot, unknown)
    return DossierFacts(
        version=version,
        line=line,
        provenance=_json(adapter / "provenance.json", {}),
        received=_json(adapter / "received.json", {}),
        log=_last_stage(_json(adapter / "training_log.json", [])),
        recipe=_json(snapshot / "recipe.json", {}) if snapshot else {},
        counts=_json(snapshot / "counts.json", {}) if snapshot else {},
        report=_json(report_dir / "report.json", {}) if report_dir else {},
        report_digest=report_digest,
        report_dir=report_dir,
        spec_dir=spec_dir,
        card_dir=card_dir,
        card=_json(card_dir / "facts.json", {}) if card_dir else {},
        decisions=_json(spec_dir / "decisions.json", []) if spec_dir else [],
        evaluated=judged,
        approvals=approvals(state, version.specialization, version.model_digest),
        history=state.promotions(version.specialization),
        tainted=taints(state).get(version.model_digest, []),
        names={each.model_digest: each.version_name for each in registrations(state, version.specialization)},
        unknown=unknown,
    )


def _folder(lake: Lake, kind: str, digest: str, unknown: list[str]) -> Path | None:
    try:
        return lake.artifact(kind, digest).path
    except Erased:
        unknown.append(f"The {kind} {digest[:12]} was erased because a person in it asked to be forgotten.")
    except FtAssetsError:
        unknown.append(f"The {kind} {digest[:12]} is damaged or gone, so nothing is told from it.")
    return None


def _document(
    lake: Lake, kind: str, given: Mapping[str, str], file: str, names: str, unknown: list[str]
) -> Path | None:
    """The stored document that names this digest; of several the one with the smallest digest, so that all agree."""
    found = given.get(kind) or next(_that_name(lake, kind, file, names), None)
    if found is None:
        unknown.append(f"No {kind.replace('_', ' ')} about {names[:12]} is stored.")
        return None
    return _folder(lake, kind, found, unknown)


def _that_name(lake: Lake, kind: str, file: str, names: str) -> Iterator[str]:
    for digest in lake.artifacts(kind):
        try:
            path = lake.artifact(kind, digest).path / file
        except FtAssetsError:
            continue
        if path.is_file() and names in _without_the_last_one(path):
            yield digest


def _without_the_last_one(path: Path) -> str:
    """The text; of a data card without the snapshot that it compares with, which is another one."""
    if path.suffix != ".json":
        return path.read_text(encoding="utf-8")
    return str(_json(path, {}).get("snapshot"))


def _last_stage(log: Any) -> list[Figures]:
    return list(list(log.values())[-1] if isinstance(log, Mapping) else log)


def _json(path: Path, otherwise: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else otherwise
