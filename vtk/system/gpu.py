"""What the GPUs are doing, read from the driver (NVML), and what this process holds in memory.

Without a GPU the reading says why there is none. A value that a device does not support is None.
Memory in GiB, power in watts, temperature in degrees Celsius, utilization in percent.
"""

import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

GIB = 1024**3
STALE_AFTER_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class GpuDevice:
    """One device at one moment; `process_memory_gib` is this process's own share."""

    index: int
    name: str
    memory_used_gib: float | None
    memory_total_gib: float | None
    utilization_pct: float | None
    power_w: float | None
    temperature_c: float | None
    process_memory_gib: float | None


@dataclass(frozen=True, slots=True)
class GpuReading:
    """All devices at one moment, or why there are none.

    Attributes:
        devices: Every device of the machine.
        absent_reason: Why there is no device; None if there is one.
        process_memory_gib: Main memory that this process holds (resident set).
        time_s: Monotonic time of the reading, in seconds.
    """

    devices: tuple[GpuDevice, ...]
    absent_reason: str | None
    process_memory_gib: float
    time_s: float

    def as_event(self) -> dict[str, Any]:
        """The payload of a run's `gpu` event."""
        return {
            "devices": [asdict(device) for device in self.devices],
            "absent_reason": self.absent_reason,
            "process_memory_gib": self.process_memory_gib,
        }

    def metrics(self) -> dict[str, float]:
        """The reading as metrics: memory and power summed, utilization averaged."""
        columns = {
            "gpu/memory_gib": [device.memory_used_gib for device in self.devices],
            "gpu/power_w": [device.power_w for device in self.devices],
            "gpu/utilization_pct": [device.utilization_pct for device in self.devices],
        }
        known = {
            name: [value for value in values if value is not None]
            for name, values in columns.items()
        }
        metrics = {name: sum(values) for name, values in known.items() if values}
        if "gpu/utilization_pct" in metrics:
            metrics["gpu/utilization_pct"] /= len(known["gpu/utilization_pct"])
        return metrics


def read_gpus() -> GpuReading:
    """Ask the driver about every device now; it can stall (see `GpuMonitor`)."""
    devices: tuple[GpuDevice, ...] = ()
    try:
        devices = _read_devices()
        reason = None if devices else "the NVIDIA driver reports no device"
    except ImportError as error:
        reason = f"the package nvidia-ml-py does not import: {error}"
    except _nvml_error() as error:
        reason = f"no NVIDIA driver: {error}"
    return GpuReading(devices, reason, process_memory_gib(), time.monotonic())


def process_memory_gib() -> float:
    """Main memory that this process holds, in GiB; the peak where only that is known."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        num_pages = int(statm.read_text().split()[1])
        return num_pages * os.sysconf("SC_PAGE_SIZE") / GIB
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GIB


class GpuMonitor:
    """Reads the devices in a thread of its own, so that a stalled driver never stalls training.

    Use as a context manager; `latest` never waits.

    Args:
        every_s: Seconds between readings.
        read: What to read with.
    """

    def __init__(self, every_s: float = 2.0, read: Callable[[], GpuReading] = read_gpus) -> None:
        self._every_s, self._read = every_s, read
        self._stale_after_s = max(STALE_AFTER_S, 3 * every_s)
        self._latest: GpuReading | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpu-monitor", daemon=True)

    @property
    def latest(self) -> GpuReading | None:
        """The newest reading; None before the first, and when the driver has fallen silent."""
        reading = self._latest
        is_stale = reading is None or time.monotonic() - reading.time_s > self._stale_after_s
        return None if is_stale else reading

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join(timeout=self._every_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._latest = self._read()
            self._stopping.wait(self._every_s)


def _nvml_error() -> type[Exception]:
    import pynvml

    error: type[Exception] = pynvml.NVMLError
    return error


def _read_devices() -> tuple[GpuDevice, ...]:
    import pynvml

    pynvml.nvmlInit()
    try:
        return tuple(_read_device(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount()))
    finally:
        pynvml.nvmlShutdown()


def _read_device(nvml: Any, index: int) -> GpuDevice:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    name = nvml.nvmlDeviceGetName(handle)
    memory = _ask(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)
    usage = _ask(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
    power_mw = _ask(nvml, nvml.nvmlDeviceGetPowerUsage, handle)
    degrees = _ask(nvml, nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU)
    processes = _ask(nvml, nvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
    own_bytes = [process.usedGpuMemory for process in processes if process.pid == os.getpid()]
    return GpuDevice(
        index=index,
        name=name.decode() if isinstance(name, bytes) else str(name),
        memory_used_gib=None if memory is None else memory.used / GIB,
        memory_total_gib=None if memory is None else memory.total / GIB,
        utilization_pct=None if usage is None else float(usage.gpu),
        power_w=None if power_mw is None else power_mw / 1000,
        temperature_c=None if degrees is None else float(degrees),
        process_memory_gib=own_bytes[0] / GIB if own_bytes and own_bytes[0] else None,
    )


def _ask(nvml: Any, query: Callable[..., Any], *arguments: Any) -> Any:
    """The answer of one NVML query, or None where this device does not support it."""
    try:
        return query(*arguments)
    except nvml.NVMLError_NotSupported:
        return None
