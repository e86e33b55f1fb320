"""Makes MLflow say what the state database says, whatever was missing, changed or lost there."""

import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ft_assets.errors import IncompleteArtifact
from ft_assets.lake import Lake
from ft_assets.release.registry import (
    artifact_location,
    create_version,
    ensure_model,
    reachable,
    registered_model_name,
    renew_tags,
    tags_of,
    versions_of,
)
from ft_assets.state import State
from ft_assets.state_registry import Evaluated, Registered, evaluations, registrations
from ft_assets.state_taints import taints

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous"
ALIASES = (CANDIDATE, CHAMPION, PREVIOUS)
ANSWER_SECONDS = 3


@dataclass
class Repaired:
    """What was not in MLflow as it should be: names of versions made and renewed, aliases that moved.

    `problems` are versions that cannot be shown, because their adapter is absent or damaged.
    """

    created: list[str] = field(default_factory=list)
    renewed: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def in_words(self) -> str:
        """One line for a log."""
        parts = [f"{what}: {', '.join(names)}" for what, names in vars(self).items() if names]
        return "; ".join(parts) or "MLflow says what the state database says"


def repair_mirror(client: "MlflowClient", state: State, lake: Lake, specializations: Iterable[str]) -> Repaired:
    """Makes what is missing of the registered models, versions, tags and aliases of these lines, and nothing twice.

    A version is made from its verified adapter. Other models and versions in that MLflow are left alone, but an alias
    of ours never stays on a version that the history does not name.

    Raises:
        Rerunnable: MLflow does not answer; what was written stays, the next call writes the rest.
    """
    repaired, tainted = Repaired(), taints(state)
    reasons = {digest: "; ".join(taint.reason for taint in found) for digest, found in tainted.items()}
    with reachable(client):
        for specialization in specializations:
            _repair_line(client, state, lake, specialization, reasons, repaired)
    return repaired


def aliases_of(state: State, specialization: str) -> dict[str, str | None]:
    """Alias to model digest: the candidate is the model evaluated last, the champion and who fell by it are those of
    the history; None where there is none."""
    judged, champion = evaluations(state, specialization), state.champion(specialization)
    return {
        CANDIDATE: judged[-1].model_digest if judged else None,
        CHAMPION: champion.model_digest if champion else None,
        PREVIOUS: champion.previous if champion else None,
    }


def stamp(state: State, specializations: Iterable[str]) -> str:
    """Changes whenever something happened that MLflow has to show: nothing is ever taken from these histories."""
    lines = [
        (line, len(registrations(state, line)), len(evaluations(state, line)), len(state.promotions(line)))
        for line in specializations
    ]
    return f"{lines} {sum(map(len, taints(state).values()))}"


def answers(uri: str, seconds: float = ANSWER_SECONDS) -> bool:
    """Whether anything answers there soon, so that a server that is down costs these seconds and no more."""
    if not uri.startswith(("http://", "https://")):
        return True
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=seconds):
            return True
    except urllib.error.HTTPError as answer:  # who says no is there, whatever stands in front of it
        return answer.code < 500
    except (OSError, ValueError):
        return False


def _repair_line(
    client: "MlflowClient",
    state: State,
    lake: Lake,
    specialization: str,
    tainted: dict[str, str],
    repaired: Repaired,
) -> None:
    wanted = registrations(state, specialization)
    if not wanted:
        return
    ensure_model(client, specialization)
    newest = {each.model_digest: each for each in evaluations(state, specialization)}
    known: dict[str, ModelVersion] = {}
    for version in versions_of(client, registered_model_name(specialization)):
        if digest := version.tags.get("adapter_digest"):
            known[digest] = min(known.get(digest, version), version, key=lambda each: int(each.version))
    for row in wanted:
        found = known.get(row.model_digest)
        made = _repair_version(client, lake, row, newest.get(row.model_digest), tainted, found, repaired)
        if made is not None:
            known[row.model_digest] = made
    _repair_aliases(client, state, specialization, {digest: str(v.version) for digest, v in known.items()}, repaired)


def _repair_version(
    client: "MlflowClient",
    lake: Lake,
    row: Registered,
    newest: Evaluated | None,
    tainted: dict[str, str],
    found: "ModelVersion | None",
    repaired: Repaired,
) -> "ModelVersion | None":
    location = artifact_location(lake, row.model_digest)
    tags = tags_of(row, newest, location, tainted.get(row.model_digest, ""))
    if found is not None:
        if renew_tags(client, found, tags):
            repaired.renewed.append(row.version_name)
        return found
    try:
        adapter = lake.artifact("adapter", row.model_digest)
    except IncompleteArtifact as damage:
        repaired.problems.append(f"{row.version_name}: {damage}")
        return None
    repaired.created.append(row.version_name)
    return create_version(client, tags, adapter)


def _repair_aliases(
    client: "MlflowClient", state: State, specialization: str, versions: dict[str, str], repaired: Repaired
) -> None:
    name = registered_model_name(specialization)
    now = {alias: str(version) for alias, version in client.get_registered_model(name).aliases.items()}
    for alias, digest in aliases_of(state, specialization).items():
        version = versions.get(digest) if digest else None
        if version == now.get(alias):
            continue
        if version is None:  # an alias on the wrong version is worse than none
            client.delete_registered_model_alias(name, alias)
        else:
            client.set_registered_model_alias(name, alias, version)
        repaired.aliases.append(f"{name}@{alias} to {version or 'nobody'}")
