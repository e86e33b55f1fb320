import json
import re
from pathlib import Path

import pytest

from ft_assets.settings import PROJECT_ROOT, read_settings
from ft_assets_tests.kubernetes.checkov_scan import failed_checks, written
from ft_assets_tests.kubernetes.manifest_files import (
    FOREIGN,
    K8S,
    OVERLAYS,
    build,
    documents,
    kustomizations,
    listed,
    named,
    of_kind,
    pods,
    resources,
    validate,
)
from ft_assets_tests.kubernetes.pod_security import violations

PROMISED = {
    ("batch", "jobs"): {"get", "list", "create", "delete"},
    ("batch", "jobs/status"): {"get"},
    ("", "pods"): {"get", "list"},
    ("", "pods/log"): {"get", "list"},
    ("", "events"): {"get", "list"},
}


@pytest.mark.slow
def test_every_object_is_one_that_four_versions_of_kubernetes_take() -> None:
    checked = [thing for thing in resources() if not thing["apiVersion"].startswith(FOREIGN)]
    for thing in checked:
        validate(thing)
    assert len(checked) > 30
    assert {thing["kind"] for thing in resources() if thing not in checked} == {
        *("ResourceFlavor", "ClusterQueue", "LocalQueue")
    }


def test_kustomizations_name_what_is_there_and_leave_nothing_out() -> None:
    keys = ("resources", "components", "patches")
    named_files = {path for each in kustomizations() for path in listed(each, *keys)}
    assert not [path for path in named_files if not path.exists()]
    places = [K8S / folder for folder in ("base", "components", "overlays")]
    there = {path.resolve() for place in places for path in place.rglob("*.yaml") if path.name != "kustomization.yaml"}
    assert there == {path for path in named_files if path.is_file()}


def test_patches_change_objects_that_the_base_has() -> None:
    known = {identity(thing) for thing in resources()}
    patches = [thing for each in kustomizations() for path in listed(each, "patches") for thing in documents(path)]
    assert patches
    assert {identity(thing) for thing in patches} <= known


@pytest.mark.slow
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubectl_builds_an_overlay_of_valid_objects(overlay: str) -> None:
    built = build(overlay)
    for thing in built:
        validate(thing)
    assert len({identity(thing) for thing in built}) == len(built) > 25
    (settings,) = [t for t in built if t["kind"] == "ConfigMap" and t["metadata"]["name"] == "ft-assets-settings"]
    assert settings["data"]["FT_ASSETS_LAKE"].startswith("s3://" if overlay == "s3" else "/lake")


@pytest.mark.slow
def test_checkov_finds_nothing_but_the_argued_exceptions(tmp_path: Path) -> None:
    assert failed_checks("kubernetes", written(resources(), tmp_path / "all.yaml")) == []


def test_every_pod_keeps_to_the_restricted_level_that_its_namespace_enforces() -> None:
    found = dict(pods(resources()))
    assert len(found) >= 3
    assert not [f"{name}: {wrong}" for name, spec in found.items() for wrong in violations(spec)]
    for spec in found.values():
        for container in spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
    for namespace in of_kind("Namespace"):
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {namespace["metadata"]["name"] for namespace in of_kind("Namespace")} == {"ft-assets", "ai-services"}


def test_the_level_refuses_what_it_should() -> None:
    spec = dict(pods([named("Deployment", "mlflow")]))["Deployment mlflow"]
    spec["containers"][0]["securityContext"].pop("capabilities")
    spec["securityContext"].pop("seccompProfile")
    spec["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    assert violations(spec) == ["volume host: hostPath", "mlflow: capabilities", "mlflow: seccompProfile"]


def test_the_role_allows_what_was_promised_and_nothing_else() -> None:
    assert not of_kind("ClusterRole", "ClusterRoleBinding")
    (role,), (binding,) = of_kind("Role"), of_kind("RoleBinding")
    allowed = {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert allowed == PROMISED
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "ft-assets"
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("Role", role["metadata"]["name"])
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "dagster", "namespace": "ft-assets"}]


def test_no_secret_is_in_the_repository_or_in_an_environment() -> None:
    assert not of_kind("Secret")
    text = json.dumps(resources())
    assert "secretKeyRef" not in text
    assert "secretRef" not in text
    for _, spec in pods(resources()):
        secret = {volume["name"] for volume in spec["volumes"] if "secret" in volume}
        mounts = [mount for each in spec["containers"] for mount in each["volumeMounts"] if mount["name"] in secret]
        assert len(mounts) == len(secret)
        assert all(mount["readOnly"] for mount in mounts)
    template = (K8S / "secrets" / "pg_service.conf").read_text()
    assert set(re.findall(r"^password=(.*)$", template, re.MULTILINE)) == {"CHANGE-ME"}


def test_only_pods_that_call_the_api_have_a_token() -> None:
    mounted = {a["metadata"]["name"] for a in of_kind("ServiceAccount") if a.get("automountServiceAccountToken", True)}
    assert mounted == {"dagster"}, "the chart's daemon does not ask for the token that it needs"
    for name, spec in pods(resources()):
        assert spec["automountServiceAccountToken"] is False, name


def test_no_service_of_the_namespace_adds_variables_to_a_pod() -> None:
    for name, spec in pods(resources()):
        assert spec["enableServiceLinks"] is False, (
            f"{name}: MLFLOW_PORT=tcp://... is what `mlflow server` reads as a port"
        )


def test_a_training_waits_behind_serving_and_pushes_nobody_off_a_node() -> None:
    serving, training = named("PriorityClass", "ft-assets-serving"), named("PriorityClass", "ft-assets-training")
    assert 0 < training["value"] < serving["value"]
    assert training["preemptionPolicy"] == "Never"


def test_images_are_placeholders_with_versions() -> None:
    images = {container["image"] for _, spec in pods(resources()) for container in spec["containers"]}
    assert images == {"registry.example.com/ft-assets:0.1.0", "postgres:17.6-bookworm"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_project_reads_these_settings_and_knows_every_variable(
    overlay: str,
) -> None:
    data = dict(named("ConfigMap", "ft-assets-settings")["data"])
    for path in listed(K8S / "overlays" / overlay / "kustomization.yaml", "patches"):
        for thing in documents(path):
            data |= thing.get("data", {})
    settings = read_settings(data)
    assert settings.execution == "k8s"
    assert settings.judge_url is None
    sources = "".join(path.read_text() for path in (PROJECT_ROOT / "ft_assets").rglob("*.py"))
    assert not [name for name in data if name.startswith("FT_ASSETS_") and name not in sources]


def test_every_container_says_what_it_takes_because_the_quota_asks_for_it() -> None:
    for name, spec in pods(resources()):
        for container in spec["containers"]:
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
            assert "memory" in container["resources"]["limits"], name
    hard = named("ResourceQuota", "team", "ft-assets")["spec"]["hard"]
    assert {"requests.nvidia.com/gpu", "requests.cpu", "requests.memory", "count/jobs.batch"} <= set(hard)


def test_the_first_start_of_postgresql_makes_a_database_for_each_service_of_the_template() -> None:
    template = (K8S / "secrets" / "pg_service.conf").read_text()
    script = (K8S / "components" / "postgresql" / "databases.sh").read_text()
    names = re.search(r"for name in (.*); do", script)
    assert names is not None
    assert names[1].split() == re.findall(r"^dbname=(.*)$", template, re.MULTILINE)
    assert re.findall(r"^user=(.*)$", template, re.MULTILINE) == names[1].split()


def identity(thing: dict) -> tuple[str, str, str]:
    metadata = thing["metadata"]
    return thing["kind"], metadata.get("namespace", ""), metadata["name"]
