"""Decode a clip: which decoder, which frames, and what counts as a damaged file.

Every decoder gets the same treatment: the file passes `vtk.video.containers` first, and an answer
that holds no frame, or far fewer than the container promises, is an error.

PyAV chooses the wanted frames by the number of *packets*; when one of them does not come out and
the whole stream decodes to another number of frames, the choice is made again from those.

Shape letters: F frames, H height, W width, C channels (RGB).
"""

import errno
import importlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import av
import torch
from torch import Tensor

from vtk.errors import DataError, MissingEnvironmentError
from vtk.format import format_bytes
from vtk.hints import nearest_hint
from vtk.video.containers import (
    StreamIndex,
    damaged,
    index_stream,
    is_file_at_fault,
    open_video,
    read_promise,
    require_regular_file,
)
from vtk.video.frame_folder import FOLDER_FPS, frame_files, read_image
from vtk.video.skipping import decode_wanted

DecoderName = Literal["pyav", "decord", "torchcodec"]

AUTO_ORDER: tuple[DecoderName, ...] = ("torchcodec", "pyav", "decord")
"""The order in which ``auto`` takes the first decoder that works here: torchcodec is the quickest,
PyAV always installs, decord comes last because it repeats the last good frame of a damaged file."""

MIN_DECODED_FRAC = 0.5
"""A stream that yields less than this share of the frames its container promises is damaged."""

MAX_HELD_BYTES = 8 << 30
"""The wanted frames of one clip in their own size, as RGB: 32 frames of 8K are 3.2 GiB."""

MAX_FULL_DECODE_FRAMES = 1500
"""Up to this many frames PyAV goes through the whole stream, and decodes all of it where a wanted
frame does not come out; a longer stream is decoded from the keyframes before the wanted frames."""

PickFrames = Callable[[int, float], Sequence[int]]
"""(number of frames, frames per second) -> indices of the wanted frames, ascending."""


@dataclass(frozen=True)
class Decoded:
    """The wanted frames of a stream, before resizing.

    Attributes:
        frames_FHWC: uint8 RGB.
        indices: position of each frame in the stream.
        timestamps_s: presentation time of each frame, in seconds.
        source_fps: average frame rate of the stream.
        num_source_frames: frames of the stream; where all were decoded, what it decodes to.
    """

    frames_FHWC: Tensor
    indices: tuple[int, ...]
    timestamps_s: tuple[float, ...]
    source_fps: float
    num_source_frames: int


def choose_decoder(requested: str) -> DecoderName:
    """Name the decoder to use.

    Args:
        requested: ``auto``, ``pyav``, ``decord`` or ``torchcodec``.

    Raises:
        MissingEnvironmentError: the decoder does not work on this machine.
    """
    if requested == "auto":
        return next(name for name in AUTO_ORDER if _import_fault(name) is None)
    if requested not in AUTO_ORDER:
        raise MissingEnvironmentError(
            f"unknown video decoder {requested!r}",
            nearest_hint(requested, ("auto", *AUTO_ORDER), "Decoders"),
        )
    if fault := _import_fault(requested):
        raise MissingEnvironmentError(
            f"the video decoder {requested} does not work here: {fault}",
            hint="Use video.decoder=auto.",
        )
    return requested


def _import_fault(name: DecoderName) -> str | None:
    """Say why a decoder cannot be used here, or None if it can.

    Without FFmpeg's shared libraries torchcodec raises RuntimeError or OSError; from 0.17 on it
    imports all the same, for its image decoders, and states no FFmpeg version.
    """
    try:
        module = importlib.import_module({"pyav": "av"}.get(name, name))
    except (ImportError, RuntimeError, OSError) as error:
        return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
    if name == "torchcodec" and getattr(module, "ffmpeg_major_version", 0) is None:
        return "FFmpeg's shared libraries (libavcodec and its siblings) are not found"
    return None


@cache
def decoder_version(decoder: DecoderName) -> str:
    """What decides a decoder's pixels: its version, and that of the system's FFmpeg if it uses it.

    Args:
        decoder: One that works here.
    """
    version = metadata.version({"pyav": "av"}.get(decoder, decoder))
    if decoder == "torchcodec":
        return f"{version}+ffmpeg{importlib.import_module(decoder).ffmpeg_major_version}"
    return version


def decode(path: Path, decoder: DecoderName, pick: PickFrames) -> Decoded:
    """Decode the frames that ``pick`` asks for.

    Args:
        path: a local video file.
        decoder: which library decodes it.
        pick: chooses frame indices once the number of frames and the frame rate are known.

    Raises:
        DataError: missing, empty, not a regular file, no video stream, not an allowed container,
            no frame, or damaged; the message holds the path.
        MemoryError: the machine has none left, which says nothing of the file.
    """
    require_regular_file(path)
    run = {"pyav": _decode_pyav, "decord": _decode_decord, "torchcodec": _decode_torchcodec}[
        decoder
    ]
    try:
        promise = read_promise(path)
        decoded = run(path, partial(_pick_what_fits, path, promise.frame_px, pick))
    except (av.FFmpegError, EOFError) as error:
        number = getattr(error, "errno", None)
        is_short = number == errno.ENOMEM and not is_file_at_fault()
        if is_short or number == errno.EAGAIN:  # no memory, no thread
            raise MemoryError(f"decoding {path}: {error}") from error
        is_absurd = number == errno.ENOMEM
        detail = "its header asks for more memory than a clip can need" if is_absurd else str(error)
        raise damaged(path, detail) from error
    if decoded.num_source_frames == 0:
        raise damaged(path, "no frame can be decoded")
    if decoded.num_source_frames < MIN_DECODED_FRAC * promise.num_frames:
        detail = f"only {decoded.num_source_frames} of {promise.num_frames} frames can be decoded"
        raise damaged(path, detail)
    return decoded


def _pick_what_fits(
    path: Path, frame_px: int, pick: PickFrames, num_frames: int, fps: float
) -> Sequence[int]:
    """What `pick` chooses, refused where its frames together take more than `MAX_HELD_BYTES`."""
    wanted = pick(num_frames, fps)
    held_bytes = 3 * frame_px * len(wanted)
    if held_bytes > MAX_HELD_BYTES:
        raise DataError(
            f"{len(wanted)} frames of the video {path} take {format_bytes(held_bytes)} to decode; "
            f"at most {format_bytes(MAX_HELD_BYTES)} are allowed",
            hint="Ask for fewer with video.num_frames, or make the clip smaller.",
        )
    return wanted


def decode_folder(folder: Path, pick: PickFrames) -> Decoded:
    """Read the frames that ``pick`` asks for from a folder of images.

    Args:
        folder: one image a frame, see `vtk.video.frame_folder`.
        pick: chooses frame indices once their number and rate are known.

    Raises:
        DataError: no frames, or one that cannot be read or has another size than the first.
    """
    files = frame_files(folder)
    indices = tuple(pick(len(files), FOLDER_FPS))
    frames = [torch.from_numpy(read_image(files[index])) for index in indices]
    if len({frame.shape for frame in frames}) > 1:
        raise damaged(folder, "its frames change their size")
    return Decoded(
        frames_FHWC=torch.stack(frames),
        indices=indices,
        timestamps_s=tuple(index / FOLDER_FPS for index in indices),
        source_fps=FOLDER_FPS,
        num_source_frames=len(files),
    )


def _decode_pyav(path: Path, pick: PickFrames) -> Decoded:
    index = index_stream(path)
    wanted = list(pick(index.num_packets, index.fps))
    if index.num_packets > MAX_FULL_DECODE_FRAMES and (found := _seek_frames(path, wanted, index)):
        return _from_frames(path, found, index.fps, index.num_packets)
    if index.num_packets <= MAX_FULL_DECODE_FRAMES and (
        found := decode_wanted(path, wanted, index)
    ):
        return _from_frames(path, found, index.fps, index.num_packets)
    decoded = _decode_all(path, wanted, index.fps)
    if decoded.num_source_frames not in (0, index.num_packets):
        decoded = _decode_all(path, pick(decoded.num_source_frames, index.fps), index.fps)
    return decoded


def _decode_all(path: Path, wanted: Sequence[int], fps: float) -> Decoded:
    """Decode the whole stream, keep the wanted frames."""
    kept: dict[int, av.VideoFrame] = {}
    num_frames = 0
    with open_video(path) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(video=0)):
            num_frames += 1
            if number in wanted:
                kept[number] = frame
    return _from_frames(path, kept, fps, num_frames)


def _seek_frames(
    path: Path, wanted: Sequence[int], index: StreamIndex
) -> dict[int, av.VideoFrame] | None:
    """Decode from the keyframe before each wanted frame, passing over what lies between.

    Returns:
        The wanted frames, or None where time stamps or keyframes do not lead to them: the whole
        stream has to be decoded then.
    """
    if index.pts is None or not index.keyframe_pts or index.keyframe_pts[0] > index.pts[0]:
        return None
    kept: dict[int, av.VideoFrame] = {}
    with open_video(path) as container:
        stream = container.streams.video[0]
        frames: Iterator[av.VideoFrame] = iter(())
        reached = index.pts[0] - 1
        for number in wanted:
            pts = index.pts[number]
            start = index.keyframe_pts[bisect_right(index.keyframe_pts, pts) - 1]
            if reached < start:
                container.seek(start, stream=stream, backward=True)
                frames = container.decode(stream)
            frame = next((frame for frame in frames if (frame.pts or 0) >= pts), None)
            if frame is None or frame.pts != pts:
                return None
            kept[number] = frame
            reached = pts
    return kept


def _from_frames(
    path: Path, frames: Mapping[int, av.VideoFrame], fps: float, num_frames: int
) -> Decoded:
    if len({(frame.width, frame.height) for frame in frames.values()}) > 1:
        raise damaged(path, "its frames change their size")
    images = [_upright(frames[number]) for number in sorted(frames)]
    return Decoded(
        frames_FHWC=torch.stack(images) if images else torch.empty(0, 0, 0, 3, dtype=torch.uint8),
        indices=tuple(sorted(frames)),
        timestamps_s=tuple(
            number / fps if frames[number].time is None else float(frames[number].time or 0)
            for number in sorted(frames)
        ),
        source_fps=fps,
        num_source_frames=num_frames,
    )


def _upright(frame: av.VideoFrame) -> Tensor:
    """The image as a player shows it: phones store portrait clips lying down, with a note."""
    image_HWC = torch.from_numpy(frame.to_ndarray(format="rgb24"))
    return torch.rot90(image_HWC, round(frame.rotation / 90), dims=(0, 1))


def _decode_decord(path: Path, pick: PickFrames) -> Decoded:
    decord: Any = importlib.import_module("decord")
    try:
        reader = decord.VideoReader(str(path.resolve()), num_threads=1)
        num_frames, fps = len(reader), float(reader.get_avg_fps())
        indices = list(pick(num_frames, fps))
        frames = torch.from_numpy(reader.get_batch(indices).asnumpy())
        times = [float(time) for time in reader.get_frame_timestamp(indices)[:, 0]]
        reader.seek(0)  # decord keeps every decoded frame alive without it (dmlc/decord issue 197)
    except decord.DECORDError as error:
        raise damaged(path, str(error).strip().splitlines()[0]) from error
    return Decoded(frames, tuple(indices), tuple(times), fps, num_frames)


def _decode_torchcodec(path: Path, pick: PickFrames) -> Decoded:
    decoders: Any = importlib.import_module("torchcodec.decoders")
    try:
        decoder = decoders.VideoDecoder(
            str(path.resolve()), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact"
        )
        num_frames, fps = len(decoder), float(decoder.metadata.average_fps)
        indices = list(pick(num_frames, fps))
        batch = decoder.get_frames_at(indices)
    except (RuntimeError, ValueError) as error:
        raise damaged(path, str(error).strip().splitlines()[0]) from error
    times = tuple(float(time) for time in batch.pts_seconds)
    return Decoded(batch.data, tuple(indices), times, fps, num_frames)
