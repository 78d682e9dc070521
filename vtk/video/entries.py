"""One entry of the pixel cache: a clip's frames with what is recorded of them, in one file.

```
magic | sha256 of the header | header's length | header (JSON) | zeros | frames, uint8, F C H W
```

The frames begin at a multiple of 64 bytes. An entry is served only if its header and its frames
have the checksums that were written, so a torn, truncated or altered file is noticed, whatever
happened to it. The whole file is read into the reader's own memory, and what was checked is what is
served: a mapped file could still change, or shrink and end the process with SIGBUS, afterwards.

Shape letters: F frames, C channels, H height, W width.
"""

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from vtk.video.frames import Clip

ENTRY_FORMAT: Final = 1
_MAGIC: Final = b"vtkclip" + bytes([ENTRY_FORMAT])
_LENGTH_BYTES: Final = 8
_PREFIX_BYTES: Final = len(_MAGIC) + 32 + _LENGTH_BYTES
_ALIGNMENT_BYTES: Final = 64
_NUM_COLUMNS: Final = 1021
_RECORDED: Final = (
    "timestamps_s",
    "source_fps",
    "num_source_frames",
    "decoder",
    "source_indices",
)


class DamagedEntry(Exception):
    """An entry is not what was written; the message says how."""


def encode_entry(key: str, clip: Clip) -> list[bytes | memoryview]:
    """The content of an entry, in parts to be written one after another.

    Args:
        key: The entry's key; an entry under another name is refused.
        clip: What it holds.
    """
    frames_FCHW = clip.frames_FCHW.contiguous().numpy()
    payload = frames_FCHW.reshape(-1)
    facts = {name: getattr(clip, name) for name in _RECORDED}
    facts |= {
        "key": key,
        "shape": list(frames_FCHW.shape),
        "checksum": frames_checksum(payload),
    }
    header = json.dumps(facts).encode()
    length = len(header).to_bytes(_LENGTH_BYTES, "little")
    padding = bytes(-(_PREFIX_BYTES + len(header)) % _ALIGNMENT_BYTES)
    return [_MAGIC, sha256(header).digest(), length, header, padding, payload.data]


def read_entry(path: Path, key: str) -> Clip:
    """Read an entry and check all of it.

    Args:
        path: Its file.
        key: What it has to be the entry of.

    Raises:
        DamagedEntry: It is not what was written under that key.
        OSError: It is not there, or cannot be read.
    """
    content = _read_whole(path)
    facts, start = _read_header(content)
    if facts["key"] != key:
        raise DamagedEntry("it is the entry of another clip")
    payload = content[start:]
    if payload.size != int(np.prod(facts["shape"])):
        raise DamagedEntry(f"{payload.size} bytes of frames for the shape {facts['shape']}")
    if frames_checksum(payload) != facts["checksum"]:
        raise DamagedEntry("its frames do not have the checksum that was written")
    return Clip(
        frames_FCHW=torch.from_numpy(payload.reshape(facts["shape"])),
        timestamps_s=tuple(facts["timestamps_s"]),
        source_fps=facts["source_fps"],
        num_source_frames=facts["num_source_frames"],
        decoder=facts["decoder"],
        source_indices=tuple(facts["source_indices"]),
    )


def frames_checksum(payload: NDArray[np.uint8]) -> str:
    """A checksum that costs a tenth of a millisecond for four megabytes (crc32: more than one).

    64-bit words are added up in 1021 columns, and the sums are hashed. One changed word changes one
    sum; a page that is missing, empty or in another's place changes hundreds, because 1021 is prime
    and no page or disk block is a whole number of rows. It is no seal: who means to deceive can
    write a whole entry.

    Args:
        payload: uint8, in one dimension.
    """
    num_rows = payload.size // 8 // _NUM_COLUMNS
    num_summed_bytes = num_rows * _NUM_COLUMNS * 8
    words = payload[:num_summed_bytes].view("<u8").reshape(num_rows, _NUM_COLUMNS)
    digest = sha256(words.sum(axis=0, dtype=np.uint64).astype("<u8").tobytes())
    digest.update(payload[num_summed_bytes:].tobytes())
    return digest.hexdigest()


def _read_whole(path: Path) -> NDArray[np.uint8]:
    with path.open("rb", buffering=0) as stream:
        content = np.empty(os.fstat(stream.fileno()).st_size, dtype=np.uint8)
        num_read = 0
        while num_read < content.size:
            num_more = stream.readinto(content.data[num_read:])
            if not num_more:
                raise DamagedEntry("it became shorter while it was read")
            num_read += num_more
    return content


def _read_header(content: NDArray[np.uint8]) -> tuple[dict[str, Any], int]:
    """What is recorded of the frames, and where they start."""
    prefix = content[:_PREFIX_BYTES].tobytes()
    if len(prefix) < _PREFIX_BYTES or not prefix.startswith(_MAGIC):
        raise DamagedEntry("it does not begin like an entry")
    length = int.from_bytes(prefix[-_LENGTH_BYTES:], "little")
    header = content[_PREFIX_BYTES : _PREFIX_BYTES + length].tobytes()
    if sha256(header).digest() != prefix[len(_MAGIC) : -_LENGTH_BYTES]:
        raise DamagedEntry("its header does not have the checksum that was written")
    end = _PREFIX_BYTES + length
    facts: dict[str, Any] = json.loads(header)
    return facts, end + -end % _ALIGNMENT_BYTES
