"""The Jobs that Dagster submits with the values of k8s/helm: a real run on the pretend cluster, within the real role,
with its password in a file."""

import contextlib
import copy
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.engine import make_url

from ft_assets.settings import PROJECT_ROOT
from ft_assets_tests.kubernetes.checkov_scan import failed_checks, written
from ft_assets_tests.kubernetes.dagster_on_cluster import ALLOWED, dagster_on
from ft_assets_tests.kubernetes.helm_chart import dagster_yaml, launcher, values
from ft_assets_tests.kubernetes.manifest_files import K8S, documents, named, of_kind, validate
from ft_assets_tests.kubernetes.pod_security import violations
from ft_assets_tests.kubernetes.pretend_cluster import PretendCluster
from ft_assets_tests.kubernetes.pretend_rules import used
from ft_assets_tests.kubernetes.pretend_scheduler import GPU
from ft_assets_tests.postgres_server import fresh_database

pytestmark = [pytest.mark.service, pytest.mark.slow]
MODULE, LINE, NAMESPACE = "ft_assets_tests.kubernetes.failing_steps", "one-gpu", "ft-assets"
PASSWORD = "correct horse battery staple"


@dataclass
class Submitted:
    """What one run with a GPU step and a small one left on the cluster."""

    jobs: dict[str, dict[str, Any]]
    pods: dict[str, dict[str, Any]]
    asked_for: set[tuple[str, str, str]]
    refused: list[Any]
    said: str


@pytest.fixture(scope="module")
def submitted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Submitted]:
    folder = tmp_path_factory.mktemp("submitted")
    with (
        pytest.MonkeyPatch.context() as patch,
        user_with_password() as user,
        fresh_database() as database,
        PretendCluster(folder / "cluster", namespace=NAMESPACE, rbac=True) as cluster,
    ):
        service = service_file(database, user)
        (folder / "pg_service.conf").write_text(service)
        steps = cluster.claim("lake") / "steps"
        (steps / "run").mkdir(parents=True)
        (steps / "run" / "go").touch()
        pods_see = prepare(cluster, folder, service)
        here = {**pods_see, "PGSERVICEFILE": str(folder / "pg_service.conf"), "FAILING_STEPS": str(steps)}
        found = values("values.yaml")
        storage = dagster_yaml(found)["run_storage"]["config"]
        storage["postgres_db"] |= of_url(database, user)
        for name in ("PGSERVICEFILE", "DAGSTER_PG_PASSWORD"):
            patch.setenv(name, here[name])
        ours = launcher(found)
        with dagster_on(
            cluster,
            database,
            MODULE,
            here,
            launcher=on_this_machine(ours["config"]),
            launcher_class=(ours["module"], ours["class"]),
            instance={"storage": {"postgres": storage}, "run_monitoring": dagster_yaml(found)["run_monitoring"]},
        ) as dagster:
            run_id = dagster.launch(
                "__ASSET_JOB", partition=LINE, assets=["trained", "counted"], tags={"scenario": "run"}
            )
            status = dagster.wait(run_id)
            said = "\n".join(dagster.said(run_id))
            assert status == "SUCCESS", said
        jobs = {name_of(job): {"apiVersion": "batch/v1", "kind": "Job", **job} for job in cluster.jobs()}
        pods = {name_of(pod): pod for pod in cluster.started_pods()}
        refused = [request for request in cluster.requests if request.status == 403]
        yield Submitted(jobs, pods, set(used(cluster.requests)), refused, said)


def test_the_run_and_each_step_were_a_job_that_four_versions_of_kubernetes_take(submitted: Submitted) -> None:
    assert set(submitted.jobs) == {"run", "trained", "counted"}
    for job in submitted.jobs.values():
        validate({key: value for key, value in job.items() if key != "status"})
        assert job["spec"]["backoffLimit"] == 0
        assert job["spec"]["podReplacementPolicy"] == "Failed"
        assert job["spec"]["ttlSecondsAfterFinished"] == 86400


def test_their_pods_keep_to_the_restricted_level_with_a_root_nobody_can_write(submitted: Submitted) -> None:
    for name, job in submitted.jobs.items():
        spec = job["spec"]["template"]["spec"]
        assert violations(spec) == [], name
        assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True, name
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["enableServiceLinks"] is False
        assert spec["priorityClassName"] == "ft-assets-training"
        assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("dagster", name == "run")


def test_their_labels_are_those_that_the_network_policies_look_for(submitted: Submitted) -> None:
    labels = {name: job["spec"]["template"]["metadata"]["labels"] for name, job in submitted.jobs.items()}
    components = {name: each["app.kubernetes.io/component"] for name, each in labels.items()}
    assert components == {"run": "run_worker", "trained": "step_worker", "counted": "step_worker"}
    assert {name: each.get("dagster/op") for name, each in labels.items()} == {
        "run": None,
        "trained": "trained",
        "counted": "counted",
    }
    assert {each["ft-assets/stores"] for each in labels.values()} == {"true"}


def test_only_the_step_that_trains_asks_for_a_gpu_and_every_pod_says_what_it_takes(submitted: Submitted) -> None:
    for name, job in submitted.jobs.items():
        resources = job["spec"]["template"]["spec"]["containers"][0]["resources"]
        assert resources["limits"].get(GPU) == ("1" if name == "trained" else None)
        assert {"cpu", "memory"} <= set(resources["requests"]), name
        assert {"cpu", "memory"} <= set(resources["limits"]), name
        assert submitted.pods[name]["spec"]["nodeName"] == ("gpu-0" if name == "trained" else "cpu-0")


def test_no_password_is_in_a_pod_and_none_came_from_its_environment(submitted: Submitted) -> None:
    text = json.dumps([submitted.jobs, submitted.pods])
    assert PASSWORD not in text
    assert PASSWORD not in submitted.said
    assert "secretKeyRef" not in text
    assert "secretRef" not in text


def test_what_they_asked_of_the_api_is_in_the_role(submitted: Submitted) -> None:
    permitted = {
        (group, resource, verb)
        for rule in ALLOWED
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert submitted.refused == []
    assert ("batch", "jobs", "create") in submitted.asked_for
    assert submitted.asked_for <= permitted


def test_checkov_finds_nothing_but_the_argued_exceptions(submitted: Submitted, tmp_path: Path) -> None:
    jobs = [{key: value for key, value in job.items() if key != "status"} for job in submitted.jobs.values()]
    policies = of_kind("NetworkPolicy")  # checkov wants to see that the pods have some
    assert failed_checks("kubernetes", written([*jobs, *policies], tmp_path / "jobs.yaml")) == []


def prepare(cluster: PretendCluster, folder: Path, service: str) -> dict[str, str]:
    """Applies what the base has of use here; the variables that pods get."""
    lines = cluster.claim("lake") / "lines"
    lines.mkdir()
    line = yaml.safe_load((PROJECT_ROOT / "ft_assets/specializations/qa-engineer.yaml").read_text())
    line |= {"name": LINE, "compute": {"gpus": 1, "cpu": "1", "memory": "1Gi"}}
    (lines / f"{LINE}.yaml").write_text(yaml.safe_dump(line))
    settings = copy.deepcopy(named("ConfigMap", "ft-assets-settings"))
    settings["data"] |= {"FAILING_STEPS": "/lake/steps", "FT_ASSETS_SPECIALIZATIONS": str(lines)}
    database = {
        "kind": "Secret",
        "metadata": {"name": "ft-assets-database"},
        "stringData": {"pg_service.conf": service},
    }
    quotas = [thing for thing in documents(K8S / "base/quotas.yaml") if thing["metadata"]["namespace"] == NAMESPACE]
    cluster.apply([settings, database, *documents(K8S / "base/priorities.yaml"), *quotas])
    return dict(settings["data"])


def on_this_machine(config: dict[str, Any]) -> dict[str, Any]:
    """The launcher's config, but for what only a real cluster has: a mounted token, an image, and a /tmp of its own."""
    moved = copy.deepcopy(config)
    for mount in moved["volume_mounts"]:  # paths of this machine, which stand in arguments too, begin with /tmp
        mount["mountPath"] = {"/tmp": "/scratch"}.get(mount["mountPath"], mount["mountPath"])
    here = {
        "load_incluster_config": False,
        "kubeconfig_file": None,
        "job_image": "registry.example.com/ft-assets:0.1.0",
    }
    return {**moved, **here, "env_secrets": []}


@contextlib.contextmanager
def user_with_password() -> Iterator[str]:
    """A user of the test's PostgreSQL who may make tables and whose password only files hold."""
    from sqlalchemy import create_engine

    if not os.environ.get("FT_ASSETS_TEST_POSTGRES_URL"):
        pytest.skip("FT_ASSETS_TEST_POSTGRES_URL names no PostgreSQL server")
    server = create_engine(os.environ["FT_ASSETS_TEST_POSTGRES_URL"], isolation_level="AUTOCOMMIT")
    name = f"dagster_{uuid.uuid4().hex}"
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
    try:
        yield name
    finally:
        with server.connect() as connection:
            connection.exec_driver_sql(f"DROP ROLE {name}")
        server.dispose()


def service_file(url: str, user: str) -> str:
    """Where the databases are, with user and password, as libpq reads it."""
    told = make_url(url)
    lines = [
        f"host={told.host}",
        f"port={told.port}",
        f"user={user}",
        f"password={PASSWORD}",
        f"dbname={told.database}",
    ]
    return "\n".join("\n".join([f"[{name}]", *lines]) for name in ("dagster", "ft-assets"))


def of_url(url: str, user: str) -> dict[str, Any]:
    """Dagster's words for the test database; no password among them."""
    told = make_url(url)
    return {"username": user, "hostname": told.host, "db_name": told.database, "port": told.port}


def name_of(thing: dict[str, Any]) -> str:
    """The step's key, or "run"."""
    return str(thing["metadata"]["labels"].get("dagster/op", "run"))
