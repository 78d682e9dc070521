"""Files that turned out wrong: out of the way, so that they are fetched anew, and not yet gone.

A file of which nobody published a hash would be taken for right again by its format alone.
"""

from pathlib import Path
from typing import Final

from vtk.data.remote.record import Record
from vtk.net.disk import disk_error

ASIDE_SUFFIX: Final = ".aside"


def set_aside(path: Path) -> Path:
    """Rename a file that is wrong; returns its new place, where an earlier one is replaced.

    Raises:
        VtkError: The disk fails.
    """
    aside = path.with_name(path.name + ASIDE_SUFFIX)
    try:
        path.replace(aside)
    except OSError as error:
        raise disk_error(aside, error) from error
    return aside


def remove_aside(record: Record) -> None:
    """Remove what was set aside, once everything is here and right.

    Raises:
        DataError: A file's path leaves the data set's folder.
    """
    for state in record.files.values():
        for place in (record.path_of(state), *(record.root / each for each in state.members)):
            place.with_name(place.name + ASIDE_SUFFIX).unlink(missing_ok=True)
