"""What running out of memory looks like, and how memory is given back."""

import gc

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

_MORE_MESSAGES = (
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "could not create a primitive",  # oneDNN, the CPU's kernels
    "could not create a memory",
    "std::bad_alloc",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or the machine had no memory left for an allocation."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if not isinstance(error, RuntimeError):
        return False
    return should_reduce_batch_size(error) or any(word in str(error) for word in _MORE_MESSAGES)


def release_memory() -> None:
    """Give back what no tensor uses any more; call it once the failed call's frames are gone."""
    gc.collect()
    clear_device_cache()
