"""The frames that a model saw of a clip, side by side in one small PNG that needs no library.

A chunk of text says which of the model's frames these are and when they are shown. Any picture
viewer opens the file; `decode_strip` reads only what `encode_strip` writes: 8-bit RGB without row
filters (PNG specification, https://www.w3.org/TR/png-3/).
"""

import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

from vtk.runs.events import is_count, is_number

STRIP_VERSION: Final = 1
MAX_STRIP_PIXELS: Final = 32 * 512 * 512
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_KEYWORD: Final = b"vtk\0"
_RGB_8_BIT: Final = b"\x08\x02\x00\x00\x00"
_FAST: Final = 1
_MAX_FILE_BYTES: Final = 2**26


@dataclass(frozen=True, slots=True)
class FrameStrip:
    """Frames of one size, in order.

    Attributes:
        width_px: Of one frame.
        height_px: Of one frame.
        indices: Which of the model's frames each is, from 0.
        timestamps_s: Seconds from the clip's start.
        num_model_frames: Frames that the model was given.
        rgb: The pixels of all frames side by side, row by row: height · (frames · width) · 3 bytes.
    """

    width_px: int
    height_px: int
    indices: tuple[int, ...]
    timestamps_s: tuple[float, ...]
    num_model_frames: int
    rgb: bytes


def encode_strip(strip: FrameStrip) -> bytes:
    """The PNG of a strip.

    Raises:
        ValueError: The pixels are not as many as the sizes say.
    """
    width_px = strip.width_px * len(strip.indices)
    row_bytes = 3 * width_px
    if len(strip.rgb) != row_bytes * strip.height_px:
        raise ValueError(f"{len(strip.rgb)} bytes of pixels, not {row_bytes * strip.height_px}")
    starts = range(0, len(strip.rgb), row_bytes)
    rows = b"".join(b"\0" + strip.rgb[start : start + row_bytes] for start in starts)
    facts = {
        "v": STRIP_VERSION,
        "indices": strip.indices,
        "timestamps_s": strip.timestamps_s,
        "num_model_frames": strip.num_model_frames,
    }
    size = struct.pack(">II", width_px, strip.height_px)
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", size + _RGB_8_BIT),
            _chunk(b"tEXt", _KEYWORD + json.dumps(facts).encode()),
            _chunk(b"IDAT", zlib.compress(rows, _FAST)),
            _chunk(b"IEND", b""),
        )
    )


def decode_strip(content: bytes) -> FrameStrip:
    """The strip of a PNG that `encode_strip` made.

    Raises:
        ValueError: It is damaged, too large, or another kind of PNG.
    """
    if len(content) > _MAX_FILE_BYTES or not content.startswith(_SIGNATURE):
        raise ValueError("not a strip of frames")
    chunks = _chunks(content)
    if chunks.get(b"IHDR", b"")[8:] != _RGB_8_BIT or b"IDAT" not in chunks:
        raise ValueError("not a strip of frames: no 8-bit RGB")
    width_px, height_px = struct.unpack(">II", chunks[b"IHDR"][:8])
    if not 0 < width_px * height_px <= MAX_STRIP_PIXELS:
        raise ValueError(f"a strip of {width_px}x{height_px} px is too large")
    indices, timestamps_s, num_model_frames = _facts(chunks.get(b"tEXt", b""))
    if width_px % len(indices):
        raise ValueError(f"{len(indices)} frames do not share {width_px} px")
    rgb = _pixels(chunks[b"IDAT"], 3 * width_px, height_px)
    frame_px = width_px // len(indices)
    return FrameStrip(frame_px, height_px, indices, timestamps_s, num_model_frames, rgb)


def _facts(text: bytes) -> tuple[tuple[int, ...], tuple[float, ...], int]:
    try:
        found: Any = json.loads(text.removeprefix(_KEYWORD))
        indices, times_s = found["indices"], found["timestamps_s"]
        num_model_frames = found["num_model_frames"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError("the strip does not say which frames it holds") from None
    is_sound = (
        isinstance(indices, list)
        and isinstance(times_s, list)
        and len(indices) == len(times_s) > 0
        and all(map(is_count, [*indices, num_model_frames]))
        and all(map(is_number, times_s))
    )
    if not is_sound:
        raise ValueError("the strip does not say which frames it holds")
    return tuple(indices), tuple(map(float, times_s)), num_model_frames


def _pixels(packed: bytes, row_bytes: int, height_px: int) -> bytes:
    length = (row_bytes + 1) * height_px
    try:
        rows = zlib.decompressobj().decompress(packed, length + 1)
    except zlib.error as error:
        raise ValueError(f"damaged pixels: {error}") from None
    if len(rows) != length:
        raise ValueError("damaged pixels: too many or too few")
    starts = range(0, length, row_bytes + 1)
    if any(rows[start] for start in starts):
        raise ValueError("rows with filters are not read")
    return b"".join(rows[start + 1 : start + 1 + row_bytes] for start in starts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def _chunks(content: bytes) -> dict[bytes, bytes]:
    """Kind to content, the first of each kind; a chunk that is damaged ends the reading."""
    found: dict[bytes, bytes] = {}
    place = len(_SIGNATURE)
    while place + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        kind, inner = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        end = place + 12 + length
        if end > len(content) or content[place:end] != _chunk(kind, inner):
            raise ValueError("a chunk of the picture is damaged")
        found.setdefault(kind, inner)
        place = end
    return found
