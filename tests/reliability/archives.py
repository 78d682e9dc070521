"""Archives as an attacker makes them; each must be refused before anything is unpacked."""

import io
import stat
import struct
import warnings
import zipfile

from tests.reliability.publishers import make_zip
from vtk.data.remote.archive import MAX_MEMBERS

CENTRAL, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"
PLAIN = make_zip({"a.mp4": b"a" * 100, "b.mp4": b"b" * 100}, zipfile.ZIP_STORED)
SYMLINK = (stat.S_IFLNK | 0o777) << 16
FIFO = (stat.S_IFIFO | 0o666) << 16


def with_member(name: str = "x", **changes: object) -> bytes:
    """A good archive with one more member whose directory entry was changed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("good.mp4", b"good")
        info = zipfile.ZipInfo(name)
        for key, value in changes.items():
            setattr(info, key, value)
        archive.writestr(info, b"/etc/passwd")
    return stream.getvalue()


def patched(content: bytes, signature: bytes, offset: int, value: bytes, nth: int = 0) -> bytes:
    """Bytes at an offset after the n-th occurrence of a record's signature, replaced."""
    at = -1
    for _ in range(nth + 1):
        at = content.index(signature, at + 1)
    return content[: at + offset] + value + content[at + offset + len(value) :]


def overlapping() -> bytes:
    """Both directory entries lead to the first member's bytes."""
    return patched(PLAIN, CENTRAL, 42, struct.pack("<I", 0), nth=1)


def lying_size() -> bytes:
    """A member that claims ten bytes and holds a hundred."""
    ten = struct.pack("<I", 10)
    return patched(patched(PLAIN, CENTRAL, 24, ten), LOCAL, 22, ten)


def other_local_name() -> bytes:
    """The name before the member is another than in the directory."""
    return patched(PLAIN, LOCAL, 30, b"c")


def twice() -> bytes:
    """Two members of one name: which is the right one?"""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore", UserWarning)
        archive.writestr("a.mp4", b"first")
        archive.writestr("a.mp4", b"second")
    return stream.getvalue()


def many_members() -> bytes:
    """A directory that claims more members than anybody has; it is 300 bytes long."""
    end = PLAIN.index(END)
    numbers = (44, 45, 45, 0, 0, MAX_MEMBERS + 1, MAX_MEMBERS + 1, 92, 0)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", *numbers)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    tail = PLAIN[end : end + 8] + b"\xff\xff\xff\xff" + PLAIN[end + 12 :]
    return PLAIN[:end] + record + locator + tail


HOSTILE = {
    "climbs": with_member("../victim.txt"),
    "climbs inside": with_member("videos/../../victim.txt"),
    "absolute": with_member("/tmp/victim.txt"),
    "drive": with_member("C:/victim.txt"),
    "network share": with_member("//host/share/victim.txt"),
    "backslash": with_member("..\\victim.txt"),
    "URL": with_member("file:///etc/passwd"),
    "control characters": with_member("a\x1b[2Jb.mp4"),
    "new line": with_member("a\nb.mp4"),
    "device": with_member("videos/NUL.mp4"),
    "dot at the end": with_member("videos/a.mp4."),
    "too long": with_member("a" * 300 + ".mp4"),
    "NUL": patched(with_member("aXb.mp4"), b"aXb", 1, b"\0", nth=1),
    "symbolic link": with_member("link.mp4", external_attr=SYMLINK, create_system=3),
    "fifo": with_member("fifo.mp4", external_attr=FIFO, create_system=3),
    "encrypted": patched(PLAIN, CENTRAL, 8, b"\x01\x00"),
    "unknown packing": patched(PLAIN, CENTRAL, 10, b"\x09\x00"),
    "bomb": make_zip({"a.mp4": bytes(200 << 20)}),
    "many small bombs": make_zip({f"{n}.mp4": bytes(1 << 20) for n in range(200)}),
    "overlap": overlapping(),
    "comes twice": twice(),
    "too many members": many_members(),
    "file and folder": make_zip({"a": b"1", "a/b.mp4": b"2"}),
}
"""By kind. Refused as a whole: not one byte is written."""

DAMAGED = {"longer than it says": lying_size(), "another local name": other_local_name()}
"""Noticed while they are unpacked: the member itself is never there."""
