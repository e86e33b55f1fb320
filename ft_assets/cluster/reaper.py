"""Which Jobs of Dagster's are left over: their run has ended, and nothing would end them before their TTL."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

RUN_LABEL, COMPONENT_LABEL = "dagster/run-id", "app.kubernetes.io/component"
# Jobs of run workers and steps, as dagster-k8s labels them.
OURS = f"{COMPONENT_LABEL} in (run_worker,step_worker),{RUN_LABEL}"


def left_over(
    jobs: Sequence[Mapping[str, Any]], over_since: Callable[[str], float | None], grace_seconds: float
) -> dict[str, list[str]]:
    """Names of the Jobs to delete, by run id.

    `over_since` tells for how many seconds a run is over: None while it goes on, infinity where Dagster knows no such
    run. A run has `grace_seconds` to tidy up by itself. `jobs` are as the Kubernetes API writes them in JSON.
    """
    by_run: dict[str, list[str]] = {}
    for job in jobs:
        run_id = (job["metadata"].get("labels") or {}).get(RUN_LABEL)
        if run_id and not job["metadata"].get("deletionTimestamp"):
            by_run.setdefault(run_id, []).append(job["metadata"]["name"])
    return {
        run_id: sorted(names)
        for run_id, names in sorted(by_run.items())
        if (seconds := over_since(run_id)) is not None and seconds >= grace_seconds
    }
