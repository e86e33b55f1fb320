import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from ft_assets.errors import BadInput, Rerunnable
from ft_assets.lake import Artifact, Lake
from ft_assets.release.registry import Registration, find_version, mirror_champion, register
from ft_assets.state import State

pytestmark = pytest.mark.service
LINE, NAME = "qa-engineer", "ea-qa-engineer"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty MLflow database; its tables take seconds to make, so the tests copy it."""
    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    with pytest.MonkeyPatch.context() as environment:
        for name, value in QUIET.items():
            environment.setenv(name, value)
        client_of(f"sqlite:///{path}").search_registered_models()
        yield path


def client_of(uri: str):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@pytest.fixture
def client(database: Path, tmp_path: Path):
    own = tmp_path / "mlflow.db"
    own.write_bytes(database.read_bytes())
    return client_of(f"sqlite:///{own}")


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path / 'state.db'}")


def adapter(tmp_path: Path, weights: str = "one") -> Artifact:
    folder = tmp_path / f"adapter-{weights}"
    folder.mkdir(exist_ok=True)
    (folder / "adapter_model.safetensors").write_text(weights)
    return Lake(str(tmp_path / "lake")).put_artifact("adapter", folder)


def registration(adapter: Artifact, number: int = 1) -> Registration:
    return Registration(
        specialization=LINE,
        version_name=f"ea-qa-engineer-tiny-base-v1.{number - 1}-20261121",
        type="domain-specific",
        snapshot="snap",
        adapter_digest=adapter.digest,
        base_digest="base",
        recipe_digest="recipe",
        report_digest="report",
        verdict="promote: +0.4",
        dagster_run_id="run",
        created_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
        artifact_path=str(adapter.path),
    )


def test_a_version_carries_everything_that_explains_it(client, tmp_path: Path):
    made = adapter(tmp_path)
    version = register(client, registration(made), made)
    assert (version.model, version.version, version.aliases) == (NAME, 1, ("candidate",))
    stored = client.get_model_version_by_alias(NAME, "candidate")
    assert stored.source == str(made.path)
    assert stored.tags == {
        "specialization": LINE,
        "version_name": "ea-qa-engineer-tiny-base-v1.0-20261121",
        "type": "domain-specific",
        "snapshot": "snap",
        "adapter_digest": made.digest,
        "base_digest": "base",
        "recipe_digest": "recipe",
        "report_digest": "report",
        "verdict": "promote: +0.4",
        "dagster_run_id": "run",
        "created_at": "2026-11-21T12:00:00+00:00",
        "artifact_path": str(made.path),
    }


def test_the_same_adapter_is_registered_once_and_keeps_its_name(client, tmp_path: Path):
    made = adapter(tmp_path)
    first = register(client, registration(made), made)
    again = replace(registration(made, 2), verdict="hold: +0.1", report_digest="newer", created_at=datetime.now(UTC))
    assert register(client, again, made) == first
    stored = find_version(client, NAME, made.digest)
    assert (stored.tags["verdict"], stored.tags["report_digest"]) == ("hold: +0.1", "newer")
    assert stored.tags["created_at"] == "2026-11-21T12:00:00+00:00"


def test_the_candidate_is_the_adapter_registered_last(client, tmp_path: Path):
    old, new = adapter(tmp_path, "one"), adapter(tmp_path, "two")
    register(client, registration(old), old)
    assert register(client, registration(new, 2), new).version == 2
    assert client.get_model_version_by_alias(NAME, "candidate").tags["adapter_digest"] == new.digest
    assert register(client, registration(old), old).aliases == ("candidate",)


def test_champion_and_previous_mirror_the_history(client, state: State, tmp_path: Path):
    old, new = adapter(tmp_path, "one"), adapter(tmp_path, "two")
    register(client, registration(old), old)
    register(client, registration(new, 2), new)
    assert mirror_champion(client, state, LINE) == {"champion": None, "previous": None}
    state.promote(LINE, old.digest, None, "a test", "better", "report")
    assert mirror_champion(client, state, LINE) == {"champion": 1, "previous": None}
    state.promote(LINE, new.digest, old.digest, "a test", "better", "report")
    assert mirror_champion(client, state, LINE) == {"champion": 2, "previous": 1}
    assert client.get_model_version_by_alias(NAME, "champion").tags["adapter_digest"] == new.digest
    assert set(client.get_registered_model(NAME).aliases) == {"candidate", "champion", "previous"}


def test_an_alias_never_stays_on_the_wrong_version(client, state: State, tmp_path: Path):
    made = adapter(tmp_path)
    register(client, registration(made), made)
    state.promote(LINE, made.digest, None, "a test", "better", "report")
    mirror_champion(client, state, LINE)
    state.promote(LINE, "a model that this MLflow never saw", made.digest, "a test", "better", "report")
    assert mirror_champion(client, state, LINE) == {"champion": None, "previous": 1}
    assert "champion" not in client.get_registered_model(NAME).aliases


def test_tags_that_describe_another_adapter_are_refused(client, tmp_path: Path):
    with pytest.raises(BadInput, match="another model"):
        register(client, registration(adapter(tmp_path, "one")), adapter(tmp_path, "two"))


@pytest.fixture
def server(database: Path, tmp_path: Path) -> Iterator[str]:
    """A real MLflow server on a free port, with artifacts of its own."""
    own, artifacts = tmp_path / "server.db", tmp_path / "served"
    own.write_bytes(database.read_bytes())
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    where = ["--backend-store-uri", f"sqlite:///{own}", "--artifacts-destination", str(artifacts)]
    command = [sys.executable, "-m", "mlflow", "server", *where, "--port", str(port), "--workers", "1"]
    environment = {**os.environ, **QUIET, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    uri = f"http://127.0.0.1:{port}"
    try:
        wait_for(uri)
        yield uri
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(uri: str) -> None:
    for _ in range(240):
        try:
            urlopen(f"{uri}/health", timeout=2)
            return
        except (URLError, OSError):
            time.sleep(0.25)
    pytest.fail(f"MLflow did not start at {uri}")


def test_a_server_that_refuses_local_paths_gets_the_adapter_itself(server: str, tmp_path: Path):
    client, made = client_of(server), adapter(tmp_path)
    version = register(client, registration(made), made)
    assert version.source.startswith("runs:/")
    run_id = version.source.split("/")[1]
    stored = Path(client.download_artifacts(run_id, "adapter/adapter_model.safetensors", str(tmp_path)))
    assert stored.read_text() == "one"
    assert register(client, registration(made), made) == version
    remote = adapter(tmp_path, "two")
    on_s3 = replace(registration(remote, 2), artifact_path=f"s3://bucket/artifacts/adapter/{remote.digest}")
    assert register(client, on_s3, remote).source == f"s3://bucket/artifacts/adapter/{remote.digest}"


def test_a_server_that_is_down_is_worth_another_try(monkeypatch: pytest.MonkeyPatch, database: Path, tmp_path: Path):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    made = adapter(tmp_path)
    with pytest.raises(Rerunnable, match="safe in the lake"):
        register(client_of("http://127.0.0.1:9"), registration(made), made)
