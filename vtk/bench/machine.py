"""What a measurement was made on, and what this machine can do at most."""

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from vtk.bench.timing import time_rounds

_MATMUL_SIZE = {"cpu": 1536, "cuda": 8192}
_COPY_BYTES = {"cpu": 256 * 2**20, "cuda": 4 * 2**30}
_NUM_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a benchmark ran.

    Attributes:
        device: Name of the GPU or CPU.
        num_threads: CPU threads that torch uses in one operation.
        num_cores: CPU cores that this process may use.
        versions: Of Python, torch and transformers.
    """

    device: str
    num_threads: int
    num_cores: int
    versions: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The machine as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The two limits of any computation on a device, measured on it.

    Attributes:
        flops_per_s: Operations per second of a large matrix product.
        bytes_per_s: Bytes read and written per second by a large copy.
    """

    flops_per_s: float
    bytes_per_s: float

    def floor_s(self, num_operations: float, num_bytes: float) -> float:
        """Seconds below which a computation cannot come: the greater of its two bounds."""
        return max(num_operations / self.flops_per_s, num_bytes / self.bytes_per_s)


def this_machine(device: torch.device) -> Machine:
    """Describe the machine that a benchmark on `device` runs on."""
    import transformers

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    versions = {
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    return Machine(name, torch.get_num_threads(), len(os.sched_getaffinity(0)), versions)


def measure_ceilings(device: torch.device, dtype: torch.dtype) -> Ceilings:
    """Measure matrix products and copies of a number format on a device."""
    size = _MATMUL_SIZE[device.type]
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    source = torch.zeros(_COPY_BYTES[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    runs = {"matmul": lambda: left @ right, "copy": lambda: target.copy_(source)}
    rounds = time_rounds(runs, _NUM_ROUNDS, device)
    return Ceilings(
        flops_per_s=2.0 * size**3 / min(rounds.seconds["matmul"]),
        bytes_per_s=2.0 * source.numel() / min(rounds.seconds["copy"]),
    )


def _cpu_name() -> str:
    """The processor's name as the kernel gives it, else the architecture."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
