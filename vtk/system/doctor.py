"""What this machine has and lacks for vtk: one check a line, and one fix for each that fails.

Nothing is taken from a version number where it can be tried: kernels compute, decoders decode.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

from vtk.errors import MissingEnvironmentError, VtkError
from vtk.format import format_bytes, format_count
from vtk.system.checks import Check, pip_command
from vtk.system.compute import check_attention, check_gpu, check_torch
from vtk.system.decoding import check_decoders
from vtk.system.gpu import GIB
from vtk.system.packages import check_import_names, check_python, check_requirements
from vtk.video.cache_folder import CACHE_VARIABLE, CacheFolder, cache_dir

MIN_FREE_BYTES = 2 * GIB
ADVISED_FREE_BYTES = 30 * GIB
"""Real CLEVRER's clips are 24 to 30 GB; clevrer-mini and its runs fit in a few hundred MB."""


def run_checks(folders: Sequence[Path]) -> list[Check]:
    """Check the whole machine; takes a few seconds, mostly to import torch.

    Args:
        folders: Folders that will be written to (data, runs).
    """
    checks = [check_python(), *check_requirements(), *check_import_names(), check_torch()]
    checks += [check_gpu(), check_attention(), *check_decoders(), check_tiny_model()]
    return [*checks, *[check_disk(folder) for folder in folders], check_pixel_cache()]


def check_tiny_model() -> Check:
    """The tiny model's weights are in the package."""
    from vtk.models.tiny import tiny_model_dir

    try:
        folder = tiny_model_dir()
    except VtkError as error:
        return Check("tiny model", "fail", error.message, error.hint)
    num_bytes = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return Check("tiny model", "ok", f"{format_bytes(num_bytes)} in {folder}")


def check_pixel_cache() -> Check:
    """Where decoded clips are kept, how much there is, and whether more can be written."""
    name, fix = "pixel cache", f"Name another folder with {CACHE_VARIABLE}."
    try:
        folder = CacheFolder(cache_dir(os.environ), max_bytes=0)
        usage = folder.usage()
        with TemporaryFile(dir=_nearest(folder.root)) as file:
            file.write(bytes(1024))
    except VtkError as error:
        return Check(name, "note", error.message, error.hint)
    except OSError as error:
        where = error.filename or folder.root
        return Check(name, "note", f"not used: {where}: {error.strerror}", fix)
    clips = f"{format_count(usage.num_clips)} clips, {format_bytes(usage.num_bytes)}"
    return Check(name, "ok", f"{clips} in {folder.root} (vtk data cache)")


def check_disk(folder: Path, free_bytes: int | None = None) -> Check:
    """There is room where data or runs will be written, and one may write there.

    Args:
        folder: The folder, which need not exist yet.
        free_bytes: Free space on its disk; measured when None.
    """
    nearest = _nearest(folder)
    if free_bytes is None:
        free_bytes = shutil.disk_usage(nearest).free
    name, detail = f"disk of {folder}", f"{format_bytes(free_bytes)} free"
    fix = "Free some space, or name other folders with --data-dir and --runs-dir."
    if free_bytes < MIN_FREE_BYTES:
        return Check(name, "fail", f"only {detail}", fix)
    try:
        with TemporaryFile(dir=nearest) as file:
            file.write(bytes(1024))
    except OSError as error:
        return Check(name, "fail", f"cannot write in {nearest}: {error.strerror}", fix)
    if free_bytes < ADVISED_FREE_BYTES:
        return Check(name, "note", f"{detail}: enough for clevrer-mini, not for CLEVRER's clips")
    return Check(name, "ok", detail)


def _nearest(folder: Path) -> Path:
    """The folder itself or the first one above it that exists."""
    parents = (folder.absolute(), *folder.absolute().parents)
    return next(path for path in parents if path.exists())


def install_fixes(checks: Sequence[Check]) -> list[str]:
    """Install what failed checks say that installing mends.

    Args:
        checks: Outcomes of `run_checks`.

    Returns:
        The packages that were installed; empty when nothing could be mended this way.

    Raises:
        MissingEnvironmentError: The installer failed; its own output was shown.
    """
    installed = []
    for check in checks:
        if check.status != "fail" or not check.packages:
            continue
        done = subprocess.run(pip_command(check.packages), check=False, stdout=sys.stderr)
        if done.returncode != 0:
            raise MissingEnvironmentError(
                f"installing {' '.join(check.packages)} failed with code {done.returncode}",
                hint=f"Run it by hand: {check.fix}",
            )
        installed += [package for package in check.packages if not package.startswith("-")]
    return installed
