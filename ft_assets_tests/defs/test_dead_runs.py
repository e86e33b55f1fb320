"""A run that was killed with everything around it does not block the next one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from ft_assets.defs.dead_runs import end_dead_runs

CODE = """
import sys, time
import dagster as dg
@dg.asset(pool="gpu")
def slow():
    print("inside", flush=True)
    time.sleep(600)
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    dg.materialize([slow], instance=instance)
"""


@pytest.mark.slow
def test_a_killed_run_is_ended_and_its_slot_is_free_again(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("concurrency: {pools: {granularity: op, default_limit: 1}}\n")
    child = subprocess.Popen(
        [sys.executable, "-c", CODE, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "inside"
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert end_dead_runs(instance, grace_seconds=0) == [], "a living run is left alone"
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        run = instance.get_runs()[0]
        storage = instance.event_log_storage
        assert storage.get_concurrency_info("gpu").active_slot_count == 1
        time.sleep(0.05)
        assert end_dead_runs(instance, grace_seconds=0) == [run.run_id]
        assert storage.get_concurrency_info("gpu").active_slot_count == 0
        ended = instance.get_run_by_id(run.run_id)
        assert ended is not None
        assert ended.status == dg.DagsterRunStatus.FAILURE
