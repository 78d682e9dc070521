"""Files that are on this machine already: linked or copied into place, never moved away.

A file is adopted when its content is what the server lists. Where nobody lists a hash, a whole file
is adopted by its path in the data set, and an unpacked clip by its name if only one file has it.
What lies in the folder of another data set is never adopted without a hash.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from vtk.data.registry import DATASETS
from vtk.data.remote.formats import format_fault
from vtk.data.remote.needed import Needed
from vtk.data.remote.record import FileState
from vtk.data.remote.sources import SOURCES
from vtk.data.remote.unpack import Unpacked
from vtk.data.resolve import resolve_under
from vtk.errors import ConfigError
from vtk.mini.world import WORLD_FILE
from vtk.net.content import digest_file
from vtk.net.disk import disk_error
from vtk.net.transfer import Fetched

ADOPTING_SUFFIX = ".adopting"


class Shelf:
    """The files of a folder, found by their path in it or by their name.

    Args:
        folder: Where the user's files are.
        name: The data set that they are wanted for.

    Raises:
        ConfigError: It is not a folder.
    """

    def __init__(self, folder: Path, name: str) -> None:
        if not folder.is_dir():
            raise ConfigError(f"--from {folder} is not a folder")
        mine = [each for each in sorted(folder.iterdir()) if each.name.casefold() == name]
        self._bases = [folder, *(each for each in mine if each.is_dir())]
        self._by_name: dict[str, list[Path]] = {}
        self._foreign: set[Path] = set()
        others = {*DATASETS, *SOURCES} - {name}
        for parent, _, names in os.walk(folder):
            place = Path(parent)
            is_foreign = place.name.casefold() in others or place.parent in self._foreign
            if is_foreign or WORLD_FILE in names:
                self._foreign.add(place)
            for each in names:
                self._by_name.setdefault(each, []).append(place / each)

    def by_path(self, path: str) -> list[Path]:
        """Files that have the path in the folder, or in the one of the data set below it."""
        places = [base / path for base in self._bases]
        return [each for each in places if each.is_file() and each.parent not in self._foreign]

    def by_name(self, path: str) -> list[Path]:
        """Every file of this name."""
        return [each for each in self._by_name.get(Path(path).name, ()) if each.is_file()]

    def alone(self, path: str) -> list[Path]:
        """Files that have the path; else the one file of this name, if there is no other."""
        named = [each for each in self.by_name(path) if each.parent not in self._foreign]
        return self.by_path(path) or (named if len(named) == 1 else [])


def adopt_file(shelf: Shelf, state: FileState, target: Path) -> Fetched | None:
    """Put one of the shelf's files in a file's place, if one is right.

    Raises:
        VtkError: The disk fails.
    """
    is_hashed = state.expected.is_hashed
    for candidate in (shelf.by_name if is_hashed else shelf.by_path)(state.path):
        size = state.expected.num_bytes
        if size is not None and candidate.stat().st_size != size:
            continue
        digest = digest_file(candidate, state.expected)
        if digest.problem() is None and format_fault(candidate, state.path) is None:
            _place(candidate, target)
            return Fetched(digest.num_bytes, digest.sha256, state.expected.integrity, is_new=True)
    return None


def adopt_members(shelf: Shelf | None, root: Path, needed: Needed) -> Unpacked | None:
    """Put unpacked files in place: all that are wanted, or none.

    Args:
        shelf: The user's files; None to look only at what is in place already.
        root: The data set's folder.
        needed: The wanted files.

    Returns:
        Their sizes; None if one is missing.

    Raises:
        DataError: A place leads out of the folder.
        VtkError: The disk fails.
    """
    found: dict[str, Path] = {}
    for targets in needed.choices.values():
        first = next(_right_files(shelf, root, targets), None)
        if first is None:
            return None
        target, path = first
        found[target] = path
    members: Unpacked = {}
    for target, path in found.items():
        place = resolve_under(root, target)
        if path != place:
            _place(path, place)
        members[target] = (place.stat().st_size, None)
    return members or None


def _right_files(
    shelf: Shelf | None, root: Path, targets: tuple[str, ...]
) -> Iterator[tuple[str, Path]]:
    """Each place that a file may take, with what is there or could be put there."""
    for target in targets:
        for path in (resolve_under(root, target), *(shelf.alone(target) if shelf else [])):
            if path.is_file() and _is_of_kind(path, target):
                yield target, path


def _is_of_kind(path: Path, name: str) -> bool:
    return path.stat().st_size > 0 and format_fault(path, name) is None


def _place(source: Path, target: Path) -> None:
    """Link a file into its place, or copy it where the disk or the system has no link for it."""
    temporary = target.with_name(target.name + ADOPTING_SUFFIX)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        try:
            os.link(source.resolve(), temporary)
        except OSError:  # another disk, or one without links: a copy is as good
            shutil.copyfile(source, temporary)
        temporary.replace(target)
    except OSError as error:
        raise disk_error(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)
