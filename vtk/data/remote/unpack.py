"""Members of an archive to the disk: each one whole and checked, or not there at all.

A member is written beside its place, compared with its CRC-32, synced, and renamed. What an earlier
try unpacked is kept if its content is right.
"""

import os
import shlex
import unicodedata
import uuid
import zipfile
import zlib
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from typing import Final

from vtk.data.remote.archive import Member, open_archive, read_members
from vtk.data.resolve import resolve_under
from vtk.errors import DataError
from vtk.net.disk import disk_error, require_space
from vtk.net.transfer import Cancelled
from vtk.runs.files import sync_folder

TEMPORARY_SUFFIX: Final = ".unpacking"
_BLOCK_BYTES = 1 << 20

Unpacked = dict[str, tuple[int, int | None]]
"""Size and CRC-32 of each file; None where no archive told the CRC."""


class DamagedMemberError(DataError):
    """A member's content is not what the archive's directory says: the archive arrived damaged."""


def unpack(
    archive_path: Path,
    root: Path,
    route: Callable[[str], str | None],
    needed: Container[str] | None,
    *,
    on_bytes: Callable[[int, int], None],
    is_cancelled: Callable[[], bool],
    reserved: frozenset[str] = frozenset(),
    is_owned: Callable[[str], bool] = lambda _target: False,
) -> Unpacked:
    """Unpack what is wanted of an archive.

    Args:
        archive_path: The archive.
        root: The data set's folder.
        route: Where a member goes, relative to `root`; None if it is not wanted.
        needed: The only targets that are wanted; None for all.
        on_bytes: Told the bytes done and in all.
        is_cancelled: Looked at between blocks.
        reserved: Files that the download itself keeps; no member may take the place of one, or of
            what is named after one (`NAME.part`).
        is_owned: Asked of each target whether it is another archive's and stays as it is.

    Returns:
        Size and CRC-32 of each target that is this archive's.

    Raises:
        DamagedMemberError: A member's content is damaged; those before it are unpacked.
        DataError: The archive is hostile, or has nothing that is wanted.
        MissingEnvironmentError: The disk is too small.
        VtkError: The disk fails.
        Cancelled: The work was called off; what was unpacked stays.
    """
    with open_archive(archive_path) as archive:
        wanted = _wanted(archive_path, read_members(archive), root, route, needed)
        _check_reserved(archive_path, wanted, reserved)
        wanted = {target: each for target, each in wanted.items() if not is_owned(target)}
        _remove_left(root, wanted)
        _write_missing(archive, wanted, root, on_bytes, is_cancelled)
    for folder in {(root / target).parent for target in wanted}:
        sync_folder(folder)
    return {target: (member.num_bytes, member.crc) for target, member in wanted.items()}


def _remove_left(root: Path, targets: Iterable[str]) -> None:
    """Remove what a killed process was writing in the folders of these files."""
    for folder in {(root / target).parent for target in targets}:
        if folder.is_dir() and folder.resolve().is_relative_to(root.resolve()):
            for left in folder.glob(f"*{TEMPORARY_SUFFIX}"):
                left.unlink(missing_ok=True)


def _write_missing(
    archive: zipfile.ZipFile,
    wanted: Mapping[str, Member],
    root: Path,
    on_bytes: Callable[[int, int], None],
    is_cancelled: Callable[[], bool],
) -> None:
    """Write the members that are not here yet, once there is room for all of them."""
    total = sum(member.num_bytes for member in wanted.values())
    done, missing = 0, {}
    for target, member in wanted.items():
        if _is_right(root / target, member):
            done += member.num_bytes
        else:
            missing[target] = member
    require_space(root, total - done, f"unpacking {Path(archive.filename or '').name}")
    for target, member in missing.items():
        _write(archive, member, root, target, _telling(on_bytes, done, total), is_cancelled)
        done += member.num_bytes
    on_bytes(done, total)


def _telling(on_bytes: Callable[[int, int], None], done: int, total: int) -> Callable[[int], None]:
    return lambda num_bytes: on_bytes(done + num_bytes, total)


def _wanted(
    archive_path: Path,
    members: list[Member],
    root: Path,
    route: Callable[[str], str | None],
    needed: Container[str] | None,
) -> Mapping[str, Member]:
    """The wanted members by their targets; two for one target are refused."""
    wanted: dict[str, Member] = {}
    num_routed = 0
    for member in members:
        target = route(member.name)
        num_routed += target is not None
        if target is None or (needed is not None and target not in needed):
            continue
        if target in wanted:
            raise DataError(f"{archive_path.name} is refused: two members go to {target!r}")
        wanted[target] = member
    if not num_routed:
        raise DataError(
            f"{archive_path.name} has nothing of what was expected in it",
            "Its owners may have changed the layout. "
            f"See what is in it with: unzip -l {shlex.quote(str(archive_path))}",
        )
    _check_alike(archive_path, wanted, root)
    return wanted


def _check_reserved(
    archive_path: Path, wanted: Mapping[str, Member], reserved: frozenset[str]
) -> None:
    for target in wanted:
        if target in reserved or target.partition(".part")[0] in reserved:
            raise DataError(
                f"{archive_path.name} is refused: a member would take the place of {target!r}"
            )


def _check_alike(archive_path: Path, wanted: Mapping[str, Member], root: Path) -> None:
    """Refuse names that this disk cannot tell apart."""
    if not _is_case_blind(root):
        return
    seen: dict[str, str] = {}
    for target in wanted:
        alike = seen.setdefault(unicodedata.normalize("NFC", target).casefold(), target)
        if alike != target:
            raise DataError(
                f"{archive_path.name} is refused: this disk takes {target!r} and {alike!r} for one"
            )


def _is_case_blind(root: Path) -> bool:
    """Whether the disk takes `a` and `A` for one name."""
    probe = root / f".vtk-Case-{uuid.uuid4().hex}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe.touch()
        is_blind = probe.with_name(probe.name.swapcase()).exists()
        probe.unlink()
    except OSError as error:
        raise disk_error(probe, error) from error
    return is_blind


def _is_right(path: Path, member: Member) -> bool:
    """Whether an earlier try left the member whole."""
    if not path.is_file() or path.stat().st_size != member.num_bytes:
        return False
    return file_crc(path) == member.crc


def file_crc(path: Path) -> int:
    """CRC-32 of a file's content."""
    crc = 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            crc = zlib.crc32(block, crc)
    return crc


def _write(
    archive: zipfile.ZipFile,
    member: Member,
    root: Path,
    target: str,
    on_bytes: Callable[[int], None],
    is_cancelled: Callable[[], bool],
) -> None:
    path = root / target
    if resolve_under(root, target) != root.resolve() / target:
        raise DataError(
            f"{path} leads elsewhere through a symbolic link",
            "Make the data folder itself the link, and nothing inside it.",
        )
    temporary = path.with_name(f".{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(temporary, flags, 0o666), "wb") as output:
            _copy(archive, member, output.write, on_bytes, is_cancelled)
            output.flush()
            os.fsync(output.fileno())
        temporary.replace(path)
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _copy(
    archive: zipfile.ZipFile,
    member: Member,
    write: Callable[[bytes], object],
    on_bytes: Callable[[int], None],
    is_cancelled: Callable[[], bool],
) -> None:
    """The member's content, as long as it claims to be; `zipfile` compares the CRC at its end."""
    num_bytes = 0
    try:
        with archive.open(member.info) as stream:
            while block := stream.read(_BLOCK_BYTES):
                if is_cancelled():
                    raise Cancelled
                num_bytes += len(block)
                write(block)
                on_bytes(num_bytes)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DamagedMemberError(f"{archive.filename}: {member.name!r}: {error}") from error
    if num_bytes != member.num_bytes:
        raise DamagedMemberError(
            f"{archive.filename}: {member.name!r} has {num_bytes} bytes, not {member.num_bytes}"
        )
