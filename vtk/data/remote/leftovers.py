"""What a killed process leaves beside the files; the next one that holds the claim clears it."""

import re
from pathlib import Path

from vtk.data.remote.adopt import ADOPTING_SUFFIX
from vtk.data.remote.record import RECORD_NAME, Record

_TEMPORARY = re.compile(r"\.(.+)\.\d+-[0-9a-f]{8}\.tmp")
_CLAIM = re.compile(r"(.+)\.part\.owner(\.[0-9a-f]{8})?")


def remove_leftovers(record: Record) -> None:
    """Remove temporary files, claims and notes that belong to nobody; parts stay.

    The caller holds the claim on the data set, so no other process writes in it.
    """
    folders: dict[Path, set[str]] = {record.root: {RECORD_NAME}}
    for state in record.files.values():
        target = record.path_of(state)
        folders.setdefault(target.parent, set()).add(target.name)
    for folder, names in folders.items():
        for found in list(folder.iterdir()) if folder.is_dir() else ():
            if _is_left(found.name, names):
                found.unlink(missing_ok=True)


def remove_unpacked(record: Record) -> None:
    """Remove the archives whose files are here, unless they were to be kept."""
    for state in record.files.values():
        if state.is_archive and not state.is_kept:
            path = record.path_of(state)
            if path.is_file() and record.is_ready(state):
                path.unlink()


def remove_parts(target: Path) -> None:
    """Remove what has arrived of a file that is no longer wanted."""
    for suffix in (".part.json", ".part"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)


def _is_left(found: str, names: set[str]) -> bool:
    """Whether a file is what a killed process left of one of the named files."""
    temporary, claim = _TEMPORARY.fullmatch(found), _CLAIM.fullmatch(found)
    if temporary is not None:
        return temporary[1].removesuffix(".part.json") in names
    if claim is not None:
        return claim[1] in names
    return found.endswith(ADOPTING_SUFFIX) and found.removesuffix(ADOPTING_SUFFIX) in names
