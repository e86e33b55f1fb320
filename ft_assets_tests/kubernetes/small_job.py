"""The smallest job that says whether runs and steps become pods: one light step, then one that asks for a GPU."""

import os

import dagster as dg
from dagster_k8s import k8s_job_executor

GPU_STEP = {
    "dagster-k8s/config": {
        "container_config": {"resources": {"limits": {"nvidia.com/gpu": "1", "memory": "1Gi"}}},
        "pod_spec_config": {
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "node_selector": {"nvidia.com/gpu.present": "true"},
        },
    }
}


@dg.op
def number() -> int:
    """What the next step takes."""
    return 41


@dg.op(tags=GPU_STEP)
def on_a_gpu(number: int) -> None:
    """Says where it runs."""
    assert number == 41
    print(f"devices {os.environ['CUDA_VISIBLE_DEVICES']} in {os.environ['HOSTNAME']}")


@dg.job
def two_pods() -> None:
    """One step after the other."""
    on_a_gpu(number())


defs = dg.Definitions(
    jobs=[two_pods],
    executor=k8s_job_executor,
    resources={"io_manager": dg.FilesystemIOManager(base_dir=os.environ["SHARED_VALUES"])},
)
