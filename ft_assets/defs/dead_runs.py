"""Ends runs whose processes are gone, so that a killed run does not hold its pool slots and block the next one.

Dagster's run monitoring watches workers that the daemon launched; a run that was killed together with its launcher
(`kill -9`, a power cut, `dg launch` in a closed terminal) stays "started" for ever otherwise.
"""

import os
import time

import dagster as dg

from ft_assets.defs.conventions import SETTINGS

GRACE_SECONDS = 30


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def runs_without_a_process(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Marks runs of this machine as failed when none of their processes lives, and frees their slots."""
    if SETTINGS.execution != "local":
        return dg.SkipReason("Steps are pods here; the cluster watches them.")
    ended = end_dead_runs(context.instance)
    return dg.SkipReason(f"Ended {', '.join(ended)}: no process of theirs is left." if ended else "No dead run.")


def end_dead_runs(instance: dg.DagsterInstance, grace_seconds: float = GRACE_SECONDS) -> list[str]:
    """Ids of the runs that were ended. A run is dead when its last event is `grace_seconds` old and no process that
    ever wrote one of its events is alive on this machine."""
    ended = []
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])):
        entries = instance.all_logs(run.run_id)
        if not entries or time.time() - max(entry.timestamp for entry in entries) < grace_seconds:
            continue
        pids = {entry.dagster_event.pid for entry in entries if entry.dagster_event and entry.dagster_event.pid}
        if any(is_alive(pid) for pid in pids):
            continue
        instance.report_run_failed(
            run, "All processes of this run are gone. Nothing half-written is visible: launch it again."
        )
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        ended.append(run.run_id)
    return ended


def is_alive(pid: int) -> bool:
    """Whether a process of this id exists on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
