"""What this machine is taken to do: its threads, and only GPUs that the process may use."""

import pytest

from vtk.system import gpu
from vtk.system.gpu import GpuDevice, GpuReading
from vtk.train.speed import machine_speed

H100 = GpuReading((GpuDevice(0, "NVIDIA H100", 1.0, 80.0, 0.0, 70.0, 30.0, None),), None, 1.0, 0.0)


@pytest.mark.parametrize(
    ("told", "num_threads"), [("4", 4), ("4,2", 4), (" 3 , 1", 3)]
)  # a list has one number for each level of nesting
def test_threads_are_those_that_openmp_is_told(
    monkeypatch: pytest.MonkeyPatch, told: str, num_threads: int
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert machine_speed().machine == f"{num_threads} CPU threads"


def test_a_gpu_that_is_hidden_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "read_gpus", lambda: H100)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not machine_speed().has_gpu
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert machine_speed().has_gpu
