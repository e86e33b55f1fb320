"""Asks the instance's run launcher for everything it can do, as daemon and web server would, and prints the answers.

Run as a program: the launcher that is asked decides by its environment who it is.
"""

import json
import time

import dagster as dg
from dagster._core.launcher import LaunchRunContext

from ft_assets_tests.kubernetes.small_job import two_pods


def main() -> None:
    """Launches a run, looks at it until its pod has said something, and ends it."""
    with dg.DagsterInstance.get() as instance:
        run = instance.create_run_for_job(two_pods, job_code_origin=dg.reconstructable(two_pods).get_python_origin())
        launcher = instance.run_launcher
        launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
        said, until = "", time.monotonic() + 30
        while "working" not in said and time.monotonic() < until:
            time.sleep(0.1)
            said = launcher.get_run_worker_debug_info(run) or ""
        health = launcher.check_run_worker_health(run).status.value
        print(json.dumps({"said": said, "health": health, "ended": launcher.terminate(run.run_id)}))


if __name__ == "__main__":
    main()
