"""Open a video file safely, and list its frames without decoding them.

Only local regular files in containers that hold their own frames are opened: no address, no
playlist, no pattern of image names.
"""

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import av

from vtk.errors import DataError
from vtk.video.mp4_index import index_fault

ALLOWED_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
MAX_FRAME_PX: Final = 50_000_000
"""No larger frame is decoded; 8K video has 35 million pixels."""

_ROOM_BYTES: Final = 1 << 30


@dataclass(frozen=True)
class Promise:
    """What a container's header says of its video stream.

    Attributes:
        num_frames: Frames; 0 where it does not say.
        frame_px: Pixels of one frame; 0 where it does not say.
    """

    num_frames: int
    frame_px: int


@dataclass(frozen=True)
class StreamIndex:
    """What the packets of a video stream say about its frames.

    Attributes:
        fps: average frame rate, in frames per second.
        num_packets: frames that the stream should decode to.
        pts: presentation time stamp of each frame in display order, in the stream's time base;
            None when the file does not give every frame its own.
        keyframe_pts: those of the frames that decoding can start from, ascending.
        is_reordered: whether packets come in another order than frames are shown in, as they do
            where frames refer to later ones; a container that keeps no presentation times hides it.
    """

    fps: float
    num_packets: int
    pts: tuple[int, ...] | None
    keyframe_pts: tuple[int, ...]
    is_reordered: bool


def damaged(path: Path, detail: str) -> DataError:
    """The error for a file that cannot be decoded."""
    return DataError(
        f"cannot decode the video {path}: {detail}",
        hint="Fetch the file again, or remove its questions from the data.",
    )


def require_regular_file(path: Path) -> None:
    """Refuse what is missing, empty, no plain file (a pipe would block), or absurd by its header.

    Raises:
        DataError: the message holds the path.
    """
    if not path.exists():
        raise DataError(f"the video {path} does not exist", hint="Check the data folder.")
    if not path.is_file():
        raise DataError(f"the video {path} is not a regular file")
    if path.stat().st_size == 0:
        raise DataError(f"the video {path} is empty (0 bytes)", hint="Fetch the file again.")
    try:
        fault = index_fault(path)
    except OSError as error:
        raise damaged(path, error.strerror or str(error)) from error
    if fault is not None:
        raise damaged(path, fault)


def is_file_at_fault() -> bool:
    """Whether a failed allocation says something of the file and not of the machine.

    FFmpeg fails to allot what a header asks for where it is absurd, or where nothing is left; so
    the machine is asked for 1 GiB, untouched, which no honest header takes.
    """
    try:
        mmap.mmap(-1, _ROOM_BYTES).close()
    except OSError:
        return False
    return True


def open_video(path: Path) -> Any:
    """Open a file as an `av` container with at least one video stream.

    Raises:
        DataError: there is no video stream, nothing decodes its codec, or its frames are too
            large.
        av.FFmpegError: not an allowed container, or unreadable.
    """
    options = {
        "format_whitelist": ALLOWED_DEMUXERS,
        "protocol_whitelist": "file",
        "max_pixels": str(MAX_FRAME_PX),  # of the frames that opening decodes
    }
    # titles and tags are not looked at, and many clips hold some that are not UTF-8
    container = av.open(f"file:{path.resolve()}", options=options, metadata_errors="replace")
    if not container.streams.video:
        container.close()
        raise DataError(f"the file {path} has no video stream")
    stream: Any = container.streams.video[0]
    if stream.codec_context is None:
        container.close()
        raise damaged(path, "its codec is unknown")
    decoder = stream.codec_context
    if decoder.width * decoder.height > MAX_FRAME_PX:
        container.close()
        raise damaged(path, f"{decoder.width}x{decoder.height} px is too large for a frame")
    decoder.options = {"max_pixels": str(MAX_FRAME_PX)}  # a frame on the way may be another size
    return container


def read_promise(path: Path) -> Promise:
    """What the container's header promises."""
    with open_video(path) as container:
        stream = container.streams.video[0]
        decoder = stream.codec_context
        return Promise(int(stream.frames), int(decoder.width * decoder.height))


def index_stream(path: Path) -> StreamIndex:
    """Read the packets of the first video stream, without decoding.

    Raises:
        DataError: no packets, or no frame rate.
        av.FFmpegError: unreadable.
    """
    with open_video(path) as container:
        stream = container.streams.video[0]
        # a packet holds its bytes: of a film they are gigabytes, so only its facts are kept
        facts = [
            (packet.pts, packet.is_keyframe, packet.is_discard)
            for packet in container.demux(stream)
            if packet.size > 0
        ]
        rate = stream.average_rate or stream.guessed_rate or Fraction(0)
    stamps = [pts for pts, _, is_discard in facts if not is_discard]
    if not stamps:
        raise damaged(path, "the stream has no packets")
    if rate == 0:
        raise damaged(path, "the stream states no frame rate")
    return StreamIndex(
        fps=float(rate),
        num_packets=len(stamps),
        pts=_display_order(stamps),
        is_reordered=any((b or 0) < (a or 0) for a, b in pairwise(stamps)),
        keyframe_pts=tuple(sorted(pts for pts, is_key, _ in facts if is_key and pts is not None)),
    )


def _display_order(stamps: Sequence[int | None]) -> tuple[int, ...] | None:
    pts = sorted(stamp for stamp in stamps if stamp is not None)
    is_complete = len(pts) == len(stamps) and all(a < b for a, b in pairwise(pts))
    return tuple(pts) if is_complete else None
