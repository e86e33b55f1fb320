"""A Dagster whose web server launches runs on the pretend cluster, asked through the UI's own API."""

import contextlib
import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from ft_assets_tests.kubernetes.manifest_files import named
from ft_assets_tests.kubernetes.pretend_cluster import PretendCluster, this_machine
from ft_assets_tests.mlflow_servers import free_port

ACCOUNT = "dagster"
IMAGE = "registry.example.com/ft-assets:test"
HOME_IN_PODS = "/opt/dagster/home"
OVER = {"SUCCESS", "FAILURE", "CANCELED"}
ALLOWED = named("Role", "dagster")["rules"]  # the role that is deployed: every request is held against it
_LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message stack } ... on Error { message }
  ... on RunConfigValidationInvalid { errors { message } } } }"""
_TERMINATE = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"


@dataclass
class DagsterOnCluster:
    """A running web server and the instance that it and the pods share."""

    cluster: PretendCluster
    instance: dg.DagsterInstance
    url: str
    module: str
    environment: dict[str, str]

    def launch(
        self,
        job: str,
        *,
        partition: str | None = None,
        assets: list[str] | None = None,
        checks: bool = True,
        config: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Launches a job as the launchpad does, all of it or some assets, with their checks or without; the run's id.

        Raises AssertionError with what the API says.
        """
        selector: dict[str, Any] = {
            "repositoryLocationName": self.module,
            "repositoryName": "__repository__",
            "jobName": job,
        }
        if assets:
            selector["assetSelection"] = [{"path": [asset]} for asset in assets]
        if not checks:
            selector["assetCheckSelection"] = []
        all_tags = {**(tags or {}), **({"dagster/partition": partition} if partition else {})}
        params = {
            "selector": selector,
            "mode": "default",
            "runConfigData": config or {},
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in all_tags.items()]},
        }
        answer = self.ask(_LAUNCH, params=params)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def terminate(self, run_id: str) -> None:
        """Presses the UI's button for it."""
        self.ask(_TERMINATE, id=run_id)

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of a GraphQL answer. Raises AssertionError with the errors."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        answer = json.loads(urllib.request.urlopen(request, timeout=60).read())
        assert not answer.get("errors"), answer["errors"]
        return dict(answer["data"])

    def wait(self, run_id: str, seconds: float = 300) -> str:
        """The run's last status. Raises TimeoutError with what the cluster looks like."""
        self.cluster.wait_for(lambda: self.status(run_id) in OVER, seconds)
        return self.status(run_id)

    def status(self, run_id: str) -> str:
        """The run's status now."""
        run = self.instance.get_run_by_id(run_id)
        return run.status.value if run else "NONE"

    def said(self, run_id: str, kind: dg.DagsterEventType | None = None) -> list[str]:
        """What the run's events say, oldest first, with their errors."""
        entries = self.instance.all_logs(run_id, of_type=kind)
        events = [entry.dagster_event for entry in entries if entry.dagster_event]
        return [
            f"{event.event_type_value} {event.step_key or ''} {event.message or ''}{_error(event)}" for event in events
        ]


def _error(event: dg.DagsterEvent) -> str:
    error, messages = getattr(event.event_specific_data, "error", None), []
    while error:
        messages.append(f": {error.message}")
        error = error.cause
    return "".join(messages)


@contextlib.contextmanager
def dagster_on(
    cluster: PretendCluster,
    database: str,
    module: str,
    environ: Mapping[str, str] | None = None,
    launcher: Mapping[str, Any] | None = None,
    launcher_class: tuple[str, str] = ("dagster_k8s", "K8sRunLauncher"),
    instance: Mapping[str, Any] | None = None,
) -> Iterator[DagsterOnCluster]:
    """Dagster with its storage in `database`, whose runs are Jobs of the cluster.

    `environ` is what the web server and, through a secret, every pod gets. `launcher` and `instance` add to the
    launcher's config and to dagster.yaml. The claim "shared" lies at the same path in every pod and here.
    """
    home, shared = cluster.folder / "dagster_home", cluster.claim("shared")
    home.mkdir()
    settings = _settings(shared, database, launcher_class, launcher or {}) | dict(instance or {})
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    (home / "reader").mkdir()  # what a test reads needs no launcher, which wants another environment
    reading = {key: settings[key] for key in ("storage", "compute_logs", "telemetry")}
    (home / "reader" / "dagster.yaml").write_text(yaml.safe_dump(reading))
    prepare_namespace(cluster, (home / "dagster.yaml").read_text(), environ or {})
    port = free_port()
    command = ["dagster-webserver", "-m", module, "-h", "127.0.0.1", "-p", str(port)]
    own = {"DAGSTER_HOME": str(home), "KUBECONFIG": str(cluster.kubeconfig(ACCOUNT)), "HOME": str(home)}
    environment = {**this_machine(), **own, **(environ or {})}
    log = (cluster.folder / "webserver.log").open("wb")
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=home)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_loaded(url, server, cluster.folder / "webserver.log")
        with dg.DagsterInstance.from_config(str(home / "reader")) as found:
            yield DagsterOnCluster(cluster, found, url, module, environment)
    finally:
        server.terminate()
        server.wait(30)
        log.close()


@contextlib.contextmanager
def daemon_of(dagster: DagsterOnCluster) -> Iterator[Path]:
    """Dagster's daemon beside the web server, under the same account; the file of what it says."""
    path = dagster.cluster.folder / "daemon.log"
    with path.open("wb") as log:
        daemon = subprocess.Popen(
            ["dagster-daemon", "run", "-m", dagster.module],
            env=dagster.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=dagster.environment["DAGSTER_HOME"],
        )
        try:
            yield path
        finally:
            daemon.terminate()
            daemon.wait(60)


def launcher_config(shared: Path) -> dict[str, Any]:
    """The run launcher's config: who it is comes from $KUBECONFIG, and the claim lies at the same path everywhere."""
    lake = {"name": "shared", "persistentVolumeClaim": {"claimName": "shared"}}
    home = {"name": "home", "configMap": {"name": "dagster-instance"}}
    return {
        "load_incluster_config": False,
        "kubeconfig_file": None,  # $KUBECONFIG: of each process its own
        "job_namespace": "ml",
        "job_image": IMAGE,
        "image_pull_policy": "IfNotPresent",
        "service_account_name": ACCOUNT,
        "instance_config_map": "dagster-instance",
        "dagster_home": HOME_IN_PODS,
        "env_secrets": ["ft-assets"],
        "volumes": [lake, home],
        "volume_mounts": [
            {"name": "shared", "mountPath": str(shared)},
            {"name": "home", "mountPath": f"{HOME_IN_PODS}/dagster.yaml", "subPath": "dagster.yaml"},
        ],
    }


def _settings(
    shared: Path, database: str, launcher_class: tuple[str, str], launcher: Mapping[str, Any]
) -> dict[str, Any]:
    config = {**launcher_config(shared), **launcher}
    module, name = launcher_class
    logs = {"base_dir": str(shared / "compute_logs")}
    return {
        "storage": {"postgres": {"postgres_url": database}},
        "run_launcher": {"module": module, "class": name, "config": config},
        "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
        "compute_logs": {
            "module": "dagster._core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": logs,
        },
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
    }


def prepare_namespace(cluster: PretendCluster, dagster_yaml: str, environ: Mapping[str, str]) -> None:
    """The account, its role, the instance's config map and the secret with the environment."""
    subjects = [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": cluster.namespace}]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT}
    cluster.apply(
        [
            {"kind": "ServiceAccount", "metadata": {"name": ACCOUNT}},
            {"kind": "Role", "metadata": {"name": ACCOUNT}, "rules": ALLOWED},
            {"kind": "RoleBinding", "metadata": {"name": ACCOUNT}, "roleRef": role, "subjects": subjects},
            {"kind": "ConfigMap", "metadata": {"name": "dagster-instance"}, "data": {"dagster.yaml": dagster_yaml}},
            {"kind": "Secret", "metadata": {"name": "ft-assets"}, "stringData": dict(environ)},
        ]
    )


def _wait_until_loaded(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 90
    while True:
        try:
            urllib.request.urlopen(f"{url}/server_info", timeout=5).read()
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the web server did not start: {log.read_text()[-3000:]}") from None
            time.sleep(0.2)
