"""Two steps for the tests of failures: one that trains and keeps checkpoints, and a small one."""

import copy
import os
import time
from pathlib import Path

import dagster as dg

from ft_assets.defs.conventions import GPU_POOL, MODEL_LINES
from ft_assets.defs.execution import TRAINS, executor, times_out_of_memory

SHARED = Path(os.environ["FAILING_STEPS"])
STEPS = 3
IMPATIENT = copy.deepcopy(TRAINS)
IMPATIENT["dagster-k8s/config"]["pod_spec_config"]["termination_grace_period_seconds"] = 2


@dg.asset(partitions_def=MODEL_LINES, op_tags=IMPATIENT, pool=GPU_POOL)
def trained(context: dg.AssetExecutionContext) -> None:
    """Counts to three, a checkpoint a step; waits at each until the test says go, and goes on from what is there."""
    folder = SHARED / context.run.tags["scenario"]
    folder.mkdir(exist_ok=True)
    done = len(list(folder.glob("checkpoint-*")))
    halvings = times_out_of_memory(context)
    for step in range(done, STEPS):
        (folder / f"checkpoint-{step}").touch()
        if step == done:
            with (folder / "attempts").open("a") as attempts:
                attempts.write(f"from {done}, halved {halvings}\n")
        print(f"step {step} of {context.partition_key}", flush=True)
        while not (folder / "go").exists():
            if (folder / "crash").exists():
                os._exit(3)
            time.sleep(0.05)


@dg.asset(partitions_def=MODEL_LINES)
def counted(context: dg.AssetExecutionContext) -> None:
    """A step without a GPU."""
    print("counted", flush=True)


defs = dg.Definitions(assets=[trained, counted], executor=executor())
