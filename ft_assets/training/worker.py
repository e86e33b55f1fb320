"""A process of a training on several devices: `python -m ft_assets.training.worker FOLDER`, which starts the others.

Without torchrun's variables it is torchrun itself, one process per device; with them it trains as one of those. It
talks to its starter through FOLDER and, from the first process, through marked lines on stdout.
"""

import ctypes
import json
import os
import signal
import sys
import tempfile
import traceback
from functools import partial
from pathlib import Path
from typing import Any

from ft_assets.training.device_job import SAID, read_job, write_error, write_exits, write_result

PDEATHSIG = 1  # PR_SET_PDEATHSIG
FAILED = 1


def main() -> None:
    folder = Path(sys.argv[1])
    if "LOCAL_RANK" in os.environ:
        sys.exit(work(folder))
    sys.exit(start(folder, int(sys.argv[2])))


def start(folder: Path, devices: int) -> int:
    """Runs `devices` processes under torchrun's agent, which ends all of them when one fails; the exit code."""
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    _die_with_starter(signal.SIGTERM)  # the processes get it too, so that they save
    command = ["--standalone", "--nproc-per-node", str(devices), "--module", "ft_assets.training.worker", str(folder)]
    try:
        run(parse_args(command))
    except ChildFailedError as error:
        write_exits(folder, {rank: failure.exitcode for rank, failure in error.failures.items()})
        return FAILED
    except SignalException as error:
        write_exits(folder, {})
        return 128 + int(error.sigval)
    return 0


def work(folder: Path) -> int:
    """Trains as one of several processes; the exit code. The first process writes the result."""
    rank = int(os.environ["RANK"])
    _die_with_starter(signal.SIGKILL)
    try:
        job, rows = read_job(folder)
        from ft_assets.compute import compute_device
        from ft_assets.training.distribution import shard_on_a_cpu_too, sharded_as_asked
        from ft_assets.training.launch import saver_of
        from ft_assets.training.sweep_stop import stops
        from ft_assets.training.train import train

        if compute_device() == "cuda":
            import torch

            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))  # "cuda" means this one from here on
        shard_on_a_cpu_too()
        tell = _tell if rank == 0 else _keep_silent
        with tempfile.TemporaryDirectory() as elsewhere:
            result = train(
                base_dir=job.base_dir,
                rows=rows,
                recipe=job.recipe,
                work_dir=job.last_dir,
                checkpoints=partial(saver_of, job, partial(tell, "alert")),
                out_dir=job.out_dir if rank == 0 else Path(elsewhere),
                system_prompt=job.system_prompt,
                on_progress=partial(tell, "progress"),
                provenance=job.provenance,
                on_alert=partial(tell, "alert"),
                callbacks=[sharded_as_asked(), *stops(job.stop_after_steps, list(job.training_ids)[-1])],
                tokens_dir=job.tokens_dir,
                lowerings=job.lowerings,
            )
        if rank == 0:
            write_result(folder, result)
        _leave_group()
    except BaseException as error:
        write_error(folder, rank, error)
        traceback.print_exc()
        return FAILED
    return 0


def _tell(what: str, content: Any) -> None:
    line = SAID + json.dumps({what: content}) + "\n"
    sys.stdout.flush()
    os.write(sys.stdout.fileno(), line.encode())  # one write: lines of other processes do not fall into it


def _keep_silent(what: str, content: Any) -> None:
    """Every process logs; the first one speaks."""


def _leave_group() -> None:
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        dist.barrier()  # nobody leaves while another still reads from it
        dist.destroy_process_group()


def _die_with_starter(number: int) -> None:
    """Asks the kernel (Linux) to send that signal when the process that started this one is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PDEATHSIG, int(number), 0, 0, 0)


if __name__ == "__main__":
    main()
