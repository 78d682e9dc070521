"""What a run was made with: the code's commit, package versions, the machine."""

import importlib.metadata
import os
import platform
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any, Final

import vtk

PACKAGES: Final = (
    "videothinker-toolkit",
    "torch",
    "torchvision",
    "transformers",
    "trl",
    "accelerate",
    "peft",
    "datasets",
    "tokenizers",
    "safetensors",
    "numpy",
    "av",
    "decord",
    "qwen-vl-utils",
    "flash-attn",
    "vllm",
)
_GIT_TIMEOUT_S: Final = 10


def package_versions() -> dict[str, str | None]:
    """Return the version of each package that can change a result; None where it is missing."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def git_facts(checkout: Path | None = None) -> dict[str, Any]:
    """Return `{commit, dirty, absent_reason}` of the checkout that holds vtk's own code.

    Args:
        checkout: The folder that should be the top of a checkout; default the folder above the
            `vtk` package.
    """
    folder = checkout or Path(vtk.__file__).resolve().parent.parent
    if shutil.which("git") is None:
        return _no_commit("git is not installed")
    top = _git(folder, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != folder.resolve():
        return _no_commit("vtk was installed, not run from a checkout")
    commit, changes = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain")
    if commit is None or changes is None:
        return _no_commit("git could not read the checkout")
    return {"commit": commit, "dirty": bool(changes), "absent_reason": None}


def machine_facts() -> dict[str, Any]:
    """Return host, operating system, Python, processor and memory (bytes) of this machine."""
    return {
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
        "num_cpus": os.cpu_count(),
        "memory_bytes": _memory_bytes(),
    }


def _memory_bytes() -> int | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _no_commit(reason: str) -> dict[str, Any]:
    return {"commit": None, "dirty": None, "absent_reason": reason}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
