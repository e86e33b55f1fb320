"""The MLflow model registry, as people browse it: one registered model per specialization, one version per adapter.

MLflow is a mirror. The adapter's digest is the identity, the history of champions is in `State`; both can rebuild this.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from ft_assets.errors import BadInput, Rerunnable
from ft_assets.lake import Artifact
from ft_assets.state import State

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ModelType = Literal["domain-specific", "task-optimised", "user-customised", "hybrid"]
CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous"
UPLOADED_AS = "adapter"
# What MLflow calls a server that is down, busy or broken; anything else is a mistake of ours, which no re-run mends.
PASSING_FAILURES = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")
# What a later evaluation of the same adapter replaces; the other tags say what the version is and never change.
RENEWED_TAGS = ("report_digest", "verdict", "dagster_run_id")


@dataclass(frozen=True)
class Registration:
    """Everything a model version says about itself; each field becomes a tag of that name."""

    specialization: str
    version_name: str
    type: ModelType
    snapshot: str
    adapter_digest: str
    base_digest: str
    recipe_digest: str
    report_digest: str
    verdict: str
    dagster_run_id: str
    created_at: datetime
    artifact_path: str

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the model version; `created_at` in ISO 8601."""
        return {**asdict(self), "created_at": self.created_at.isoformat()}


@dataclass(frozen=True)
class RegisteredVersion:
    """One model version as it stands in MLflow. `source` is where MLflow finds the adapter."""

    model: str
    version: int
    version_name: str
    adapter_digest: str
    source: str
    aliases: tuple[str, ...]


def registered_model_name(specialization: str) -> str:
    """The name of a line in MLflow: `ea-` and the specialization's id."""
    return f"ea-{specialization}"


def register(
    client: "MlflowClient", registration: Registration, adapter: Artifact, mlflow_run_id: str | None = None
) -> RegisteredVersion:
    """The version that holds this adapter, created on the first call, with the alias `candidate` on it.

    A second call with the same adapter digest returns the same version: its name and its time stay, its verdict and
    its report become the newest. `artifact_path` is the source; a server reached over HTTP refuses paths of this
    machine, so then the adapter is uploaded to the MLflow run (`mlflow_run_id`, or a run made for it).

    Raises:
        BadInput: the registration is about another adapter than the artifact.
        Rerunnable: MLflow does not answer; what was written stays, and a re-run finishes it.
    """
    if registration.adapter_digest != adapter.digest:
        raise BadInput(
            f"The registration names adapter {registration.adapter_digest[:12]} and the artifact is "
            f"{adapter.digest[:12]}: the tags would describe another model. Read both from the same lora_checkpoint."
        )
    name = registered_model_name(registration.specialization)
    with _reachable(client):
        _ensure_model(client, name, registration.specialization)
        version = find_version(client, name, adapter.digest)
        if version is None:
            version = _create(client, name, registration, adapter, mlflow_run_id)
        else:
            _renew(client, version, registration)
        client.set_registered_model_alias(name, CANDIDATE, str(version.version))
        return _as_registered(client.get_model_version(name, str(version.version)))


def find_version(client: "MlflowClient", name: str, adapter_digest: str) -> "ModelVersion | None":
    """The oldest version of a registered model that holds this adapter."""
    found = client.search_model_versions(f"name = '{name}' and tags.adapter_digest = '{adapter_digest}'")
    return min(found, key=lambda version: int(version.version), default=None)


def mirror_champion(client: "MlflowClient", state: State, specialization: str) -> dict[str, int | None]:
    """Sets the aliases `champion` and `previous` to what the promotion history says; alias to version number.

    None where nothing was promoted yet, or where MLflow does not know that model (its database was replaced): then the
    alias is taken away, because an alias on the wrong version is worse than none.

    Raises:
        Rerunnable: MLflow does not answer.
    """
    name, promotion = registered_model_name(specialization), state.champion(specialization)
    digests = {
        CHAMPION: promotion.model_digest if promotion else None,
        PREVIOUS: promotion.previous if promotion else None,
    }
    with _reachable(client):
        versions = {alias: find_version(client, name, digest) if digest else None for alias, digest in digests.items()}
        for alias, version in versions.items():
            if version is None:
                client.delete_registered_model_alias(name, alias)
            else:
                client.set_registered_model_alias(name, alias, str(version.version))
    return {alias: int(version.version) if version else None for alias, version in versions.items()}


@contextmanager
def _reachable(client: "MlflowClient") -> Iterator[None]:
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError, ConnectionError) as error:
        if isinstance(error, MlflowException) and error.error_code not in PASSING_FAILURES:
            raise
        raise Rerunnable(
            f"MLflow at {client.tracking_uri} failed: {str(error)[:300]}. The model itself is safe in the lake and is "
            "only not listed yet. Start MLflow (make dev) and materialize registered_model again."
        ) from error


def _ensure_model(client: "MlflowClient", name: str, specialization: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description=f"Adapters of the specialization {specialization}.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _create(
    client: "MlflowClient", name: str, registration: Registration, adapter: Artifact, mlflow_run_id: str | None
) -> "ModelVersion":
    source = registration.artifact_path
    if client.tracking_uri.startswith("http") and _is_local(source):
        mlflow_run_id = mlflow_run_id or _new_run(client, name)
        client.log_artifacts(mlflow_run_id, str(adapter.path), UPLOADED_AS)
        source = f"runs:/{mlflow_run_id}/{UPLOADED_AS}"
    created = client.create_model_version(
        name, source, mlflow_run_id, tags=registration.tags, description=registration.version_name
    )
    oldest = find_version(client, name, adapter.digest) or created
    if oldest.version != created.version:  # another process registered it in between
        client.delete_model_version(name, str(created.version))
    return oldest


def _is_local(source: str) -> bool:
    return "://" not in source or source.startswith("file:")


def _new_run(client: "MlflowClient", name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(name)
    run = client.create_run(experiment_id, run_name=f"register {name}")
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def _renew(client: "MlflowClient", version: "ModelVersion", registration: Registration) -> None:
    for key in RENEWED_TAGS:
        client.set_model_version_tag(version.name, str(version.version), key, registration.tags[key])


def _as_registered(version: "ModelVersion") -> RegisteredVersion:
    return RegisteredVersion(
        model=version.name,
        version=int(version.version),
        version_name=version.tags["version_name"],
        adapter_digest=version.tags["adapter_digest"],
        source=version.source,
        aliases=tuple(sorted(version.aliases)),
    )
