"""Whole files that are replaced at once, and what a failing disk says.

A file written here is either the old one or the new one, also after a crash or a power cut: the new
content is written beside it, synced, renamed over it, and the folder is synced.
"""

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vtk.errors import DataError, VtkError
from vtk.format import format_bytes
from vtk.runs.events import decode_line, to_json_value

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_json_atomic(path: Path, value: Any) -> None:
    """Replace `path` by `value` as indented JSON; a failure leaves the old file untouched.

    Non-finite numbers become the words "NaN", "Infinity", "-Infinity" (`vtk.runs.events`).

    Raises:
        TypeError: `value` holds something that has no JSON form.
        VtkError: The file cannot be written.
    """
    text = json.dumps(to_json_value(value), indent=2, ensure_ascii=True, allow_nan=False)
    write_bytes_atomic(path, text.encode() + b"\n")


def write_bytes_atomic(path: Path, content: bytes, *, is_synced: bool = True) -> None:
    """Replace `path` by `content`; a failure leaves the old file untouched.

    Args:
        path: The file.
        content: All of it.
        is_synced: Without, a power cut may leave a damaged file; for what can be done without.

    Raises:
        VtkError: The file cannot be written.
    """
    write_pieces_atomic(path, (content,), is_synced=is_synced)


def write_pieces_atomic(path: Path, pieces: Iterable[bytes], *, is_synced: bool = True) -> None:
    """Replace `path` by these pieces one after the other; a failure leaves the old file untouched.

    Args:
        path: The file.
        pieces: All of it; what they raise rises.
        is_synced: Without, a power cut may leave a damaged file; for what can be done without.

    Raises:
        VtkError: The file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        with temporary.open("xb") as stream:
            stream.writelines(pieces)
            stream.flush()
            if is_synced:
                os.fsync(stream.fileno())
        temporary.replace(path)
        if is_synced:
            sync_folder(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`.

    Raises:
        DataError: The file is missing, unreadable or not a JSON object.
    """
    try:
        return decode_line(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}") from error


def file_sha256(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def storage_error(path: Path, error: OSError) -> VtkError:
    """Return the error that says why `path` could not be written, and the space left there."""
    if error.errno in _NO_SPACE:
        return VtkError(
            f"cannot write {path}: {error.strerror} ({_free_space(path)})",
            hint="Free some space, or choose another disk (--runs-dir, --data-dir); "
            "then repeat the command: it goes on.",
        )
    return VtkError(f"cannot write {path}: {error.strerror or error}")


def sync_folder(folder: Path) -> None:
    """Sync a folder's entries to the disk, so that a rename in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (
            errno.EINVAL,
            errno.ENOTSUP,
        ):  # file systems that cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def _free_space(path: Path) -> str:
    folder = next((parent for parent in path.absolute().parents if parent.is_dir()), Path("/"))
    try:
        return f"{format_bytes(shutil.disk_usage(folder).free)} free on the disk of {folder}"
    except OSError as error:
        return f"free space unknown: {error.strerror}"
