"""A retrain whose pods share nothing but S3 and PostgreSQL, and lose their disks on the way."""

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from ft_assets.lake import Lake
from ft_assets.settings import PROJECT_ROOT
from ft_assets_tests.kubernetes.dagster_on_cluster import HOME_IN_PODS, DagsterOnCluster, dagster_on
from ft_assets_tests.kubernetes.helm_chart import dagster_yaml, values
from ft_assets_tests.kubernetes.pretend_cluster import GPU_LABELS, GPU_TAINT, PretendCluster
from ft_assets_tests.kubernetes.pretend_memory import can_limit_memory
from ft_assets_tests.kubernetes.pretend_scheduler import Node
from ft_assets_tests.kubernetes.test_run_on_cluster import LINE, WING, curated_day, materializations
from ft_assets_tests.mlflow_servers import free_port, mlflow_server
from ft_assets_tests.postgres_server import fresh_database

pytestmark = [
    *(pytest.mark.service, pytest.mark.slow, pytest.mark.torch, pytest.mark.long),
    pytest.mark.skipif(not can_limit_memory(), reason="cgroups v1 cannot be made here"),
]
KNOBS = {"num_train_epochs": 3, "max_length": 256, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 1}
TRAINING = {"ops": {"lora_checkpoint": {"config": {"overrides": KNOBS}}}}
CHECKPOINTS = "work/training/"  # under the root of the lake
PATIENCE_SECONDS = 400
KEEPS_LOGS = importlib.util.find_spec("dagster_aws") is not None  # the extra s3-logs, which the image has


def test_a_training_goes_on_from_s3_after_an_eviction_and_with_half_the_micro_batch_after_a_real_oom_kill(
    tmp_path: Path, postgres_url: str, s3: Any, bucket: str, endpoint: str
) -> None:
    url, port = f"s3://{bucket}/production", free_port()
    gpus = [Node(name, dict(GPU_LABELS), [dict(GPU_TAINT)], gpus=1) for name in ("gpu-0", "gpu-1")]
    with (
        fresh_database() as state_url,
        mlflow_server(port, tmp_path / "mlflow.db", tmp_path / "models") as mlflow_url,
        PretendCluster(tmp_path / "cluster", nodes=[Node("cpu-0"), *gpus], rbac=True, limits_memory=True) as cluster,
    ):
        curated_day(Lake(url, tmp_path / "own_cache"))
        environ = environment(tmp_path / "lines", url, endpoint, state_url, mlflow_url)
        with dagster_on(
            cluster,
            postgres_url,
            "ft_assets.definitions",
            environ,
            launcher=private_disks(),
            launcher_class=("ft_assets.defs.run_pods", "RunPods"),
            instance={"compute_logs": compute_logs(bucket, endpoint)},
        ) as dagster:
            run_id = dagster.launch("retrain", partition=LINE, config=TRAINING, assets=WING, checks=False)
            saved = [cluster.wait_for(lambda: last_saved(s3, bucket), PATIENCE_SECONDS)]
            cluster.faults.evict(cluster.started_pods("lora_checkpoint")[-1])
            cluster.wait_for(lambda: last_saved(s3, bucket) > saved[0], PATIENCE_SECONDS)
            saved.append(last_saved(s3, bucket))
            cluster.faults.run_out_of_memory(cluster.started_pods("lora_checkpoint")[-1])
            assert dagster.wait(run_id, PATIENCE_SECONDS) == "SUCCESS", "\n".join(dagster.said(run_id))
            made = {event.asset_key.to_user_string(): event for event in materializations(dagster, run_id)}
            steps, output = steps_of_attempts(dagster, run_id), written(dagster, run_id)
        evicted, killed = dagster.said(run_id, dg.DagsterEventType.STEP_UP_FOR_RETRY)
        assert "ended by its node" in evicted
        assert "was OOM-killed: it took more memory than its limit of 4Gi" in killed
        assert len(steps) == len(cluster.started_pods("lora_checkpoint")) == 3
        assert [attempt[0] > before for attempt, before in zip(steps[1:], saved, strict=True)] == [True, True], steps
        assert not [pod for pod in cluster.started_pods() if shares_a_disk(pod)]
        adapter = Lake(url, tmp_path / "own_cache").artifact(
            "adapter", made["lora_checkpoint"].metadata["digest"].value
        )
        (told,) = json.loads((adapter.path / "provenance.json").read_text())["lowered"]["sft"]
        assert "per_device_train_batch_size 4 became 2 and gradient_accumulation_steps 1 became 2" in told
        assert made["registered_model"].metadata["name"].value.startswith("ea-qa-engineer-")
        if KEEPS_LOGS:
            assert [f"step {attempt[0]} of" in output for attempt in steps] == [True] * 3, "the dead pods' lines too"


def environment(lines: Path, url: str, endpoint: str, state_url: str, mlflow_url: str) -> dict[str, str]:
    """What servers and pods read. The lines are part of the image; keys without a role are variables."""
    line = yaml.safe_load((PROJECT_ROOT / f"ft_assets/specializations/{LINE}.yaml").read_text())
    line["select"] = {"roles": [LINE]}
    line["evaluation"] |= {"max_new_tokens": 16, "general_ability": False, "retrieved_examples": 0}
    line["compute"] = {"gpus": 1, "cpu": "2", "memory": "4Gi"}
    lines.mkdir()
    (lines / f"{LINE}.yaml").write_text(yaml.safe_dump(line))
    return {
        "FT_ASSETS_EXECUTION": "k8s",
        "FT_ASSETS_LAKE": url,
        "FT_ASSETS_STATE_URL": state_url,
        "FT_ASSETS_SPECIALIZATIONS": str(lines),
        "MLFLOW_TRACKING_URI": mlflow_url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "tester",
        "AWS_REGION": "us-east-1",
    }


def private_disks() -> dict[str, Any]:
    """The launcher's volumes without any that two pods could share; /tmp of the image is /scratch here."""
    return {
        "volumes": [{"name": "home", "configMap": {"name": "dagster-instance"}}, {"name": "tmp", "emptyDir": {}}],
        "volume_mounts": [
            {"name": "home", "mountPath": f"{HOME_IN_PODS}/dagster.yaml", "subPath": "dagster.yaml"},
            {"name": "tmp", "mountPath": "/scratch"},
        ],
        "env_vars": ["FT_ASSETS_CACHE=/scratch/cache"],
    }


def compute_logs(bucket: str, endpoint: str) -> dict[str, Any]:
    """As values-s3.yaml makes them, in the test's bucket; none where dagster-aws is not installed."""
    if not KEEPS_LOGS:
        return {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    deployed = dagster_yaml(values("values.yaml", "values-s3.yaml"))["compute_logs"]
    here = {"bucket": bucket, "endpoint_url": endpoint, "upload_interval": 1, "region": "us-east-1"}
    return {**deployed, "config": {**deployed["config"], **here}}


def last_saved(s3: Any, bucket: str) -> int:
    """The highest step of which S3 has a checkpoint with its manifest; 0 before there is one."""
    found = s3.list_objects_v2(Bucket=bucket, Prefix="/".join(("production", CHECKPOINTS))).get("Contents", [])
    keys = [re.search(r"/checkpoint-(\d+)[/.].*manifest", one["Key"]) for one in found]
    return max((int(key[1]) for key in keys if key), default=0)


def steps_of_attempts(dagster: DagsterOnCluster, run_id: str) -> list[list[int]]:
    """The optimizer steps that each attempt of the training told of, in their order."""
    attempts: list[list[int]] = []
    for entry in dagster.instance.all_logs(run_id):
        event = entry.dagster_event
        kind = event.event_type if event else None
        if kind in (dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_RESTARTED):
            attempts += [[]] if event and event.step_key == "lora_checkpoint" else []
        elif attempts and (found := re.search(r"sft step (\d+) of", entry.user_message or "")):
            attempts[-1].append(int(found[1]))
    return attempts


def written(dagster: DagsterOnCluster, run_id: str) -> str:
    """All that the training's pods wrote, as the UI reads it when they are gone."""
    return "".join(
        (dagster.instance.compute_log_manager.get_log_data(key).stderr or b"").decode()
        for key in log_keys(dagster, run_id)
    )


def log_keys(dagster: DagsterOnCluster, run_id: str) -> Iterator[list[str]]:
    for entry in dagster.instance.all_logs(run_id, of_type=dg.DagsterEventType.LOGS_CAPTURED):
        event = entry.dagster_event
        if event and "lora_checkpoint" in (event.logs_captured_data.step_keys or []):
            yield [run_id, "compute_logs", event.logs_captured_data.file_key]


def shares_a_disk(pod: dict[str, Any]) -> bool:
    return any({"persistentVolumeClaim", "hostPath"} & set(volume) for volume in pod["spec"].get("volumes") or [])
