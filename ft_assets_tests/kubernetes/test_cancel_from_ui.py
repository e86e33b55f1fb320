"""A run that is cancelled in the web UI, with no permission beyond those of the role."""

from pathlib import Path

import pytest
import yaml

from ft_assets.settings import PROJECT_ROOT
from ft_assets_tests.kubernetes.dagster_on_cluster import dagster_on
from ft_assets_tests.kubernetes.helm_chart import dagster_yaml, values
from ft_assets_tests.kubernetes.pretend_cluster import PretendCluster
from ft_assets_tests.kubernetes.scenarios import environment

pytestmark = [pytest.mark.service, pytest.mark.slow]
MODULE = "ft_assets_tests.kubernetes.failing_steps"


def test_a_run_that_is_cancelled_in_the_ui_ends_both_of_its_pods(tmp_path: Path, postgres_url: str) -> None:
    with PretendCluster(tmp_path / "cluster", rbac=True) as cluster:
        shared = cluster.claim("shared")
        environ = environment(shared)
        line = yaml.safe_load((PROJECT_ROOT / "ft_assets/specializations/qa-engineer.yaml").read_text())
        (shared / "lines").mkdir()
        (shared / "lines" / "one-gpu.yaml").write_text(
            yaml.safe_dump({**line, "name": "one-gpu", "compute": {"gpus": 1, "cpu": "1", "memory": "1Gi"}})
        )
        launcher = ("ft_assets.defs.run_pods", "RunPods")
        # Where runs are resumed, a run worker takes SIGTERM for its own loss and leaves its steps alone.
        resumed = {"run_monitoring": dagster_yaml(values("values.yaml"))["run_monitoring"]}
        with dagster_on(cluster, postgres_url, MODULE, environ, launcher_class=launcher, instance=resumed) as dagster:
            run_id = dagster.launch(
                "__ASSET_JOB", partition="one-gpu", assets=["trained"], tags={"scenario": "ui"}, checks=False
            )
            cluster.wait_for((shared / "ui" / "attempts").exists, 120)
            dagster.terminate(run_id)
            assert dagster.wait(run_id) == "CANCELED"
            cluster.wait_for(lambda: not cluster.jobs() and not cluster.pods(), 60)
            assert run_id not in dagster.instance.event_log_storage.get_concurrency_info("gpu").active_run_ids
        (pod,) = cluster.started_pods("trained")
        assert pod["spec"]["nodeName"] == "gpu-0"
        assert not [request for request in cluster.requests if request.status == 403]
