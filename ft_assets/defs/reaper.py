"""Deletes the Kubernetes Jobs of runs that are over.

A run ends its own Jobs. What is left over was left by a run worker that died itself, by a run that the daemon or a
person marked as over, or by a cluster that did not answer just then; such a pod would hold its GPU for hours.
"""

import math
import time
from typing import Any

import dagster as dg

from ft_assets.cluster.reaper import OURS, left_over
from ft_assets.defs.cluster_client import ClusterClient
from ft_assets.defs.conventions import SETTINGS

GRACE_SECONDS = 60


@dg.sensor(minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def jobs_of_finished_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Deletes Jobs and pods whose run is over for a minute, and frees the pool slots that it still holds."""
    if SETTINGS.execution != "k8s":
        return dg.SkipReason("Runs and steps are processes here; there are no Jobs.")
    deleted = reap(context.instance)
    return dg.SkipReason(f"Deleted {', '.join(deleted)}." if deleted else "No run that is over has left a Job.")


def reap(instance: dg.DagsterInstance, grace_seconds: float = GRACE_SECONDS) -> list[str]:
    """Names of the Jobs that were deleted: those of runs that ended `grace_seconds` ago, or that nobody knows."""
    launcher: Any = instance.run_launcher
    client, namespace = ClusterClient.like(launcher._api_client), launcher.job_namespace
    deleted = []
    for run_id, names in left_over(client.jobs(namespace, OURS), over_for(instance), grace_seconds).items():
        deleted += [name for name in names if client.delete_job(name, namespace)]
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return deleted


def over_for(instance: dg.DagsterInstance) -> Any:
    """A function of a run id: seconds since the run's end, None while it goes on, infinity for an unknown one."""

    def seconds(run_id: str) -> float | None:
        record = instance.get_run_record_by_id(run_id)
        if record is None:
            return math.inf
        if not record.dagster_run.is_finished:
            return None
        return time.time() - (record.end_time or record.update_timestamp.timestamp())

    return seconds
