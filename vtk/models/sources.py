"""What the user means by a model: the shipped one, a run, a folder or a hub id."""

import re
import shlex
from pathlib import Path

from vtk.errors import DataError
from vtk.models.tiny import tiny_model_dir
from vtk.runs.store import RunPaths, list_runs, resolve_run

MANIFEST_NAME = "manifest.json"
"""Written last into a checkpoint: a checkpoint without it is unfinished."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_CHECKPOINT_NAME = re.compile(r"step_(\d{6,})")


def resolve_model_path(ref: str, runs_dir: Path) -> Path | str:
    """Find the weights that a reference names.

    Args:
        ref: "tiny" for the shipped model; a run's id, unique prefix or directory for its newest
            complete checkpoint; a checkpoint or model folder; or a hub id such as ``owner/name``.
        runs_dir: the folder of all runs.

    Returns:
        A folder, or the hub id as it was given.

    Raises:
        DataError: nothing of that name, a run without a complete checkpoint, or an unfinished one.
    """
    if ref == "tiny":
        return tiny_model_dir()
    folder = Path(ref)
    if any(run.run_id == ref for run in list_runs(runs_dir)):
        return newest_checkpoint(resolve_run(runs_dir, ref))
    if folder.is_dir():
        run = RunPaths(folder)
        return newest_checkpoint(run) if run.exists() else _model_folder(folder)
    if _HUB_ID.fullmatch(ref) and not Path(ref.split("/")[0]).is_dir():
        return ref
    if "/" in ref or "\\" in ref:
        raise DataError(f"there is no model folder {ref!r}", hint="Check the path.")
    return newest_checkpoint(resolve_run(runs_dir, ref))


def newest_checkpoint(run: RunPaths) -> Path:
    """The complete checkpoint of a run with the highest step.

    Raises:
        DataError: the run has none.
    """
    folders = run.checkpoints_dir.iterdir() if run.checkpoints_dir.is_dir() else ()
    steps = {
        int(match[1]): folder
        for folder in folders
        if (match := _CHECKPOINT_NAME.fullmatch(folder.name)) and (folder / MANIFEST_NAME).is_file()
    }
    if not steps:
        raise DataError(
            f"the run {run.run_id} has no complete checkpoint",
            hint=f"See what it did with: vtk runs show {shlex.quote(str(run.root))}",
        )
    return steps[max(steps)]


def _model_folder(folder: Path) -> Path:
    if _CHECKPOINT_NAME.fullmatch(folder.name) and not (folder / MANIFEST_NAME).is_file():
        raise DataError(
            f"the checkpoint {folder} is unfinished: it has no {MANIFEST_NAME}",
            hint="Name the run instead to get its newest complete checkpoint.",
        )
    if not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
        raise DataError(
            f"the folder {folder} holds no model: no config.json and no adapter_config.json"
        )
    return folder
