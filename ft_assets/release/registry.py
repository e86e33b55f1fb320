"""The MLflow model registry, as people browse it: one registered model per specialization, one version per adapter.

MLflow is a mirror. What is true stands in the state database and in the lake; `mirror.repair_mirror` writes it here,
again and again, so a server that was down or emptied gets everything later.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ft_assets.errors import Rerunnable
from ft_assets.lake import Artifact, Lake
from ft_assets.state_registry import Evaluated, Registered

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

UPLOADED_AS = "adapter"
LONGEST_TAG = 5_000  # what every MLflow takes
PASSWORD = re.compile(r"//[^/@\s]+@")  # of an address in a message
# What MLflow calls a server that is down, busy or broken; anything else is a mistake of ours, which no re-run mends.
PASSING_FAILURES = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")


@dataclass(frozen=True)
class VersionTags:
    """Everything a model version says about itself; each field becomes a tag of that name."""

    specialization: str
    version_name: str
    type: str
    snapshot: str
    adapter_digest: str
    base_digest: str
    recipe_digest: str
    trained_by: str
    created_at: datetime
    artifact_path: str
    report_digest: str = ""
    verdict: str = ""
    dagster_run_id: str = ""
    tainted: str = ""

    def as_tags(self) -> dict[str, str]:
        """The tags of the model version; `created_at` in ISO 8601, and none that is empty."""
        named = {**asdict(self), "created_at": self.created_at.isoformat()}
        return {name: str(value)[:LONGEST_TAG] for name, value in named.items() if value}


def tags_of(version: Registered, newest: Evaluated | None, artifact_path: str, tainted: str = "") -> VersionTags:
    """What MLflow is to say about a version: what it is, and what its newest report said."""
    return VersionTags(
        specialization=version.specialization,
        version_name=version.version_name,
        type=version.type,
        snapshot=version.snapshot,
        adapter_digest=version.model_digest,
        base_digest=version.base_digest,
        recipe_digest=version.recipe_digest,
        trained_by=version.trained_by,
        created_at=version.at,
        artifact_path=artifact_path,
        report_digest=newest.report_digest if newest else "",
        verdict=newest.summary if newest else "",
        dagster_run_id=newest.run_id if newest else "",
        tainted=tainted,
    )


def registered_model_name(specialization: str) -> str:
    """The name of a line in MLflow: `ea-` and the specialization's id."""
    return f"ea-{specialization}"


def artifact_location(lake: Lake, adapter_digest: str) -> str:
    """Where an adapter lies for everybody: its directory, or its s3:// address and not a copy in some cache."""
    root = lake.url if lake.url.startswith("s3://") else Path(lake.url).expanduser().resolve()
    return f"{root}/artifacts/adapter/{adapter_digest}"


def create_version(client: "MlflowClient", tags: VersionTags, adapter: Artifact) -> "ModelVersion":
    """The version that holds this adapter, made now; if another process was quicker, that one.

    `artifact_path` is the source; a server reached over HTTP refuses paths of this machine, so then the adapter is
    uploaded to a run made for it.
    """
    name, source, run_id = registered_model_name(tags.specialization), tags.artifact_path, None
    if client.tracking_uri.startswith("http") and "://" not in source:
        run_id = _new_run(client, name)
        client.log_artifacts(run_id, str(adapter.path), UPLOADED_AS)
        source = f"runs:/{run_id}/{UPLOADED_AS}"
    created = client.create_model_version(name, source, run_id, tags=tags.as_tags(), description=tags.version_name)
    oldest = min(versions_of(client, name, adapter.digest), key=lambda each: int(each.version), default=created)
    if oldest.version != created.version:
        client.delete_model_version(name, str(created.version))
    return oldest


def versions_of(client: "MlflowClient", name: str, adapter_digest: str | None = None) -> "list[ModelVersion]":
    """Every version of a registered model, or those that hold one adapter."""
    wanted = f" and tags.adapter_digest = '{adapter_digest}'" if adapter_digest else ""
    found, token = [], None
    while token != "":
        page = client.search_model_versions(f"name = '{name}'{wanted}", page_token=token)
        found += list(page)
        token = page.token or ""
    return found


def renew_tags(client: "MlflowClient", version: "ModelVersion", tags: VersionTags) -> bool:
    """Sets the tags that differ from what they should be; whether there was one."""
    wanted = tags.as_tags()
    differing = {name: value for name, value in wanted.items() if version.tags.get(name) != value}
    for name, value in differing.items():
        client.set_model_version_tag(version.name, str(version.version), name, value)
    return bool(differing)


def ensure_model(client: "MlflowClient", specialization: str) -> None:
    """The registered model of a line exists afterwards."""
    from mlflow.exceptions import MlflowException

    name = registered_model_name(specialization)
    try:
        client.create_registered_model(name, description=f"Adapters of the specialization {specialization}.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@contextmanager
def reachable(client: "MlflowClient") -> Iterator[None]:
    """Turns a server that does not answer into a failure that passes by itself.

    Raises:
        Rerunnable: MLflow does not answer; nothing is lost, the next repair of the mirror finishes it.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
        if isinstance(error, MlflowException) and error.error_code not in PASSING_FAILURES:
            raise
        failure = PASSWORD.sub("//", f"MLflow at {client.tracking_uri} failed: {str(error)[:300]}")
        raise Rerunnable(
            f"{failure}. Nothing is lost: versions and promotions stand in the state database, and the sensor "
            "registry_mirror writes them to MLflow when it answers again."
        ) from error


def _new_run(client: "MlflowClient", name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(name)
    run = client.create_run(experiment_id, run_name=f"register {name}")
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)
