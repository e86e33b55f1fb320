"""What a training will run on, as far as it is known before: a device of this machine, or one that a cluster gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ft_assets.training.device_peaks import peak_flops_here, peak_of
from ft_assets.training.memory import DeviceType

PRODUCT_LABEL = "nvidia.com/gpu.product"  # what NVIDIA's device plugin writes on a node
# Ends of the process's memory: the machine's, and its container's under cgroup v2 and v1.
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
MEMORY_INFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class TrainingDevice:
    """One kind of device and how many of it. What is None is not known, and nothing is concluded from it.

    `peak_flops` (dense bfloat16, or what a CPU was measured to do) and `memory_bytes` are those of one device.
    """

    type: DeviceType
    name: str
    count: int = 1
    peak_flops: float | None = None
    memory_bytes: int | None = None
    half: bool = True
    dollars_per_hour: float | None = None


def device_here(dollars_per_hour: float | None = None) -> TrainingDevice:
    """The device that this process would train on; imports torch, and measures a CPU's peak in 50 ms."""
    from ft_assets.compute import compute_device, device_kind, fastest_dtype, use_available_cores

    use_available_cores()
    half = fastest_dtype().itemsize == 2
    if compute_device() == "cpu":
        return TrainingDevice("cpu", device_kind(), 1, peak_flops_here(), host_memory(), half, dollars_per_hour)
    import torch

    memory = torch.cuda.get_device_properties(0).total_memory
    count = torch.cuda.device_count()
    return TrainingDevice("cuda", device_kind(), count, peak_flops_here(), memory, half, dollars_per_hour)


def device_asked_for(
    gpus: int, gpu: str | None, node_selector: Mapping[str, str], dollars_per_hour: float | None
) -> TrainingDevice | None:
    """The device that a line's `compute` asks a cluster for; None where it asks for no GPU.

    Its name is `gpu`, otherwise the node selector's nvidia.com/gpu.product. A card that `device_peaks` does not know
    has neither peak nor memory.
    """
    if gpus < 1:
        return None
    name = gpu or node_selector.get(PRODUCT_LABEL)
    peak = peak_of(name) if name else None
    return TrainingDevice(
        "cuda",
        name or "a GPU whose name compute.gpu does not say",
        gpus,
        peak.flops if peak else None,
        peak.memory_bytes if peak else None,
        dollars_per_hour=dollars_per_hour,
    )


def host_memory() -> int | None:
    """Bytes that this process may use: the machine's memory or its container's limit; None where neither is told."""
    limits = [int(text) for path in CGROUP_LIMITS if path.exists() and (text := path.read_text().strip()).isdigit()]
    if MEMORY_INFO.exists():
        limits.append(int(MEMORY_INFO.read_text().split("MemTotal:")[1].split()[0]) * 1024)
    return min(limits, default=None)
