"""Decode a few frames of an H.264 stream without decoding the frames that nothing needs.

About three quarters of the frames that x264 writes are B-frames, and most of those no other frame
refers to (`nal_ref_idc` 0, ITU-T H.264 7.4.1). Unless it is wanted itself, such a frame is passed
over; every other frame comes out with the same pixels as from decoding everything. Other codecs
give no such promise: in HEVC a picture of this kind may still serve a higher temporal layer.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import av

from vtk.video.containers import StreamIndex, open_video

_CODEC: Final = "h264"


def decode_wanted(
    path: Path, wanted: Collection[int], index: StreamIndex
) -> dict[int, av.VideoFrame] | None:
    """The wanted frames, the others decoded only where they are referred to.

    Args:
        path: A local video file.
        wanted: Positions of frames in display order.
        index: The stream's packets.

    Returns:
        Position -> frame, or None where this way does not lead to all of them: another codec, time
        stamps that are missing, repeated or not those of presentation, or a wanted frame that does
        not decode.

    Raises:
        av.FFmpegError: Unreadable.
    """
    if index.pts is None:
        return None
    numbers = {index.pts[number]: number for number in wanted}
    with open_video(path) as container:
        stream = container.streams.video[0]
        if stream.codec_context.name != _CODEC:
            return None
        if index.is_reordered != bool(stream.codec_context.has_b_frames):
            return None  # the container's times are those of decoding; they name other frames
        found = _decode_needed(container, stream, numbers)
    return found if len(found) == len(numbers) else None


def _decode_needed(
    container: Any, stream: Any, numbers: dict[int, int]
) -> dict[int, av.VideoFrame]:
    """Frames by position; with one thread a packet is decoded under the rule it is sent with."""
    decoder = stream.codec_context
    decoder.thread_count = 1
    found: dict[int, av.VideoFrame] = {}
    for packet in container.demux(stream):
        decoder.skip_frame = "DEFAULT" if packet.pts in numbers else "NONREF"
        for frame in packet.decode():
            if frame.pts in numbers:
                found[numbers[frame.pts]] = frame
    return found
