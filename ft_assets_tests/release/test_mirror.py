"""MLflow shows what the state database says, whatever happened to it meanwhile. Real databases and servers."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ft_assets.errors import Rerunnable
from ft_assets.lake import Artifact, Lake
from ft_assets.release.mirror import Repaired, aliases_of, answers, repair_mirror
from ft_assets.release.registration import register_version
from ft_assets.release.registry import artifact_location
from ft_assets.state import State
from ft_assets.state_registry import record_evaluation
from ft_assets.state_taints import taint
from ft_assets_tests.mlflow_servers import free_port, mlflow_server, silent_server

pytestmark = pytest.mark.service
LINE, NAME = "qa-engineer", "ea-qa-engineer"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database; its tables take seconds to make, so the tests copy it."""
    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    client_of(f"sqlite:///{path}").search_registered_models()
    return path


def client_of(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def copied(empty: Path, to: Path) -> Any:
    to.write_bytes(empty.read_bytes())
    return client_of(f"sqlite:///{to}")


@pytest.fixture
def client(empty: Path, tmp_path: Path) -> Any:
    return copied(empty, tmp_path / "mlflow.db")


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path / 'state.db'}")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def version(state: State, lake: Lake, tmp_path: Path, weights: str, champion: bool = False) -> Artifact:
    """A registered and evaluated version, promoted over whoever is champion if asked."""
    folder = tmp_path / f"adapter-{weights}"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_text(weights)
    origin = {"snapshot": f"snapshot of {weights}", "base_digest": "base", "recipe_digest": "recipe"}
    (folder / "provenance.json").write_text(json.dumps(origin))
    made = lake.put_artifact("adapter", folder)
    register_version(state, LINE, "domain-specific", "tiny-base", 1, made, "ada")
    record_evaluation(state, LINE, made.digest, f"report of {weights}", "promote", f"promote: {weights}", "run")
    if champion:
        now = state.champion(LINE)
        state.promote(LINE, made.digest, now.model_digest if now else None, "a test", "better", f"report of {weights}")
    return made


def shown(client: Any) -> dict[str, str]:
    """Alias to the adapter that MLflow shows there."""
    aliases = client.get_registered_model(NAME).aliases
    return {
        alias: client.get_model_version(NAME, str(number)).tags["adapter_digest"] for alias, number in aliases.items()
    }


def known_to(client: Any) -> list[Any]:
    return sorted(client.search_model_versions(f"name = '{NAME}'"), key=lambda each: int(each.version))


def test_a_version_carries_everything_that_explains_it(client: Any, state: State, lake: Lake, tmp_path: Path):
    made = version(state, lake, tmp_path, "one", champion=True)
    assert repair_mirror(client, state, lake, [LINE, "devops-engineer"]).created
    stored = client.get_model_version_by_alias(NAME, "champion")
    day, created = stored.description.rsplit("-", 1)[1], stored.tags.pop("created_at")
    assert created.startswith(f"{day[:4]}-{day[4:6]}-{day[6:]}T") and created.endswith("+00:00")
    assert stored.source == artifact_location(lake, made.digest) == str(made.path)
    assert stored.tags == {
        "specialization": LINE,
        "version_name": f"ea-qa-engineer-tiny-base-v1.0-{day}",
        "type": "domain-specific",
        "snapshot": "snapshot of one",
        "adapter_digest": made.digest,
        "base_digest": "base",
        "recipe_digest": "recipe",
        "trained_by": "ada",
        "artifact_path": str(made.path),
        "report_digest": "report of one",
        "verdict": "promote: one",
        "dagster_run_id": "run",
    }
    assert [model.name for model in client.search_registered_models()] == [NAME], "a line without versions has no model"


def test_a_mirror_that_is_right_is_left_alone(client: Any, state: State, lake: Lake, tmp_path: Path):
    version(state, lake, tmp_path, "one", champion=True)
    assert repair_mirror(client, state, lake, [LINE]) != Repaired()
    assert repair_mirror(client, state, lake, [LINE]) == Repaired()
    assert repair_mirror(client, state, lake, []).in_words == "MLflow says what the state database says"


def test_what_was_lost_changed_or_moved_is_as_it_was(client: Any, state: State, lake: Lake, tmp_path: Path):
    one, two, three = (
        version(state, lake, tmp_path, name, champion=name != "three") for name in ("one", "two", "three")
    )
    repair_mirror(client, state, lake, [LINE])
    wanted = {"candidate": three.digest, "champion": two.digest, "previous": one.digest}
    assert shown(client) == wanted == aliases_of(state, LINE)
    client.set_registered_model_alias(NAME, "champion", "3")
    client.delete_registered_model_alias(NAME, "previous")
    client.delete_model_version(NAME, "1")
    client.set_model_version_tag(NAME, "2", "verdict", "promote: everything")
    repaired = repair_mirror(client, state, lake, [LINE])
    assert len(repaired.created) == len(repaired.renewed) == 1
    assert shown(client) == wanted
    assert [each.tags["verdict"] for each in known_to(client)] == ["promote: two", "promote: three", "promote: one"]


def test_an_emptied_mlflow_gets_everything_again(client: Any, empty: Path, state: State, lake: Lake, tmp_path: Path):
    for name in ("one", "two"):
        version(state, lake, tmp_path, name, champion=True)
    repair_mirror(client, state, lake, [LINE])
    before, tags = shown(client), [each.tags for each in known_to(client)]
    new = copied(empty, tmp_path / "new.db")
    assert len(repair_mirror(new, state, lake, [LINE]).created) == 2
    assert shown(new) == before
    assert [each.tags for each in known_to(new)] == tags


def test_a_damaged_adapter_is_named_and_shown_by_no_alias(client: Any, state: State, lake: Lake, tmp_path: Path):
    made = version(state, lake, tmp_path, "one", champion=True)
    weights = made.path / "adapter_model.safetensors"
    weights.chmod(0o644)
    weights.write_text("One")
    repaired = repair_mirror(client, state, lake, [LINE])
    assert not repaired.created
    assert "adapter_model.safetensors has another SHA-256" in repaired.problems[0]
    assert shown(client) == {}


def test_a_later_report_and_a_taint_are_shown(client: Any, state: State, lake: Lake, tmp_path: Path):
    made = version(state, lake, tmp_path, "one", champion=True)
    repair_mirror(client, state, lake, [LINE])
    record_evaluation(state, LINE, made.digest, "a later report", "hold", "hold: +0.1", "run 2")
    taint(state, [made.digest], "rows of a forgotten user", "forget")
    assert repair_mirror(client, state, lake, [LINE]).renewed
    tags = client.get_model_version_by_alias(NAME, "champion").tags
    assert (tags["verdict"], tags["report_digest"], tags["dagster_run_id"]) == ("hold: +0.1", "a later report", "run 2")
    assert tags["tainted"] == "rows of a forgotten user"


def test_what_happened_while_the_server_was_away_is_there_when_it_is_back(
    state: State, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    port = free_port()
    one = version(state, lake, tmp_path, "one", champion=True)
    uri = f"http://127.0.0.1:{port}"
    assert not answers(uri)
    with pytest.raises(Rerunnable, match="Nothing is lost"):
        repair_mirror(client_of(uri), state, lake, [LINE])
    with mlflow_server(port, tmp_path / "server.db", tmp_path / "served"):
        assert answers(uri)
        assert len(repair_mirror(client_of(uri), state, lake, [LINE]).created) == 1
    two = version(state, lake, tmp_path, "two", champion=True)
    assert state.champion(LINE).model_digest == two.digest
    with mlflow_server(port, tmp_path / "server.db", tmp_path / "served"):
        client = client_of(uri)
        assert len(repair_mirror(client, state, lake, [LINE]).created) == 1
        assert shown(client) == {"candidate": two.digest, "champion": two.digest, "previous": one.digest}
        source = client.get_model_version_by_alias(NAME, "champion").source
        assert source.startswith("runs:/"), "a server takes no paths of this machine, so it got the adapter itself"
        stored = client.download_artifacts(source.split("/")[1], "adapter/adapter_model.safetensors", str(tmp_path))
        assert Path(stored).read_text() == "two"


def test_a_server_that_never_answers_costs_seconds():
    with silent_server() as uri:
        started = time.monotonic()
        assert not answers(uri, seconds=0.5)
        assert time.monotonic() - started < 10
    assert answers("sqlite:////somewhere/mlflow.db")
