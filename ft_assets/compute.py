"""What this machine computes with: device, number format, cores. torch is imported on first use."""

import gc
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

ALLOCATOR = {"_RJEM_MALLOC_CONF": "dirty_decay_ms:30000,muzzy_decay_ms:30000"}  # how Polars' jemalloc is told
CPU_FLAGS_OF_BF16 = {"avx512_bf16", "amx_bf16"}


def compute_device() -> str:
    """'cuda' where a GPU can be used, else 'cpu'."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def device_kind() -> str:
    """The make of the GPU, or of the CPU where there is none: another kind gives other weights from the same seed."""
    import torch

    if compute_device() == "cuda":
        return str(torch.cuda.get_device_name(0))
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def fastest_dtype() -> "torch.dtype":
    """bfloat16 where the hardware computes in it (a third of the time on such a CPU), else float32.

    Other CPUs emulate bfloat16 and take many times longer.
    """
    import torch

    if compute_device() == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if CPU_FLAGS_OF_BF16 & set(_cpuinfo("flags").split()) else torch.float32


def let_waiting_threads_sleep() -> None:
    """Makes torch's threads give up their core while they wait. Only counts before torch is imported.

    Threads that spin for a core that another process holds make a busy machine ten times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def collect_garbage_seldom() -> None:
    """Lets Python look for circular garbage after 50,000 new objects, not after 700, until `keep_what_is_loaded`.

    What a run imports is a million objects that all stay; looking at them again and again was a quarter of its start.
    """
    gc.set_threshold(50_000, 20, 20)


def keep_what_is_loaded() -> None:
    """Takes everything that lives now out of garbage collection, before a step makes millions of small objects.

    Each full collection would look at all of Dagster and its definitions again: a fifth of a curation run's CPU. What
    the step makes is collected often: garbage that stays holds tables, and fresh memory for others is dear.
    """
    gc.freeze()
    gc.set_threshold(700, 10, 10)  # Python's own


def reuse_freed_memory() -> None:
    """Makes Polars and delta-rs keep freed memory for half a minute. Only counts before they are imported.

    They give it back within a second otherwise, and fetching it anew for each batch of days was an eighth
    of a curation run's CPU on a virtual machine.
    """
    for name, value in ALLOCATOR.items():
        os.environ.setdefault(name, value)


def use_available_cores() -> int:
    """Lets torch use the cores this process may use and no more; how many. A lower OMP_NUM_THREADS is respected."""
    let_waiting_threads_sleep()
    import torch

    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = min(torch.get_num_threads(), affinity, _container_quota() or affinity)
    torch.set_num_threads(cores)
    return cores


def _container_quota() -> int | None:
    """The CPU quota of this container in whole cores, rounded up; None where there is none."""
    limit = Path("/sys/fs/cgroup/cpu.max")
    if not limit.exists():
        return None
    quota, period = limit.read_text().split()
    return None if quota == "max" else max(1, -(-int(quota) // int(period)))


def _cpuinfo(field: str) -> str:
    """The first value of a field in /proc/cpuinfo; empty where the system has none."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == field), "")
