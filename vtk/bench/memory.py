"""`vtk bench memory`: the memory that one training step takes beside weights and inputs.

On a GPU the allocator's own peak counts. On a CPU it keeps none, so each part of each engine runs
in a process of its own, whose greatest resident size the kernel records anew from where the part
begins; what autograd saves for the backward pass is counted besides, and that count has no noise.
"""

import ctypes
import gc
import multiprocessing
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from vtk.bench.engines import Engine
from vtk.bench.machine import this_machine
from vtk.bench.step import StepSettings, build_engines, where
from vtk.bench.workload import WORKLOADS
from vtk.errors import MissingEnvironmentError

OnProgress = Callable[[str], None]
PARTS = ("prefill", "score", "update")
_CLEAR_REFS: Final = Path("/proc/self/clear_refs")


def bench_memory(
    settings: StepSettings, on_progress: OnProgress = lambda _: None
) -> dict[str, Any]:
    """Peak memory of the parts of a step, by engine.

    Args:
        settings: What to measure; rounds do not matter.
        on_progress: Told what is done now.

    Returns:
        A JSON document: machine, workload, peak bytes by engine and part, bytes saved for the
        backward pass, and ratios to the shared engine.

    Raises:
        ConfigError: No such workload or engine.
        MissingEnvironmentError: The workload needs a GPU.
    """
    device, _ = where(settings)
    names = list(dict.fromkeys((*settings.engines, "shared")))
    found: dict[str, dict[str, int]] = {}
    for name in names:
        on_progress(f"measuring {name}")
        found[name] = _measure(settings, name, device)
    ratio = {
        part: {name: _ratio(found[name][part], size) for name in names if name != "shared"}
        for part, size in found["shared"].items()
    }
    workload = WORKLOADS[settings.workload]
    return {
        "machine": this_machine(device).as_json(),
        "workload": {"name": workload.name, "what": workload.what},
        "is_tower_trained": settings.is_tower_trained,
        "peak_bytes": found,
        "ratio": ratio,
    }


def _ratio(size: int, shared: int) -> float | None:
    return size / shared if shared else None


def _measure(settings: StepSettings, engine: str, device: torch.device) -> dict[str, int]:
    if device.type == "cuda":
        return {part: _gpu_peak(settings, engine, part) for part in PARTS}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        peaks = {part: pool.submit(_cpu_peak, settings, engine, part).result() for part in PARTS}
        return peaks | {"saved": pool.submit(saved_bytes, settings, engine).result()}


def _engine(settings: StepSettings, name: str) -> Engine:
    return build_engines(settings, *where(settings))[name]


def _gpu_peak(settings: StepSettings, name: str, part: str) -> int:
    engine = _engine(settings, name)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    engine.parts[part]()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def _cpu_peak(settings: StepSettings, name: str, part: str) -> int:
    engine = _engine(settings, name)
    return peak_growth_bytes(engine.parts[part])


def peak_growth_bytes(run: Callable[[], object]) -> int:
    """How far a computation takes the process's resident size above what it was before.

    Linux sets its record of the greatest size back to the present one on request
    (https://docs.kernel.org/filesystems/proc.html, clear_refs). Elsewhere only growth above all
    that was before is seen, so building an engine may hide a part that takes less.
    """
    is_reset = _CLEAR_REFS.exists()
    if is_reset:
        _give_back_free_memory()
        _CLEAR_REFS.write_text("5")
    before = _status_bytes("VmRSS") if is_reset else _greatest_bytes()
    run()
    return max((_status_bytes("VmHWM") if is_reset else _greatest_bytes()) - before, 0)


def _give_back_free_memory() -> None:
    """What is free inside the allocator would be used by the part and not be seen."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


def _greatest_bytes() -> int:
    """Greatest resident size so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status_bytes(name: str) -> int:
    """A size from the kernel's account of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise MissingEnvironmentError(f"the kernel gives no {name} of a process")


def saved_bytes(settings: StepSettings, name: str) -> int:
    """Bytes that autograd keeps for the backward pass, each storage once, weights not counted."""
    engine = _engine(settings, name)
    sizes: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        logps_NL = engine.logps()
    weights = {p.untyped_storage().data_ptr() for p in engine.model.parameters()}
    del logps_NL
    return sum(size for place, size in sizes.items() if place not in weights)
