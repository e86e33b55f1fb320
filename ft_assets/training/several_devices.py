"""A training on several devices of this machine: torchrun in a process of its own, as one call that ends or raises."""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ft_assets.compute import compute_device
from ft_assets.errors import BadConfiguration
from ft_assets.training.checkpoint_saver import TrainingInterrupted
from ft_assets.training.device_job import SAID, DeviceJob, error_in, read_result, write_job
from ft_assets.training.distribution import SHARDED, accumulation_on, shards_by_default
from ft_assets.training.result import TrainingResult
from ft_assets.training.stage_data import TrainingRows

log = logging.getLogger(__name__)

LAST_LINES = 20
PATIENCE_SECONDS = 45  # torchrun's agent gives the processes 30 s to end after a signal


def devices(cpu_processes: int = 1) -> int:
    """How many devices this process may train on: its visible GPUs, or on a CPU as many processes as it is told."""
    if compute_device() != "cuda":
        return cpu_processes
    import torch

    return int(torch.cuda.device_count())


def train_on_devices(
    job: DeviceJob,
    rows: TrainingRows,
    count: int,
    on_progress: Callable[[dict[str, Any]], None],
    on_alert: Callable[[str], object] = log.error,
    fsdp: bool | None = None,
) -> TrainingResult:
    """Trains on `count` devices and gives what `train.train` gives; the artifact is in `job.out_dir`.

    A step reads the same rows as on one device: the accumulation is divided by `count`. `fsdp` shards the weights
    (FSDP2); None does so under method full. On a CPU the processes talk over gloo. Checkpoints, resuming and the
    values of `on_progress` are those of one process. No process is left when it returns or raises.

    Two devices give the loss of one to about 1e-6 a step in float32, not its bytes: sums have another order. The same
    number of devices gives the same bytes. Where the forwards of an epoch do not divide by the devices, its last step
    reads the rows of up to `count` - 1 forwards twice.

    Raises:
        BadConfiguration: the accumulation does not divide by `count`, or qlora was to be sharded.
        DeviceLost: a process was killed. Run again, it resumes.
        TrainingInterrupted: SIGTERM came, and what fitted was saved. Run again.
        Exception: what a process raised, with its type.
    """
    for stage in job.recipe.stages():
        accumulation_on(stage, count)
    sharded = shards_by_default(job.recipe) if fsdp is None else fsdp
    if sharded and job.recipe.method == "qlora":
        raise BadConfiguration(
            "FSDP2 with method qlora trains, but accelerate cannot read its checkpoints back (they lack the constants "
            "of the four bits), so that nothing could be resumed or chosen. Use DDP, which holds the base of four bits "
            "on each device, or method lora."
        )
    spread = {"devices": count, "distribution": "fsdp2" if sharded else "ddp"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_job(folder, _with(job, spread), rows)
        command = [sys.executable, "-m", "ft_assets.training.worker", name, str(count)]
        with (
            subprocess.Popen(
                command, env=_environment(count, sharded), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            ) as agent,
            _signals_passed_on(agent) as came,
            _ended(agent),
        ):
            last_lines = _followed(agent, on_progress, on_alert)
            code = agent.wait()
        if code:
            error = error_in(folder, last_lines)
            raise TrainingInterrupted(str(error)) if came and not isinstance(error, TrainingInterrupted) else error
        return read_result(folder)


def _with(job: DeviceJob, spread: dict[str, Any]) -> DeviceJob:
    return DeviceJob(**{**vars(job), "provenance": {**job.provenance, **spread}})


def _environment(count: int, sharded: bool) -> dict[str, str]:
    """The environment of the processes: each a share of the cores, and no variables of an outer torchrun."""
    outer = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", SHARDED)
    kept = {key: value for key, value in os.environ.items() if key not in outer}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    kept.setdefault("OMP_NUM_THREADS", str(max(1, cores // count)))
    return {**kept, "PYTHONUNBUFFERED": "1", **({SHARDED: "true"} if sharded else {})}


def _followed(
    agent: "subprocess.Popen[str]",
    on_progress: Callable[[dict[str, Any]], None],
    on_alert: Callable[[str], object],
) -> list[str]:
    """Passes on what the first process says until all have ended; the last lines that were no messages."""
    listeners: dict[str, Callable[[Any], object]] = {"progress": on_progress, "alert": on_alert}
    others: deque[str] = deque(maxlen=LAST_LINES)
    for line in agent.stdout or ():
        if line.startswith(SAID):
            for what, content in json.loads(line.removeprefix(SAID)).items():
                listeners[what](content)
        elif line.strip():
            others.append(line.strip())
            log.info("%s", line.rstrip())
    return list(others)


@contextmanager
def _signals_passed_on(agent: "subprocess.Popen[str]") -> Iterator[list[int]]:
    """SIGTERM to this process reaches all others, who save; whoever listened before hears it after they have ended."""
    came: list[int] = []

    def pass_on(number: int, frame: Any) -> None:
        if not came:
            agent.send_signal(signal.SIGTERM)
        came.append(number)

    try:
        before = signal.signal(signal.SIGTERM, pass_on)
    except ValueError:  # not the main thread, where Python forbids it
        yield came
        return
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)
        if came and callable(before):
            before(signal.SIGTERM, None)


@contextmanager
def _ended(agent: "subprocess.Popen[str]") -> Iterator[None]:
    """Whatever happens inside, the agent and its processes are gone afterwards."""
    try:
        yield
    finally:
        if agent.poll() is None:
            agent.terminate()
            try:
                agent.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                agent.kill()  # its processes ask the kernel to die with it
                agent.wait()
