"""Checks of what computes: torch, the GPU, the attention kernel."""

from collections.abc import Callable
from types import ModuleType

from vtk.system.checks import Check, missing_package, try_import
from vtk.system.gpu import GpuReading, read_gpus

TORCH_GUIDE = "https://pytorch.org/get-started/locally"

Import = Callable[[str], ModuleType | str]


def check_torch(load: Import = try_import) -> Check:
    """Torch and torchvision import beside each other; a CPU-only torch breaks a CUDA torchvision.

    Args:
        load: Imports a module or says why it cannot be.
    """
    found = []
    for name in ("torch", "torchvision"):
        module = load(name)
        if isinstance(module, str):
            detail = f"{name} does not import: {module}"
            return missing_package("torch", detail, ["--force-reinstall", "torch", "torchvision"])
        found.append(f"{name} {module.__version__}")
    return Check("torch", "ok", ", ".join(found))


def check_gpu(load: Import = try_import, read: Callable[[], GpuReading] = read_gpus) -> Check:
    """Whether torch computes on a GPU; without one the tiny preset still runs.

    Args:
        load: Imports a module or says why it cannot be.
        read: Asks the driver.
    """
    torch, reading = load("torch"), read()
    if isinstance(torch, ModuleType) and torch.cuda.is_available():
        if int(torch.ones(8, device="cuda").sum().item()) != 8:
            return Check("gpu", "fail", "the GPU adds up wrongly", "Have the device looked at.")
        devices = ", ".join(
            f"{device.name} with {device.memory_total_gib or 0:.0f} GiB"
            for device in reading.devices
        )
        return Check(
            "gpu", "ok", f"{devices or torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
        )
    if reading.devices:
        detail = f"the driver sees {reading.devices[0].name}, but torch cannot compute on it"
        return Check("gpu", "fail", detail, f"Install a torch for this driver: {TORCH_GUIDE}")
    return Check("gpu", "note", f"none: {reading.absent_reason}; the tiny preset needs none")


def check_attention(load: Import = try_import) -> Check:
    """Which attention kernel will run; torch's own (SDPA) is the default and is tried here.

    Args:
        load: Imports a module or says why it cannot be.
    """
    torch = load("torch")
    if isinstance(torch, str):
        return missing_package("attention", f"torch does not import: {torch}", ["torch"])
    ones = torch.ones(1, 1, 2, 4)
    if not torch.allclose(torch.nn.functional.scaled_dot_product_attention(ones, ones, ones), ones):
        return Check(
            "attention", "fail", "SDPA gives wrong numbers", f"Reinstall torch: {TORCH_GUIDE}"
        )
    if isinstance(load("flash_attn"), ModuleType):
        return Check("attention", "ok", "SDPA is used; flash-attn is there too (model.attention)")
    return Check("attention", "ok", "SDPA is used; flash-attn is not installed, and not needed")
