import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.torch

LOOK = """
from ft_assets.compute import compute_device, device_kind, fastest_dtype, use_available_cores
cores = use_available_cores()
import os, torch
print(cores, torch.get_num_threads(), os.environ["OMP_WAIT_POLICY"], compute_device(), fastest_dtype(), device_kind())
"""


def look(**environ: str) -> list[str]:
    """What a fresh process says about its machine."""
    without = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    command = [sys.executable, "-c", LOOK]
    done = subprocess.run(command, env={**without, **environ}, capture_output=True, text=True, check=True)
    return done.stdout.split(maxsplit=5)


def test_torch_uses_the_cores_that_this_process_may_use_and_its_waiting_threads_sleep():
    cores, threads, policy, device, dtype, kind = look()
    assert 1 <= int(cores) <= len(os.sched_getaffinity(0))
    assert (threads, policy) == (cores, "PASSIVE")
    assert device in ("cpu", "cuda")
    assert dtype in ("torch.bfloat16", "torch.float32")
    assert kind.strip()


def test_what_the_operator_has_set_stays():
    assert look(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="ACTIVE")[:3] == ["1", "1", "ACTIVE"]
