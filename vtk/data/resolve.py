"""The one way from a path written in data to a file on disk.

Rows of data sets come from strangers: a `video` value may be absolute, climb with `..`, name a URL
or lead through a symbolic link. Every such value goes through `resolve_under`, which keeps it below
a declared root.
"""

import re
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
    relative = relative_reference(reference)
    try:
        real_root = root.resolve()
        target = (real_root / relative).resolve()
    except (OSError, RuntimeError) as error:
        raise DataError(f"the path {reference!r} cannot be followed: {error}") from error
    if not target.is_relative_to(real_root):
        raise DataError(
            f"the path {reference!r} leaves {root} through a symbolic link (it leads to {target})",
            "Make the data folder itself the link, or copy the files into it.",
        )
    return target
