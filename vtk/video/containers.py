"""Open a video file safely, and list its frames without decoding them.

Only local regular files in containers that hold their own frames are opened: no address, no
playlist, no pattern of image names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av

from vtk.errors import DataError

ALLOWED_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"


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
        hint="fetch the file again, or remove its questions from the data",
    )


def require_regular_file(path: Path) -> None:
    """Refuse what is missing, empty, or no plain file (a pipe would block).

    Raises:
        DataError: the message holds the path.
    """
    if not path.exists():
        raise DataError(f"the video {path} does not exist", hint="check the data folder")
    if not path.is_file():
        raise DataError(f"the video {path} is not a regular file")
    if path.stat().st_size == 0:
        raise DataError(f"the video {path} is empty (0 bytes)", hint="fetch the file again")


def open_video(path: Path) -> Any:
    """Open a file as an `av` container with at least one video stream.

    Raises:
        DataError: there is no video stream, or nothing decodes its codec.
        av.FFmpegError: not an allowed container, or unreadable.
    """
    options = {"format_whitelist": ALLOWED_DEMUXERS, "protocol_whitelist": "file"}
    # titles and tags are not looked at, and many clips hold some that are not UTF-8
    container = av.open(f"file:{path.resolve()}", options=options, metadata_errors="replace")
    if not container.streams.video:
        container.close()
        raise DataError(f"the file {path} has no video stream")
    stream: Any = container.streams.video[0]
    if stream.codec_context is None:
        container.close()
        raise damaged(path, "its codec is unknown")
    return container


def num_promised_frames(path: Path) -> int:
    """Frames that the container's header promises; 0 where the header does not say."""
    with open_video(path) as container:
        return int(container.streams.video[0].frames)


def index_stream(path: Path) -> StreamIndex:
    """Read the packets of the first video stream, without decoding.

    Raises:
        DataError: no packets, or no frame rate.
        av.FFmpegError: unreadable.
    """
    with open_video(path) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size > 0]
        rate = stream.average_rate or stream.guessed_rate or Fraction(0)
    shown = [packet for packet in packets if not packet.is_discard]
    if not shown:
        raise damaged(path, "the stream has no packets")
    if rate == 0:
        raise damaged(path, "the stream states no frame rate")
    stamps = [packet.pts for packet in shown]
    return StreamIndex(
        fps=float(rate),
        num_packets=len(shown),
        pts=_display_order(stamps),
        is_reordered=any((b or 0) < (a or 0) for a, b in pairwise(stamps)),
        keyframe_pts=tuple(sorted(p.pts for p in packets if p.is_keyframe and p.pts is not None)),
    )


def _display_order(stamps: Sequence[int | None]) -> tuple[int, ...] | None:
    pts = sorted(stamp for stamp in stamps if stamp is not None)
    is_complete = len(pts) == len(stamps) and all(a < b for a, b in pairwise(pts))
    return tuple(pts) if is_complete else None
