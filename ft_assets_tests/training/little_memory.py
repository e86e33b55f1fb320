"""Work in a forked child that may take so many bytes more, and no more: allocations fail for real."""

import ctypes
import json
import os
import resource
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

MIB = 2**20
M_MMAP_THRESHOLD = -3  # malloc.h
LONGEST_SECONDS = 120


def in_child(work: Callable[[], Any], more_bytes: int | None = None) -> dict[str, Any]:
    """What `work` returns, under `returned`, or its error under `error` (the type's name) and `message`; as JSON."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.alarm(LONGEST_SECONDS)
        try:
            os.write(writing, json.dumps(_done(work, more_bytes)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        told = answer.read()
    _, status = os.waitpid(child, 0)
    assert told, f"the child ended with {status} and said nothing"
    return json.loads(told)


def _done(work: Callable[[], Any], more_bytes: int | None) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)  # OpenMP's other threads are not in a fork
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MIB)  # glibc: what is freed leaves the address space, and no holes stay
    if more_bytes is not None:
        end_memory_after(more_bytes)
    try:
        done = {"returned": work()}
    except Exception as error:
        done = {"error": type(error).__name__, "message": str(error), "where": traceback.format_exc()[-2000:]}
    return done


def end_memory_after(more_bytes: int) -> None:
    """Lets this process take so many bytes more of memory of its own (no files, no stacks), and no more."""
    lines = Path("/proc/self/status").read_text().splitlines()
    now = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (now + more_bytes, resource.RLIM_INFINITY))
