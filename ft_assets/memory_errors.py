"""Memory that ran out: how torch says it, and how what a failed attempt held is let go."""

import ctypes
import gc
import platform
import traceback

# What torch says in a plain RuntimeError: its CPU allocator, CUDA's libraries, C++, the kernel (ENOMEM).
SAID_BY_TORCH = (
    *("DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory", "CUDA out of memory"),
    *("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "cudaErrorMemoryAllocation", "std::bad_alloc"),
    *("Cannot allocate memory", "CUDA error: out of memory"),
    # oneDNN, whose products need a workspace; it says no more than this
    *("could not create a primitive", "could not create a memory", "could not execute a primitive"),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on a GPU or in main memory."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError | OSError) and any(words in str(error) for words in SAID_BY_TORCH)


def forget(error: BaseException | None) -> None:
    """Empties the frames that an error keeps alive: they hold tensors."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def free_memory() -> None:
    """Gives back what nobody holds any more."""
    import torch

    gc.collect()  # a trainer, its model and its callbacks hold each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)  # its heap would keep a third of what the attempt had
