"""`DATA/NAME/split`: files of one split, or none that anybody reads.

They are filled in a folder beside their places and renamed together. The manifest goes before the
first of them is replaced and comes after the last, so files of two splits are never taken for one.
"""

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from vtk.data.registry import split_file
from vtk.errors import DataError
from vtk.hints import folder_options, split_hint
from vtk.runs.files import file_sha256, read_json, storage_error, sync_folder, write_json_atomic

MANIFEST_FILE: Final = "manifest.json"
_FILLING: Final = ".filling."


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """A folder to write new split files in; gone after the block, with what was not moved.

    What a killed process left is removed first.

    Raises:
        VtkError: The disk fails.
    """
    place = folder / f"{_FILLING}{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        for left in folder.glob(f"{_FILLING}*"):
            shutil.rmtree(left)
        place.mkdir(parents=True)
    except OSError as error:
        raise storage_error(place, error) from error
    try:
        yield place
    finally:
        shutil.rmtree(place)


def void_split(folder: Path) -> None:
    """Take the mark of wholeness away.

    Raises:
        VtkError: The disk fails.
    """
    manifest = folder / MANIFEST_FILE
    try:
        manifest.unlink(missing_ok=True)
        if folder.is_dir():
            sync_folder(folder)
    except OSError as error:
        raise storage_error(manifest, error) from error


def replace_split(folder: Path, filled: Path, manifest: Mapping[str, Any]) -> None:
    """Put the filled files in place of older ones, the manifest last.

    Raises:
        VtkError: The disk fails.
    """
    void_split(folder)
    for path in sorted(filled.iterdir()):
        try:
            path.replace(folder / path.name)
        except OSError as error:
            raise storage_error(folder / path.name, error) from error
    write_json_atomic(folder / MANIFEST_FILE, manifest)


def whole_split_file(data_dir: Path, name: str, part: str) -> Path:
    """The file that `vtk split` wrote for `part`, which is that of its manifest.

    Raises:
        ConfigError: `part` is none of train, bias and validation, or the data set is unknown.
        DataError: The file is not there, the manifest is not, or they do not fit together.
    """
    path = split_file(data_dir, name, part)
    if not path.is_file():
        raise DataError(f"there is no data file {path}", split_hint(name, data_dir))
    fault = _fault(path)
    if fault is not None:
        raise DataError(
            f"{path} {fault}",
            "A file of your own is given by its path. Make the split again with: "
            f"vtk split {name}{folder_options(data_dir=data_dir)}",
        )
    return path


def _fault(path: Path) -> str | None:
    """What speaks against a file being that of its folder's manifest; None if nothing does."""
    manifest = path.with_name(MANIFEST_FILE)
    if not manifest.is_file():
        return f"is of no whole split: there is no {MANIFEST_FILE} beside it"
    outputs = read_json(manifest).get("outputs")
    facts = outputs.get(path.name) if isinstance(outputs, dict) else None
    if not isinstance(facts, dict):
        return f"is not in {MANIFEST_FILE} beside it"
    is_same_size = facts.get("num_bytes") == path.stat().st_size
    if is_same_size and facts.get("sha256") == file_sha256(path):
        return None
    return f"is not the one that {MANIFEST_FILE} beside it describes"
