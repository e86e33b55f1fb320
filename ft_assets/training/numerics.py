"""The numeric fingerprint of a training: what decides, beside rows, recipe and seed, which bits the weights have.

Sums of floats depend on their order, and the order on the instructions that a processor has, on its caches, on the
number of threads and on the libraries. Where all of these are the same, the same training gives the same bytes.
"""

import os
from collections.abc import Mapping
from typing import Any

from ft_assets.compute import compute_device, fastest_dtype

INSTRUCTIONS = ("avx", "amx", "fma", "f16c", "sve", "sme", "neon", "bf16", "i8mm", "dotprod", "vsx", "rvv")
CACHES = ("l1d_cache_size", "l2_cache_size")
# Variables that choose another kernel or another order. Not those that only say how threads wait or how many there are:
# the number is recorded by itself.
VARIABLES = ("OMP_", "MKL_", "KMP_", "DNNL_", "ONEDNN_", "ATEN_", "CUBLAS_", "NVIDIA_TF32_", "TORCH_ALLOW_TF32_")
WITHOUT_EFFECT = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
# The parts of provenance.json that the fingerprint is made of; `numerics` is absent in adapters of an earlier version.
PARTS = ("device", "libraries", "numerics", "python")
NOT_RECORDED = "not recorded"


def numerics() -> dict[str, Any]:
    """Instructions and caches of the processor, number format, the kernels that torch chooses, and variables that
    change them; on a GPU also what computes there. Kind, threads and versions stand beside it in the provenance."""
    import torch

    found = torch.cpu.get_capabilities()
    return {
        "cpu": str(found.get("cpu_name") or found.get("architecture", "unknown")),
        "instructions": sorted(name for name, has in found.items() if has is True and name.startswith(INSTRUCTIONS)),
        "caches": {name: found[name] for name in CACHES if name in found},
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "dtype": str(fastest_dtype()).removeprefix("torch."),
        "processes": int(os.environ.get("WORLD_SIZE") or 1),  # torchrun's: gradients are summed over them
        "variables": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(VARIABLES) and name not in WITHOUT_EFFECT
        },
        **(_gpu() if compute_device() == "cuda" else {}),
    }


def differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Where two provenance records differ in what decides the bits: name to (then, now), sorted by name."""
    one, other = _flat(then), _flat(now)
    return {
        name: (one.get(name, NOT_RECORDED), other.get(name, NOT_RECORDED))
        for name in sorted({*one, *other})
        if one.get(name, NOT_RECORDED) != other.get(name, NOT_RECORDED)
    }


def _gpu() -> dict[str, Any]:
    import torch

    return {
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "compute_capability": ".".join(map(str, torch.cuda.get_device_capability(0))),
        "tf32": torch.backends.cuda.matmul.allow_tf32,
    }


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for part in PARTS:
        values = record.get(part)
        if isinstance(values, Mapping):
            flat |= {f"{part}.{name}": value for name, value in values.items()}
        elif values is not None:
            flat[part] = values
    return flat
