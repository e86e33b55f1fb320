"""Dossiers in MLflow: every version has one, and those in use have today's."""

from typing import TYPE_CHECKING

from ft_assets.errors import IncompleteArtifact
from ft_assets.lake import Lake
from ft_assets.release.dossier import DIGEST_TAG, attach_dossier, put_dossier
from ft_assets.release.dossier_facts import AboutLine
from ft_assets.release.mirror import aliases_of
from ft_assets.release.registry import reachable, registered_model_name, versions_of
from ft_assets.state import State
from ft_assets.state_registry import registrations

if TYPE_CHECKING:
    from mlflow import MlflowClient


def mirror_dossiers(
    client: "MlflowClient", lake: Lake, state: State, specialization: str, line: AboutLine
) -> list[str]:
    """Writes and attaches the dossiers that MLflow lacks, and anew those of candidate, champion and previous, whose
    story goes on; names of the versions whose dossier changed there. A version whose adapter is damaged is left out.

    Raises:
        Rerunnable: MLflow does not answer; the next call writes the rest.
    """
    name, changed = registered_model_name(specialization), []
    in_use = set(aliases_of(state, specialization).values())
    with reachable(client):
        shown = {each.tags.get("adapter_digest"): each.tags.get(DIGEST_TAG) for each in versions_of(client, name)}
        for version in registrations(state, specialization):
            digest = version.model_digest
            if digest not in shown or (shown[digest] and digest not in in_use):
                continue
            try:
                dossier = put_dossier(lake, state, specialization, digest, line)
            except IncompleteArtifact:
                continue  # the mirror names it among its problems
            if dossier.digest != shown[digest]:
                attach_dossier(client, name, digest, dossier)
                changed.append(version.version_name)
    return changed
