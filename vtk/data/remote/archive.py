"""What a zip archive claims to hold, and whether it may be unpacked at all.

An archive comes from strangers. It is refused as a whole when one of its members would leave the
folder, is not a plain file, comes twice, is encrypted, lies inside another member, or unpacks to
more than its size can explain. Nothing is written before all members were looked at.
"""

import os
import re
import stat
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from vtk.data.resolve import relative_reference
from vtk.errors import DataError
from vtk.format import format_bytes, visible_text

MAX_MEMBERS: Final = 500_000
MAX_DIRECTORY_BYTES: Final = 128 << 20
MAX_RATIO: Final = 100
"""A member may unpack to so many times its packed size; text in CLEVRER's archives has about 10."""

SMALL_BYTES: Final = 1 << 20
"""Members up to this size may have any ratio."""

MAX_NAME_BYTES = 255
_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
_LOCAL_HEADER_BYTES = 30
_END = struct.Struct("<4sHHHHIIH")
_END_SIGNATURE = b"PK\x05\x06"
_LOCATOR = struct.Struct("<4sIQI")
_END_64 = struct.Struct("<4sQHHIIQQQQ")


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive.

    Attributes:
        name: Its path in the archive.
        num_bytes: Unpacked.
        crc: CRC-32 of its content.
        info: What `zipfile` opens it by.
    """

    name: str
    num_bytes: int
    crc: int
    info: zipfile.ZipInfo


def structure_fault(path: Path) -> str | None:
    """What is wrong with an archive as a file, for instance one cut short; None if nothing."""
    try:
        with open_archive(path):
            return None
    except DataError as error:
        return error.message


def open_archive(path: Path) -> zipfile.ZipFile:
    """Open an archive, after a look at how long its directory is.

    Raises:
        DataError: It is not a zip archive, is cut short, or its directory is absurdly long.
    """
    try:
        _check_directory(path)
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError) as error:
        raise DataError(f"{path.name} is no whole zip archive: {error}") from error


def _check_directory(path: Path) -> None:
    """Refuse a directory that would fill the memory, before `zipfile` reads all of it."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - _END.size - 0xFFFF))
        tail = stream.read()
        at = tail.rfind(_END_SIGNATURE)
        if at < 0:
            raise zipfile.BadZipFile("it has no directory; it was cut short or is something else")
        _, _, _, _, num_members, directory_bytes, _, _ = _END.unpack_from(tail, at)
        if at >= _LOCATOR.size and tail[at - _LOCATOR.size :].startswith(b"PK\x06\x07"):
            _, _, offset, _ = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)
            stream.seek(offset)
            fields = _END_64.unpack(stream.read(_END_64.size))
            num_members, directory_bytes = fields[7], fields[8]
    if num_members > MAX_MEMBERS or directory_bytes > MAX_DIRECTORY_BYTES:
        raise zipfile.BadZipFile(
            f"its directory claims {num_members} members in {format_bytes(directory_bytes)}"
        )


def read_members(archive: zipfile.ZipFile) -> list[Member]:
    """The files of an archive, in the order in which they lie in it.

    Raises:
        DataError: The archive is hostile or of a kind that is not supported; names the member.
    """
    infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    ends = [*(info.header_offset for info in infos[1:]), archive.start_dir]
    seen: set[str] = set()
    members = []
    for info, end in zip(infos, ends, strict=True):
        fault = _fault(info, end) or (info.filename in seen and "comes twice") or None
        if fault is not None:
            name = visible_text(info.orig_filename)
            raise DataError(
                f"{Path(archive.filename or '').name} is refused as a whole: "
                f"its member {name!r} {fault}",
                "The archive is not what its owners published, or it is damaged. Nothing of it "
                "was unpacked; remove it and fetch it from another server with --mirror.",
            )
        seen.add(info.filename)
        if not info.is_dir():
            members.append(Member(info.filename, info.file_size, info.CRC, info))
    _check_together(archive, members)
    return members


def _fault(info: zipfile.ZipInfo, end: int) -> str | None:
    """Why a member may not be unpacked."""
    mode = info.external_attr >> 16
    fault = _name_fault(info.orig_filename)
    if fault is not None:
        return fault
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.compress_type not in _KINDS:
        return f"is packed by method {info.compress_type}, which is not supported"
    if info.file_size > SMALL_BYTES and info.file_size > MAX_RATIO * info.compress_size:
        return f"would unpack to {format_bytes(info.file_size)}, {MAX_RATIO} times its size or more"
    if info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size > end:
        return "lies inside another member or outside the archive"
    return None


def _name_fault(name: str) -> str | None:
    if name.startswith("/"):
        return "has an absolute path"
    try:
        relative = relative_reference(name)
    except DataError as error:
        return f"is refused: {error.message.rsplit(': ', 1)[-1]}"
    if any(ord(char) < 32 or ord(char) == 127 for char in name):
        return "has control characters in its name"
    for part in relative.parts:
        if _DEVICES.fullmatch(part) or part.endswith((" ", ".")):
            return "has the name of a device, or one that ends with a dot or a space"
        if len(os.fsencode(part)) > MAX_NAME_BYTES:
            return "has a name that no disk can hold"
    return None


def _check_together(archive: zipfile.ZipFile, members: list[Member]) -> None:
    """Refuse what no single member shows: a file that is also a folder, and too much in all."""
    names = {member.name for member in members}
    folders = {parent.as_posix() for name in names for parent in PurePosixPath(name).parents}
    if names & folders:
        raise DataError(
            f"{Path(archive.filename or '').name} is refused: a member is also a folder of another"
        )
    total = sum(member.num_bytes for member in members)
    packed = archive.start_dir
    if total > MAX_RATIO * packed + SMALL_BYTES:
        raise DataError(
            f"{Path(archive.filename or '').name} is refused: {format_bytes(packed)} would unpack "
            f"to {format_bytes(total)}",
            "The archive is not what its owners published. Nothing of it was unpacked.",
        )
