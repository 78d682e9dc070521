"""Readings of the devices: units, unsupported values, absence with its reason."""

import os
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from vtk.runs.events import METRICS
from vtk.system.gpu import GIB, STALE_AFTER_S, GpuMonitor, GpuReading, process_memory_gib, read_gpus
from vtk.train.reporting import Reporter


class NvmlError(Exception):
    """Stands for pynvml.NVMLError."""


class NotSupportedError(NvmlError):
    """Stands for pynvml.NVMLError_NotSupported."""


class Driver:
    """The calls of pynvml that we rely on, answered for two devices: one old, one new."""

    NVMLError = NvmlError
    NVMLError_NotSupported = NotSupportedError
    NVML_TEMPERATURE_GPU = 0

    def __init__(self) -> None:
        self.num_open = 0

    def nvmlInit(self) -> None:  # noqa: N802
        self.num_open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.num_open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetName(self, handle: int) -> str | bytes:  # noqa: N802
        return b"Old" if handle == 0 else "New"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        return SimpleNamespace(used=(handle + 1) * GIB, total=24 * GIB)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802
        if handle == 0:
            raise NotSupportedError
        return SimpleNamespace(gpu=80, memory=10)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802
        return 150_500

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:  # noqa: N802
        return 61

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:  # noqa: N802
        mine = SimpleNamespace(pid=os.getpid(), usedGpuMemory=GIB // 2)
        return [SimpleNamespace(pid=1, usedGpuMemory=None), *([mine] if handle == 1 else [])]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver()
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    return driver


def test_values_are_in_the_units_of_their_names(driver: Driver) -> None:
    reading = read_gpus()
    old, new = reading.devices
    assert (old.name, new.name) == ("Old", "New")
    assert (old.memory_used_gib, new.memory_used_gib, new.memory_total_gib) == (1.0, 2.0, 24.0)
    assert (new.power_w, new.temperature_c, new.utilization_pct) == (150.5, 61.0, 80.0)
    assert (old.process_memory_gib, new.process_memory_gib) == (None, 0.5)
    assert reading.absent_reason is None
    assert driver.num_open == 0


def test_what_a_device_does_not_support_is_none_and_stays_out_of_the_metrics(
    driver: Driver,
) -> None:
    reading = read_gpus()
    assert reading.devices[0].utilization_pct is None
    assert reading.metrics() == {
        "gpu/memory_gib": 3.0,
        "gpu/power_w": 301.0,
        "gpu/utilization_pct": 80.0,
    }


def test_without_a_driver_the_reason_is_given(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise NvmlError("NVML Shared Library Not Found")

    monkeypatch.setattr(driver, "nvmlInit", fail)
    reading = read_gpus()
    assert reading.devices == ()
    assert reading.absent_reason == "no NVIDIA driver: NVML Shared Library Not Found"
    assert reading.metrics() == {}


def test_without_the_package_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "nvidia-ml-py does not import" in (read_gpus().absent_reason or "")


def test_this_machine_gives_devices_or_a_reason() -> None:
    reading = read_gpus()
    assert bool(reading.devices) != bool(reading.absent_reason)
    event = reading.as_event()
    assert set(event) == {"devices", "absent_reason", "process_memory_gib"}


def test_process_memory_grows_with_what_is_held() -> None:
    before = process_memory_gib()
    held = b"x" * (64 * 2**20)
    assert process_memory_gib() - before > 0.05
    assert len(held) == 64 * 2**20


def test_the_monitor_reads_until_it_is_left_and_never_waits() -> None:
    is_enough, release = threading.Event(), threading.Event()
    began_s, numbers = time.monotonic(), iter(range(100))

    def read() -> GpuReading:
        number = next(numbers)
        if number == 2:
            is_enough.set()
        if number == 3:
            release.wait(10)  # a driver that stalls
        return GpuReading((), "none", 0.0, began_s + number)

    with GpuMonitor(every_s=0.001, read=read) as monitor:
        assert is_enough.wait(10)
        latest = monitor.latest
        assert latest is not None
        assert latest.time_s >= began_s + 1
    release.set()


def test_a_driver_that_fell_silent_has_no_latest_reading() -> None:
    has_read = threading.Event()

    def read() -> GpuReading:
        has_read.set()
        return GpuReading((), "none", 0.0, time.monotonic() - 2 * STALE_AFTER_S)

    with GpuMonitor(every_s=0.001, read=read) as monitor:
        assert has_read.wait(10)
        assert monitor.latest is None


def test_a_step_reports_the_devices_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Driver())
    reporter = Reporter(None)
    assert not any(name.startswith("gpu/") for name in reporter.step_metrics(1))
    with GpuMonitor(every_s=0.001) as reporter.gpus:
        deadline_s = time.monotonic() + 10
        while reporter.gpus.latest is None:
            assert time.monotonic() < deadline_s
        metrics = reporter.step_metrics(1)
    assert {"gpu/memory_gib", "gpu/power_w", "gpu/utilization_pct"} <= set(metrics)
    assert set(metrics) <= set(METRICS)


def test_the_monitor_has_nothing_before_it_is_entered() -> None:
    assert GpuMonitor().latest is None
