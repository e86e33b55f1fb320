"""Run workers without their pods: a process that has loaded Dagster forks one for each line of its stdin.

A line is JSON: scenario, asset and partition, or the scenario to resume, or the number of seconds after which to reap.
A step of its run is a pod of the pretend cluster as ever; what is saved is the start of a Python for each run worker.
SIGTERM to the process of a run is what its pod would get.
"""

import importlib
import json
import os
import sys

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.execution.api import execute_run_iterator

from ft_assets.defs.reaper import reap


def main() -> None:
    """Serves until stdin ends."""
    module = importlib.import_module(sys.argv[1])
    print("ready", flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        if isinstance(wanted, int):
            with dg.DagsterInstance.get() as instance:
                print(json.dumps(reap(instance, wanted)), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            (resume if "resume" in wanted else run)(module.__name__, wanted)
            os._exit(0)
        print(pid, flush=True)


def run(module: str, wanted: dict[str, str]) -> None:
    """One run of one asset, to its end."""
    repository = ReconstructableRepository.for_module(module, "defs", os.getcwd())
    with dg.DagsterInstance.get() as instance:
        dg.execute_job(
            repository.get_reconstructable_job("__ASSET_JOB"),
            instance=instance,
            tags={"scenario": wanted["scenario"], "dagster/partition": wanted["partition"]},
            run_config={"execution": {"config": {"poll_seconds": 1}}},
            asset_selection=[dg.AssetKey(wanted["asset"])],
        )


def resume(module: str, wanted: dict[str, str]) -> None:
    """The same run from where its lost worker left it, as Dagster's run monitoring does."""
    repository = ReconstructableRepository.for_module(module, "defs", os.getcwd())
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs(dg.RunsFilter(tags={"scenario": wanted["resume"]}))
        job = repository.get_reconstructable_job("__ASSET_JOB").get_subset(asset_selection=run.asset_selection)
        list(execute_run_iterator(job, run, instance, resume_from_failure=True))


if __name__ == "__main__":
    main()
