"""What a device can do at most: dense bfloat16 operations per second and memory, from data sheets; a CPU is measured.

MFU is k x N x tokens per second over this peak (Chowdhery et al. 2022, appendix B). Data sheets print twice the number
for matrices that are half zeros ("with sparsity"); here stands the dense one.
"""

import re
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

TERA, GIGA = 1e12, 1_000_000_000


@dataclass(frozen=True)
class Peak:
    """Dense bfloat16 FLOP/s with float32 sums, and bytes of memory; None where cards of one name differ in it."""

    flops: float
    memory_bytes: int | None


# What stands in a device's name, most specific first. Names are those of torch.cuda.get_device_name, nvidia-smi and the
# label nvidia.com/gpu.product. Sources: NVIDIA's data sheets of each card; whitepapers "Ada GPU Architecture" (4090,
# RTX 6000 Ada), "GA102" (3090, A6000) and "RTX Blackwell" (5090); AWS for the A10G; AMD's data sheet for the MI300X.
PEAKS: tuple[tuple[str, Peak], ...] = (
    ("B200", Peak(2250 * TERA, 180 * GIGA)),
    ("GH200", Peak(990 * TERA, None)),
    ("H200 NVL", Peak(835 * TERA, 141 * GIGA)),
    ("H200", Peak(989 * TERA, 141 * GIGA)),
    ("H100 NVL", Peak(835 * TERA, 94 * GIGA)),
    ("H100 PCIe", Peak(756 * TERA, 80 * GIGA)),
    ("H100", Peak(989 * TERA, 80 * GIGA)),
    ("H20", Peak(148 * TERA, None)),
    ("A100 80GB", Peak(312 * TERA, 80 * GIGA)),
    ("A100 SXM4 80GB", Peak(312 * TERA, 80 * GIGA)),
    ("A100", Peak(312 * TERA, 40 * GIGA)),
    ("A30", Peak(165 * TERA, 24 * GIGA)),
    ("A10G", Peak(70 * TERA, 24 * GIGA)),
    ("A10", Peak(125 * TERA, 24 * GIGA)),
    ("L40S", Peak(362 * TERA, 48 * GIGA)),
    ("L40", Peak(181 * TERA, 48 * GIGA)),
    ("L4", Peak(121 * TERA, 24 * GIGA)),
    ("RTX 6000 Ada", Peak(364 * TERA, 48 * GIGA)),
    ("RTX A6000", Peak(155 * TERA, 48 * GIGA)),
    ("RTX 5090", Peak(209 * TERA, 32 * GIGA)),
    ("RTX 4090", Peak(165 * TERA, 24 * GIGA)),
    ("RTX 3090", Peak(71 * TERA, 24 * GIGA)),
    ("MI300X", Peak(1307 * TERA, 192 * GIGA)),
)
MATRIX, ROUNDS = 1024, 5  # 2 GFLOP a product: long enough for a clock, short enough for preflight


def peak_of(device_name: str) -> Peak | None:
    """The data sheet of a device by its name; None for one that the table does not know (nothing is guessed)."""
    said = _plain(device_name)
    return next((peak for name, peak in PEAKS if re.search(rf"\b{_plain(name)}\b", said)), None)


def peak_flops(device_name: str) -> float | None:
    """Dense bfloat16 FLOP/s of a device by its name, from its data sheet; None for an unknown one."""
    peak = peak_of(device_name)
    return None if peak is None else peak.flops


def peak_flops_here() -> float | None:
    """FLOP/s that this process could reach in the number format that it trains in.

    A GPU's from its data sheet (None for an unknown card), a CPU's measured with the threads that torch has now.
    """
    from ft_assets.compute import compute_device, device_kind, fastest_dtype

    if compute_device() != "cpu":
        return peak_flops(device_kind())
    import torch

    return measured_cpu_peak(str(fastest_dtype()).removeprefix("torch."), torch.get_num_threads())


@cache
def measured_cpu_peak(dtype: str, threads: int) -> float:
    """FLOP/s of a product of two 1024 x 1024 matrices on this CPU: the best of five, by this thread's CPU clock.

    CPU time of one thread, times `threads`: a neighbour who takes the core away does not lower the peak. Takes 50 ms.
    """
    import torch

    number = getattr(torch, dtype)
    left, right = torch.ones(MATRIX, MATRIX, dtype=number), torch.ones(MATRIX, MATRIX, dtype=number)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        left @ right  # the first product prepares the kernel
        seconds = min(_seconds(left, right) for _ in range(ROUNDS))
    finally:
        torch.set_num_threads(before)
    return float(2 * MATRIX**3 / seconds * threads)


def _seconds(left: "torch.Tensor", right: "torch.Tensor") -> float:
    started = time.thread_time()
    left @ right
    return time.thread_time() - started


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()
