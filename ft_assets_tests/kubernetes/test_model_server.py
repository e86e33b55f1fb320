from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ft_assets.cluster.pod_config import GpuNodes
from ft_assets.errors import BadConfiguration
from ft_assets.release.model_server import model_server
from ft_assets.state_registry import Registered
from ft_assets_tests.kubernetes.checkov_scan import failed_checks, written
from ft_assets_tests.kubernetes.manifest_files import named, of_kind, validate
from ft_assets_tests.kubernetes.network_reach import selects
from ft_assets_tests.kubernetes.pod_security import violations

IMAGE = "registry.example.com/model-server:1.4.0"


def version(name: str = "ea-software-developer-tiny-base-v2.3-20261121", digest: str = "a" * 64) -> Registered:
    line = "software-developer"
    parts = {"snapshot": "c" * 64, "base_digest": "b" * 64, "recipe_digest": "d" * 64, "trained_by": "Grace Hopper"}
    return Registered(line, digest, 4, name, "lora", **parts, at=datetime(2026, 11, 21, tzinfo=UTC))


def rendered(which: Registered | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    deployment, budget = model_server(which or version(), IMAGE, "models", GpuNodes())
    return deployment, budget


def container() -> dict[str, Any]:
    return dict(rendered()[0]["spec"]["template"]["spec"]["containers"][0])


def test_the_deployment_is_the_one_that_the_specification_shows() -> None:
    deployment, _ = rendered()
    assert deployment["metadata"]["namespace"] == "ai-services"
    assert deployment["metadata"]["name"] == "model-ea-software-developer-v2"
    assert deployment["spec"]["replicas"] == 3
    labels = {"app": "model-server", "model": "ea-software-developer", "version": "v2"}
    assert deployment["metadata"]["labels"] == deployment["spec"]["template"]["metadata"]["labels"] == labels
    found = container()
    assert {each["name"]: each["value"] for each in found["env"]}.items() >= {
        ("MODEL_PATH", "/models"),
        ("ENABLE_TRACING", "true"),
    }
    assert found["resources"] == {
        "limits": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"},
        "requests": {"cpu": "2", "memory": "8Gi"},
    }
    assert found["readinessProbe"] == {
        "httpGet": {"path": "/health", "port": 8080},
        "initialDelaySeconds": 30,
        "periodSeconds": 10,
    }
    assert found["ports"] == [{"name": "http", "containerPort": 8080}]


def test_two_of_three_stay_when_nodes_are_drained_and_replicas_spread_over_them() -> None:
    deployment, budget = rendered()
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for selector in (deployment["spec"]["selector"], budget["spec"]["selector"]):
        assert selects(selector, labels)
        assert selector["matchLabels"]
    assert budget["spec"]["minAvailable"] == 2 < deployment["spec"]["replicas"]
    (spread,) = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert selects(spread["labelSelector"], labels)


def test_a_server_that_loads_for_ten_minutes_is_not_taken_for_one_that_hangs() -> None:
    found = container()
    assert found["startupProbe"]["periodSeconds"] * found["startupProbe"]["failureThreshold"] == 600
    assert {found[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")} == {"/health"}


def test_the_models_are_mounted_to_read_by_many_nodes_and_hold_this_model_and_its_base_only() -> None:
    (models,) = [v for v in rendered()[0]["spec"]["template"]["spec"]["volumes"] if v["name"] == "models"]
    assert models["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}
    mounts = [mount for mount in container()["volumeMounts"] if mount["name"] == "models"]
    assert {mount["mountPath"]: mount["subPath"] for mount in mounts} == {
        "/models": f"artifacts/adapter/{'a' * 64}",
        "/base-model": f"artifacts/base_model/{'b' * 64}",
    }
    assert all(mount["readOnly"] for mount in mounts)


def test_a_new_minor_version_changes_the_pods_and_not_the_selector_and_a_major_one_is_a_deployment_of_its_own() -> None:
    first, _ = rendered()
    minor, _ = rendered(version("ea-software-developer-tiny-base-v2.4-20261122", "e" * 64))
    major, _ = rendered(version("ea-software-developer-tiny-base-v3.0-20261123", "f" * 64))
    assert minor["metadata"]["name"] == first["metadata"]["name"]
    assert minor["spec"]["selector"] == first["spec"]["selector"]
    assert minor["spec"]["template"] != first["spec"]["template"]
    assert major["metadata"]["name"] == "model-ea-software-developer-v3"
    assert not selects(major["spec"]["selector"], first["metadata"]["labels"])


@pytest.mark.slow
def test_kubernetes_takes_it_pod_security_lets_it_in_and_checkov_agrees(tmp_path: Path) -> None:
    for thing in rendered():
        validate(thing)
    spec = rendered()[0]["spec"]["template"]["spec"]
    assert violations(spec) == []
    assert spec["serviceAccountName"] == named("ServiceAccount", "model-server", "ai-services")["metadata"]["name"]
    assert named("PriorityClass", spec["priorityClassName"])["value"] > 0
    selector = named("NetworkPolicy", "model-servers")["spec"]["podSelector"]
    assert selects(selector, rendered()[0]["metadata"]["labels"])
    path = written([*rendered(), *of_kind("NetworkPolicy")], tmp_path / "server.yaml")
    assert failed_checks("kubernetes", path) == []


@pytest.mark.parametrize(
    ("image", "refused"),
    [
        ("registry.example.com/model-server", True),
        ("registry.example.com:5000/model-server", True),
        ("registry.example.com/model-server:latest", True),
        ("registry.example.com:5000/model-server:1.4.0", False),
        (f"registry.example.com/model-server@sha256:{'0' * 64}", False),
    ],
)
def test_an_image_that_can_change_under_its_name_is_refused(image: str, refused: bool) -> None:
    if not refused:
        assert len(model_server(version(), image, "models", GpuNodes())) == 2
        return
    with pytest.raises(BadConfiguration, match="means another server tomorrow"):
        model_server(version(), image, "models", GpuNodes())


def test_a_name_that_is_too_long_for_kubernetes_is_refused() -> None:
    long = Registered(**{**vars(version()), "specialization": "x" * 60})
    with pytest.raises(BadConfiguration, match="rename the specialization"):
        model_server(long, IMAGE, "models", GpuNodes())


def test_nodes_are_those_that_the_installation_names() -> None:
    nodes = GpuNodes({"pool": "gpu"}, ("dedicated",))
    spec = model_server(version(), IMAGE, "models", nodes)[0]["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"pool": "gpu"}
    assert spec["tolerations"] == [{"key": "dedicated", "operator": "Exists"}]
