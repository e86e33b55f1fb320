"""Real Dagster runs on the pretend cluster: launched from the UI's API, each run and each step a pod."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from ft_assets.lake import Lake
from ft_assets.settings import PROJECT_ROOT
from ft_assets_tests.kubernetes.dagster_on_cluster import DagsterOnCluster, dagster_on
from ft_assets_tests.kubernetes.pretend_cluster import PretendCluster
from ft_assets_tests.kubernetes.pretend_rules import used
from ft_assets_tests.kubernetes.pretend_scheduler import GPU
from ft_assets_tests.mlflow_servers import free_port, mlflow_server
from ft_assets_tests.postgres_server import fresh_database

pytestmark = [pytest.mark.service, pytest.mark.slow]
LINE, DAY = "qa-engineer", "2026-03-01"
WING = ["train_eval_split", "base_model", "lora_checkpoint", "evaluation_report", "registered_model"]
STEPS_WITH_A_GPU = {"lora_checkpoint", "evaluation_report"}
QUICK = {"ops": {"lora_checkpoint": {"config": {"overrides": {"num_train_epochs": 1, "max_length": 256}}}}}


def test_dagsters_own_launcher_and_executor_run_every_step_in_a_pod(tmp_path: Path, postgres_url: str) -> None:
    with PretendCluster(tmp_path / "cluster", rbac=True) as cluster:
        values = {"SHARED_VALUES": str(cluster.claim("shared"))}
        with dagster_on(cluster, postgres_url, "ft_assets_tests.kubernetes.small_job", values) as dagster:
            run_id = dagster.launch("two_pods")
            assert dagster.wait(run_id) == "SUCCESS", "\n".join(dagster.said(run_id))
        assert nodes_of_steps(cluster) == {"number": "cpu-0", "on_a_gpu": "gpu-0"}
        gpu_pod = cluster.started_pods("on_a_gpu")[0]
        assert f"devices 0 in {gpu_pod['metadata']['name']}" in printed(cluster)
        assert used(cluster.requests)[("batch", "jobs", "create")] == 3, "one Job for the run, one for each step"
        assert not [request for request in cluster.requests if request.status >= 400]


@pytest.mark.torch
def test_a_retrain_from_the_ui_trains_in_a_gpu_pod_and_registers_the_model(tmp_path: Path, postgres_url: str) -> None:
    port = free_port()
    with (
        fresh_database() as state_url,
        mlflow_server(port, tmp_path / "mlflow.db", tmp_path / "models") as mlflow_url,
        PretendCluster(tmp_path / "cluster", rbac=True) as cluster,
    ):
        environ = project_environment(cluster, state_url, mlflow_url)
        curated_day(Lake(environ["FT_ASSETS_LAKE"]))
        launcher = ("ft_assets.defs.run_pods", "RunPods")
        with dagster_on(cluster, postgres_url, "ft_assets.definitions", environ, launcher_class=launcher) as dagster:
            run_id = dagster.launch("retrain", partition=LINE, config=QUICK, assets=WING, checks=False)
            assert dagster.wait(run_id, 600) == "SUCCESS", "\n".join(dagster.said(run_id))
            made = {event.asset_key.to_user_string(): event for event in materializations(dagster, run_id)}
        nodes = nodes_of_steps(cluster)
        assert {step for step, node in nodes.items() if node == "gpu-0"} == STEPS_WITH_A_GPU
        assert set(nodes) == set(WING)
        for step in nodes:
            (pod,) = cluster.started_pods(step)
            limits = pod["spec"]["containers"][0]["resources"]["limits"]
            assert limits.get(GPU) == ("1" if step in STEPS_WITH_A_GPU else None), step
        registered = {name: value.value for name, value in made["registered_model"].metadata.items()}
        assert registered["name"].startswith("ea-qa-engineer-tiny-base-v1.0-")
        tags = tags_of_the_only_version(mlflow_url)
        assert tags["adapter_digest"] == made["lora_checkpoint"].metadata["digest"].value
        assert tags["dagster_run_id"] == run_id
        assert not [request for request in cluster.requests if request.status >= 400]


def nodes_of_steps(cluster: PretendCluster) -> dict[str, str]:
    """Where the pod of each step ran; every step has had one pod."""
    names = [
        (variable["value"], pod["spec"]["nodeName"])
        for pod in cluster.started_pods()
        for variable in pod["spec"]["containers"][0]["env"]
        if variable["name"] == "DAGSTER_RUN_STEP_KEY"
    ]
    assert len(dict(names)) == len(names)
    return dict(names)


def printed(cluster: PretendCluster) -> str:
    """What steps printed, where the web UI reads it when their pods are long gone."""
    return "".join(file.read_text() for file in (cluster.claim("shared") / "compute_logs").rglob("*.out"))


def project_environment(cluster: PretendCluster, state_url: str, mlflow_url: str) -> dict[str, str]:
    """What the project reads on a cluster. The line asks for one GPU, and takes answers of every task."""
    shared = cluster.claim("shared")
    lines = shared / "specializations"
    lines.mkdir()
    line: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / f"ft_assets/specializations/{LINE}.yaml").read_text())
    line["select"] = {"roles": [LINE]}
    line["evaluation"] |= {"max_new_tokens": 16, "general_ability": False, "retrieved_examples": 0}
    line["compute"] = {"gpus": 1, "cpu": "2", "memory": "4Gi"}
    (lines / f"{LINE}.yaml").write_text(yaml.safe_dump(line))
    return {
        "FT_ASSETS_EXECUTION": "k8s",
        "FT_ASSETS_LAKE": str(shared / "lake"),
        "FT_ASSETS_STATE_URL": state_url,
        "FT_ASSETS_SPECIALIZATIONS": str(lines),
        "FT_ASSETS_CACHE": str(shared / "cache"),
        "MLFLOW_TRACKING_URI": mlflow_url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def curated_day(lake: Lake) -> None:
    """220 rated answers of one line, landed and curated."""
    from ft_assets.defs.curation import Curation
    from ft_assets.defs.sources import ingest_batch

    rows = [
        {
            "interaction_id": f"answer-{number}",
            "role": LINE,
            "task_type": "debugging",
            "input_text": f"A tester asks why request number {number} of the {number % 17} queue fails",
            "output_text": f"Worker {number} lost its lease on queue {number % 17}; restart it and look again.",
            "user_feedback": 5,
            "source": "test",
        }
        for number in range(220)
    ]
    lake.land(DAY, "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    ingest_batch(lake, [DAY])
    Curation(lake).curate_batch([DAY])


def materializations(dagster: DagsterOnCluster, run_id: str) -> list[Any]:
    """What the run's assets reported."""
    entries = dagster.instance.all_logs(run_id)
    return [entry.asset_materialization for entry in entries if entry.asset_materialization]


def tags_of_the_only_version(mlflow_url: str) -> dict[str, str]:
    """The tags of the model version that MLflow's registry holds."""
    answer = urllib.request.urlopen(f"{mlflow_url}/api/2.0/mlflow/model-versions/search", timeout=30)
    (version,) = json.loads(answer.read())["model_versions"]
    assert version["name"] == "ea-qa-engineer"
    return {tag["key"]: tag["value"] for tag in version["tags"]}
