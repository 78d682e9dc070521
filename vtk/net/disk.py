"""Room on the disk: asked for before the first byte, and what is said when it ends all the same."""

import errno
import shutil
from pathlib import Path

from vtk.errors import MissingEnvironmentError, VtkError
from vtk.format import format_bytes

RESERVE_FRAC = 0.05
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def free_bytes(folder: Path) -> int:
    """Bytes free for this user on the disk of a folder, which need not exist yet."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    return shutil.disk_usage(existing).free


def require_space(folder: Path, needed_bytes: int, what: str, mend: str = "") -> None:
    """Refuse what would not fit, with a reserve of a twentieth.

    Args:
        folder: Where it is to lie.
        needed_bytes: What will be written at most.
        what: Whose bytes these are, for the message.
        mend: What else would make it fit.

    Raises:
        MissingEnvironmentError: There is too little room.
    """
    with_reserve, free = int(needed_bytes * (1 + RESERVE_FRAC)), free_bytes(folder)
    if needed_bytes and free < with_reserve:
        raise MissingEnvironmentError(
            f"{what} needs {format_bytes(with_reserve)}, "
            f"but the disk of {folder} has {format_bytes(free)} free",
            f"Free {format_bytes(with_reserve - free)} or set another --data-dir. {mend}".strip(),
        )


def disk_error(path: Path, error: OSError) -> VtkError:
    """The error that says why `path` cannot be written; what arrived before it is kept."""
    reason = error.strerror or str(error)
    if error.errno in _NO_SPACE:
        free = format_bytes(free_bytes(path.parent))
        return MissingEnvironmentError(
            f"cannot write {path}: {reason} ({free} free)",
            "Free some space or set another --data-dir; then repeat the command: it goes on.",
        )
    return VtkError(f"cannot write {path}: {reason}", "Choose a --data-dir that you may write to.")
