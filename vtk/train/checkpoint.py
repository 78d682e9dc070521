"""Checkpoint folders: whole or absent, verified before use, the last good one never lost.

A checkpoint is filled in a folder with another name. When all of it is on the disk, manifest.json
(sizes and sha256 of every file) is written into it last, and the folder is renamed to
`step_000500`. So a folder of that name with a manifest is complete, whatever killed the process,
and older ones are deleted only when the new one is on the disk. Reading one checks every byte.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtk.errors import DataError, VtkError
from vtk.format import format_bytes
from vtk.models.sources import MANIFEST_NAME
from vtk.runs.files import file_sha256, read_json, storage_error, sync_folder, write_json_atomic
from vtk.runs.store import RunPaths

MANIFEST_VERSION = 2
SPACE_MARGIN_FRAC = 0.05
"""Of a checkpoint's size: what must be free beyond it, for the event log and small files."""
_TEMPORARY_PREFIX = ".tmp-"
_SET_ASIDE_PREFIX = "set-aside-"
_REPLACED_PREFIX = "replaced-"
_STEP_PREFIX = "step_"
_OWN_HASH = "manifest_sha256"


@dataclass(frozen=True, slots=True)
class Damage:
    """A checkpoint that cannot be used, and why."""

    path: Path
    reason: str


class CheckpointStore:
    """The checkpoints of one run.

    Args:
        paths: The run.
        num_kept: Newest checkpoints that stay on the disk.
    """

    def __init__(self, paths: RunPaths, num_kept: int) -> None:
        self.paths, self.num_kept = paths, num_kept

    def temporary_dir(self, step: int) -> Path:
        """Where the checkpoint of a step is filled."""
        return self.paths.checkpoints_dir / f"{_TEMPORARY_PREFIX}{step:06d}"

    def begin(self, step: int) -> Path:
        """An empty folder to fill; give it to `commit`. The name follows from the step alone.

        Raises:
            VtkError: It cannot be made.
        """
        folder = self.temporary_dir(step)
        try:
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
        except OSError as error:
            raise storage_error(folder, error) from error
        return folder

    def require_space(self, counted_bytes: int) -> None:
        """Refuse to begin a checkpoint that the disk has no room for, beside those that are there.

        Args:
            counted_bytes: Its tensors; the last checkpoint's size counts instead, if there is one.

        Raises:
            VtkError: Too little is free.
        """
        steps, folder = self.steps(), self.paths.checkpoints_dir
        last_bytes = _folder_bytes(self.paths.checkpoint_dir(steps[-1])) if steps else 0
        need_bytes = int((last_bytes or counted_bytes) * (1 + SPACE_MARGIN_FRAC))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            free_bytes = shutil.disk_usage(folder).free
        except OSError as error:
            raise storage_error(folder, error) from error
        if free_bytes < need_bytes:
            raise VtkError(
                f"a checkpoint needs {format_bytes(need_bytes)} and {format_bytes(free_bytes)} are "
                f"free on the disk of {folder}; the old checkpoints stay as they are",
                f"Free {format_bytes(need_bytes - free_bytes)} there; a run that has ended goes on "
                "with --resume.",
            )

    def commit(self, folder: Path, step: int, facts: Mapping[str, Any]) -> Path:
        """Make a filled folder the checkpoint of a step; `delete_old` makes room afterwards.

        Args:
            folder: From `begin`.
            step: Optimizer steps done.
            facts: More for the manifest, as JSON data.

        Returns:
            Where the checkpoint is now.

        Raises:
            VtkError: It cannot be written, for instance because the disk is full.
        """
        final = self.paths.checkpoint_dir(step)
        try:
            files = {name: _measure(folder / name) for name in _file_names(folder)}
            manifest = {"version": MANIFEST_VERSION, "step": step, "files": files, **facts}
            manifest[_OWN_HASH] = _own_hash(manifest)
            write_json_atomic(folder / MANIFEST_NAME, manifest)
            if final.exists():
                _set_aside(final, _REPLACED_PREFIX)
            folder.rename(final)
            sync_folder(final.parent)
        except OSError as error:
            raise storage_error(folder, error) from error
        return final

    def discard(self, folder: Path) -> None:
        """Delete a folder of `begin` that will not be committed."""
        shutil.rmtree(folder, ignore_errors=True)

    def delete_old(self) -> None:
        """Delete the checkpoints that are too old, and those that were replaced.

        Raises:
            VtkError: One cannot be deleted; it is tried again after the next save.
        """
        folder = self.paths.checkpoints_dir
        try:
            for step in self.steps()[: -self.num_kept]:
                old = self.paths.checkpoint_dir(step)
                # Renamed first: a deletion cut short leaves nothing that looks whole.
                old.rename(old.with_name(f"{_TEMPORARY_PREFIX}{old.name}"))
            for prefix in (f"{_TEMPORARY_PREFIX}{_STEP_PREFIX}", _REPLACED_PREFIX):
                for doomed in folder.glob(f"{prefix}*"):
                    shutil.rmtree(doomed)
        except OSError as error:
            raise VtkError(
                f"an old checkpoint in {folder} cannot be deleted: {error.strerror or error}",
                "It takes room until it is gone; what was saved since is whole.",
            ) from error

    def steps(self) -> list[int]:
        """Steps that have a complete checkpoint, oldest first; their files are not read."""
        folder = self.paths.checkpoint_dir
        return sorted(n for n in self._folders() if (folder(n) / MANIFEST_NAME).exists())

    def newest_good(self) -> tuple[int | None, list[Damage]]:
        """The newest step whose checkpoint is intact, and the damaged ones met on the way.

        Damaged folders are renamed, so that nobody takes them for the newest; what an interrupted
        save left behind is deleted, but for a checkpoint that it was about to replace.
        """
        damaged: list[Damage] = []
        for replaced in self.paths.checkpoints_dir.glob(f"{_REPLACED_PREFIX}*"):
            _take_back(replaced)
        for leftover in self.paths.checkpoints_dir.glob(f"{_TEMPORARY_PREFIX}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        for step in sorted(self._folders(), reverse=True):
            folder = self.paths.checkpoint_dir(step)
            problem = damage_of(folder)
            if problem is None:
                return step, damaged
            damaged.append(Damage(_set_aside(folder), problem))
        return None, damaged

    def _folders(self) -> list[int]:
        """Steps that have a folder, whole or not."""
        folders = self.paths.checkpoints_dir.glob(f"{_STEP_PREFIX}*")
        numbers = (path.name.removeprefix(_STEP_PREFIX) for path in folders if path.is_dir())
        return [int(number) for number in numbers if number.isdecimal()]


def damage_of(folder: Path) -> str | None:
    """What is wrong with a checkpoint: the first file that is not as its manifest says, or None."""
    try:
        manifest = read_json(folder / MANIFEST_NAME)
    except DataError as error:
        return error.message
    files = manifest.get("files")
    if not isinstance(files, dict) or not files:
        return f"{MANIFEST_NAME} lists no files"
    if manifest.get("version") != 1 and manifest.get(_OWN_HASH) != _own_hash(manifest):
        return f"{MANIFEST_NAME} has other content than when it was written"
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != expected["bytes"]:
            return f"{name} has {path.stat().st_size} bytes instead of {expected['bytes']}"
        if file_sha256(path) != expected["sha256"]:
            return f"{name} has other content than when it was written"
    return None


def _own_hash(manifest: Mapping[str, Any]) -> str:
    """sha256 of what a manifest says, but for this hash; version 1 had none."""
    said = {name: value for name, value in manifest.items() if name != _OWN_HASH}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write_json(path: Path, value: Any) -> None:
    """Write JSON into a folder that `commit` will sync; numbers come back exactly.

    Raises:
        ValueError: A number is not finite.
    """
    path.write_text(json.dumps(value, allow_nan=False), encoding="utf-8")


def _file_names(folder: Path) -> list[str]:
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(names)


def _measure(path: Path) -> dict[str, Any]:
    """Sync one file to the disk and return its size and hash."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}


def _set_aside(folder: Path, prefix: str = _SET_ASIDE_PREFIX) -> Path:
    """Rename a folder that must not be used, keeping it for whoever wants to look."""
    target = folder.with_name(f"{prefix}{folder.name}-{uuid.uuid4().hex[:8]}")
    folder.rename(target)
    return target


def _take_back(replaced: Path) -> None:
    """Undo a replacement that was cut short; delete what was replaced in one that was not."""
    name, _, _ = replaced.name.removeprefix(_REPLACED_PREFIX).rpartition("-")
    final = replaced.with_name(name)
    if final.exists():
        shutil.rmtree(replaced, ignore_errors=True)
    else:
        replaced.rename(final)
