"""The one way from a path written in data to a file on disk.

Rows of data sets come from strangers: a `video` value may be absolute, climb with `..`, name a URL
or lead through a symbolic link. Every such value goes through `resolve_under`, which keeps it below
a declared root.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vtk.errors import DataError

_DRIVE = re.compile(r"^[A-Za-z]:")
_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]*:(//|(?=\S))")


def relative_reference(reference: str) -> PurePosixPath:
    """The reference as a plain relative path; an absolute one is taken as relative to the root.

    Raises:
        DataError: It is empty, or holds a NUL, a backslash, a drive, a UNC share, a URL or `..`.
    """
    problem = _refusal(reference)
    if problem is not None:
        raise DataError(
            f"the path {reference!r} is refused: {problem}",
            "A path in a data file must be relative to its data folder and stay inside it.",
        )
    return PurePosixPath(reference.lstrip("/"))


def _refusal(reference: str) -> str | None:
    """Why a reference cannot be followed, or None."""
    if "\0" in reference:
        return "it holds a NUL character"
    if reference.startswith(("//", "\\\\")):
        return "it names a network share"
    if _DRIVE.match(reference):
        return "it names a drive"
    if _URL.match(reference):
        return "it is a URL, and only local files are read"
    if "\\" in reference:
        return "it holds a backslash; use '/'"
    parts = PurePosixPath(reference.lstrip("/")).parts
    if ".." in parts:
        return "it climbs with '..'"
    return None if parts else "it names no file"


def resolve_under(root: Path, reference: str) -> Path:
    """The absolute file that `reference` names below `root`; it need not exist.

    Args:
        root: The declared folder. It may itself be a symbolic link.
        reference: A path found in data, with '/' as separator. Absolute ones are re-rooted.

    Raises:
        DataError: The reference is refused, or leaves `root` through a symbolic link.
    """
    return DataRoot(root).find(reference).path


@dataclass(frozen=True, slots=True)
class Place:
    """A file that data name.

    Attributes:
        path: Where it is, without symbolic links.
        name: The reference as a plain relative path.
    """

    path: Path
    name: str


class DataRoot:
    """A declared folder in which many references are looked up.

    The folder is looked at once, and so is each reference: rows about one clip stand together, and
    a million of them are read in seconds instead of minutes.

    Args:
        folder: It may itself be a symbolic link.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._real: Path | None = None
        self._places: dict[str, Place] = {}

    def find(self, reference: str) -> Place:
        """The file that a reference names below the folder; it need not exist.

        Raises:
            DataError: The reference is refused, or leaves the folder through a symbolic link.
        """
        place = self._places.get(reference)
        if place is None:
            place = self._places[reference] = self._find(reference)
        return place

    def _find(self, reference: str) -> Place:
        relative = relative_reference(reference)
        try:
            if self._real is None:
                self._real = self.folder.resolve()
            target = (self._real / relative).resolve()
        except (OSError, RuntimeError) as error:
            raise DataError(f"the path {reference!r} cannot be followed: {error}") from error
        if not target.is_relative_to(self._real):
            raise DataError(
                f"the path {reference!r} leaves {self.folder} through a symbolic link (it leads to "
                f"{target})",
                "Make the data folder itself the link, or copy the files into it.",
            )
        return Place(target, str(relative))
