"""The role that the project asks for is enough for what it does on a cluster, and stops what it does not do."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ft_assets_tests.kubernetes.dagster_on_cluster import ACCOUNT, ALLOWED, launcher_config, prepare_namespace
from ft_assets_tests.kubernetes.pretend_cluster import PretendCluster, this_machine

pytestmark = [pytest.mark.service, pytest.mark.slow]
PERMITTED = {
    (group, resource, verb)
    for rule in ALLOWED
    for group in rule["apiGroups"]
    for resource in rule["resources"]
    for verb in rule["verbs"]
}
WAITS = "#!/bin/bash\ntrap 'exit 0' TERM\necho working\nwhile true; do sleep 0.05; done\n"


def asked(cluster: PretendCluster, home: Path, module: str, name: str) -> dict[str, Any]:
    """What a launcher says of a run whose image holds a `dagster` that only waits."""
    config = launcher_config(cluster.claim("shared"))
    settings = {"run_launcher": {"module": module, "class": name, "config": config}, "telemetry": {"enabled": False}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    prepare_namespace(cluster, "", {})
    own = {"DAGSTER_HOME": str(home), "KUBECONFIG": str(cluster.kubeconfig(ACCOUNT)), "SHARED_VALUES": str(home)}
    stores = {"FT_ASSETS_STATE_URL": "postgresql://nowhere/state", "MLFLOW_TRACKING_URI": "http://nowhere"}
    environ = {**this_machine(), **own, **stores, "FT_ASSETS_EXECUTION": "k8s"}
    command = [sys.executable, "-m", "ft_assets_tests.kubernetes.launcher_calls"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("launcher", "ended", "refused"),
    [
        (("ft_assets.defs.run_pods", "RunPods"), True, set()),
        (("dagster_k8s", "K8sRunLauncher"), None, {("", "pods", "delete")}),
    ],
)
def test_a_run_is_launched_watched_and_ended_within_the_role(
    tmp_path: Path, launcher: tuple[str, str], ended: bool | None, refused: set[tuple[str, str, str]]
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "dagster").write_text(WAITS)
    (tmp_path / "bin" / "dagster").chmod(0o755)
    path = {"PATH": f"{tmp_path / 'bin'}:{this_machine()['PATH']}"}
    with PretendCluster(tmp_path / "cluster", image_env=path, rbac=True) as cluster:
        said = asked(cluster, tmp_path, *launcher)
        assert (said["health"], said["ended"]) == ("RUNNING", ended)
        assert "Pod status: Running" in said["said"]
        asked_for = {(one.group, one.resource, one.verb) for one in cluster.requests}
        assert {(one.group, one.resource, one.verb) for one in cluster.requests if one.status == 403} == refused
        assert asked_for - refused <= PERMITTED
        assert not cluster.jobs()
        if refused:
            left = [pod["status"]["phase"] for pod in cluster.pods()]
            assert left == ["Running"], "dagster-k8s leaves the pod of a deleted Job behind where it may not delete it"
        else:
            cluster.wait_for(lambda: not cluster.pods())
