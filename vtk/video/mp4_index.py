"""What the header of an MP4 or QuickTime file will cost to open, found without opening it.

A header may state a number of samples without a table that grows with it (ISO/IEC 14496-12,
8.7.3.2: one size for all), and FFmpeg allots an entry for each before anybody can object: a file of
2 kB that promises 80 million frames takes 4.8 GB and half a minute. So the boxes are walked first.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

_FOLDERS: Final = frozenset(
    {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf", b"udta", b"mvex"}
)
_MAX_BOXES: Final = 1_000_000
_MAX_DEPTH: Final = 12
_HEAD_BYTES: Final = 16
FREE_ENTRIES: Final = 1_000_000
"""Entries that any file may promise: they take 160 MB at most."""


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    begin: int
    end: int
    depth: int


def index_fault(path: Path) -> str | None:
    """What makes an MP4's header absurd; None for a sound one and for every other format.

    A sample takes at least a byte, so a file with more samples than bytes lies. Edits repeat
    samples, so they multiply.

    Args:
        path: A plain file.

    Raises:
        OSError: It cannot be read.
    """
    num_bytes = path.stat().st_size
    num_entries, in_track, num_edits = 0, 0, 1
    with path.open("rb") as stream:
        for number, box in enumerate(_boxes(stream, 0, num_bytes, 0)):
            if number == _MAX_BOXES:
                return f"its header has more than {_MAX_BOXES} boxes"
            if box.kind == b"cmov":
                return "its header is compressed"
            if box.kind == b"trak":
                num_entries, in_track, num_edits = num_entries + in_track * num_edits, 0, 1
            elif box.kind in (b"stsz", b"stz2"):
                in_track += _number(stream, box, 8)
            elif box.kind == b"elst":
                num_edits = max(1, min(_number(stream, box, 4), (box.end - box.begin) // 12))
            elif box.kind == b"trun":
                num_entries += _number(stream, box, 4)
    num_entries += in_track * num_edits
    if num_entries > max(num_bytes, FREE_ENTRIES):
        return f"its header promises {num_entries:,} frames in {num_bytes:,} bytes"
    return None


def _boxes(stream: BinaryIO, begin: int, end: int, depth: int) -> Iterator[_Box]:
    """All boxes of a span, those that hold others before what they hold; ends at nonsense."""
    while end - begin >= 8:
        stream.seek(begin)
        head = stream.read(_HEAD_BYTES)
        if len(head) < 8:
            return
        size, kind = struct.unpack_from(">I4s", head)
        body = begin + 8
        if size == 1 and len(head) == _HEAD_BYTES:
            size, body = struct.unpack_from(">Q", head, 8)[0], begin + 16
        stop = end if size == 0 else min(end, begin + size)
        if stop < body:
            return
        yield _Box(kind, body, stop, depth)
        if kind in _FOLDERS and depth < _MAX_DEPTH:
            yield from _boxes(stream, body, stop, depth + 1)
        begin = stop


def _number(stream: BinaryIO, box: _Box, offset: int) -> int:
    """The 32-bit number at an offset of a box; 0 where the box ends before."""
    if box.begin + offset + 4 > box.end:
        return 0
    stream.seek(box.begin + offset)
    content = stream.read(4)
    return int.from_bytes(content) if len(content) == 4 else 0
