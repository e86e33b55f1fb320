"""Where runs and steps execute: processes of this machine, or pods; and what a step asks of a cluster."""

from typing import Any

import dagster as dg

from ft_assets.cluster.pod_config import GpuNodes, gpu_step
from ft_assets.defs.conventions import SETTINGS

GPU_NODES = GpuNodes(SETTINGS.gpu_node_selector, SETTINGS.gpu_taints)
NEEDS, GPU, SMALLER = "ft_assets/needs", "gpu", "ft_assets/smaller_batches"
# op_tags, not tags: what a job is tagged with is not read when assets are launched directly.
GENERATES: dict[str, Any] = {NEEDS: GPU, "dagster-k8s/config": gpu_step(GPU_NODES)}
TRAINS: dict[str, Any] = {**GENERATES, SMALLER: "after OOM"}  # knows how to go on with smaller micro-batches
OOM_KILLED = "OOM-killed"  # stands in the error of each retry for want of memory


def executor() -> dg.ExecutorDefinition:
    """What runs the steps: four processes at once on this machine, or a Kubernetes Job for each."""
    if SETTINGS.execution == "local":
        return dg.multiprocess_executor.configured({"max_concurrent": 4})
    from ft_assets.defs.step_retries import step_pods

    return step_pods()


def executor_of_small_steps() -> dg.ExecutorDefinition:
    """For steps that follow each other and would pay more for a process each than for their work; pods stay pods."""
    return dg.in_process_executor if SETTINGS.execution == "local" else executor()


def times_out_of_memory(context: dg.AssetExecutionContext) -> int:
    """How often this step's pod was OOM-killed before, in this run and in the runs that it repeats.

    The event log is what remembers it: the process itself is gone before it could say a word. Where the step still
    could, because it was one of several processes that was killed, the executor's remark stands there instead.
    """
    run = context.run
    runs = dict.fromkeys(filter(None, (run.root_run_id, run.parent_run_id, run.run_id)))
    step_key = context.get_step_execution_context().step.key
    kinds = {dg.DagsterEventType.STEP_UP_FOR_RETRY, dg.DagsterEventType.ENGINE_EVENT}
    entries = [entry for run_id in runs for entry in context.instance.all_logs(run_id, of_type=kinds)]
    events = [entry.dagster_event for entry in entries if entry.dagster_event]
    return sum(OOM_KILLED in _words(event) for event in events if event.step_key == step_key)


def _words(event: dg.DagsterEvent) -> str:
    """What a retry's error or an engine event says."""
    if event.is_step_up_for_retry and event.step_retry_data.error:
        return str(event.step_retry_data.error.message)
    return event.message or ""
