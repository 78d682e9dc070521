"""How fast a machine is taken to be, before anything was measured on it."""

import os
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a machine is taken to be.

    Attributes:
        machine: What identifies it: the GPU's name, or the CPU threads of a process.
        flop_per_s: Operations a second.
        bytes_per_s: Of reading memory.
        has_gpu: Whether a GPU computes.
        source: Where the numbers are from, in words.
    """

    machine: str
    flop_per_s: float
    bytes_per_s: float
    has_gpu: bool
    source: str


_EFFICIENCY: Final = 0.35
_GPUS: Final = {
    "H100": (790, 3350),
    "H200": (790, 4800),
    "A100": (312, 2039),
    "A6000": (155, 768),
    "L40": (181, 864),
    "4090": (165, 1008),
}
"""Dense bfloat16 TFLOP/s and memory's GB/s, from the makers' data sheets."""
_UNKNOWN_GPU: Final = (100, 700)
_CPU_THREAD: Final = (40e9, 10e9)


def machine_speed() -> Speed:
    """What this machine is taken to do, by its name."""
    from vtk.system.gpu import read_gpus
    from vtk.system.launchers import visible_gpus

    devices = read_gpus().devices if visible_gpus(os.environ) else ()
    if devices:
        name = devices[0].name
        known = (found for key, found in _GPUS.items() if key in name)
        tflops, gigabytes = next(known, _UNKNOWN_GPU)
        words = f"{name} at {_EFFICIENCY:.0%} of {tflops} TFLOP/s"
        return Speed(name, tflops * 1e12 * _EFFICIENCY, gigabytes * 1e9, True, words)
    # OpenMP takes a list, one number for each level of nesting.
    told = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    num_threads = int(told) if told.isdecimal() else os.cpu_count() or 1
    flop_per_s, bytes_per_s = _CPU_THREAD
    name = f"{num_threads} CPU threads"
    words = f"{name} at {flop_per_s / 1e9:g} GFLOP/s each"
    return Speed(name, num_threads * flop_per_s, num_threads * bytes_per_s, False, words)
