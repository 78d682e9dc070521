"""Decode a clip: which decoder, which frames, and what counts as a damaged file.

Every decoder gets the same treatment: the file must be a local regular file in an allowed container
(no playlist, no address), and an answer always says how many frames were really decoded.

PyAV decodes the whole stream once and keeps only the wanted frames, so memory does not grow with
the length of the clip. The wanted frames are chosen from the number of *packets*; when the number
of decoded frames turns out to be another one, the choice is made again from what was decoded.

Shape letters: F frames, H height, W width, C channels (RGB).
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import torch
from torch import Tensor

from vtk.errors import DataError, MissingEnvironmentError

DecoderName = Literal["pyav", "decord", "torchcodec"]

AUTO_ORDER: tuple[DecoderName, ...] = ("torchcodec", "pyav", "decord")
"""The order in which ``auto`` takes the first decoder that imports: torchcodec is the quickest,
PyAV always installs, decord comes last because it repeats the last good frame of a damaged file."""

ALLOWED_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
"""Containers that hold their own frames; playlists (hls, concat, dash) and image globs do not."""

MIN_DECODED_FRAC = 0.5
"""A stream that yields less than this share of the frames its container promises is damaged."""

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
        num_source_frames: frames that the stream really decodes to.
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
        MissingEnvironmentError: the decoder does not import on this machine.
    """
    if requested == "auto":
        return next(name for name in AUTO_ORDER if _import_fault(name) is None)
    if requested not in AUTO_ORDER:
        raise MissingEnvironmentError(
            f"Unknown video decoder {requested!r}.", f"Use one of: auto, {', '.join(AUTO_ORDER)}."
        )
    if fault := _import_fault(requested):
        raise MissingEnvironmentError(
            f"The video decoder {requested} does not import here: {fault}",
            "Use video.decoder=auto.",
        )
    return requested


def _import_fault(name: DecoderName) -> str | None:
    """Say why a decoder cannot be imported, or None if it can.

    torchcodec raises RuntimeError or OSError when FFmpeg's shared libraries do not fit.
    """
    try:
        importlib.import_module({"pyav": "av"}.get(name, name))
    except (ImportError, RuntimeError, OSError) as error:
        return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
    return None


def decode(path: Path, decoder: DecoderName, pick: PickFrames) -> Decoded:
    """Decode the frames that ``pick`` asks for.

    Args:
        path: a local video file.
        decoder: which library decodes it.
        pick: chooses frame indices once the number of frames and the frame rate are known.

    Raises:
        DataError: missing, empty, not a regular file, no video stream, not an allowed container,
            no frame, or damaged; the message holds the path.
    """
    _require_regular_file(path)
    run = {"pyav": _decode_pyav, "decord": _decode_decord, "torchcodec": _decode_torchcodec}[
        decoder
    ]
    try:
        promised = _num_promised_frames(path)
        decoded = run(path, pick)
    except (av.FFmpegError, EOFError) as error:
        raise _damaged(path, str(error)) from error
    if decoded.num_source_frames < MIN_DECODED_FRAC * promised:
        detail = f"only {decoded.num_source_frames} of {promised} frames can be decoded"
        raise _damaged(path, detail)
    return decoded


def _damaged(path: Path, detail: str) -> DataError:
    return DataError(
        f"Cannot decode the video {path}: {detail}",
        "Fetch the file again, or remove its questions from the data.",
    )


def _require_regular_file(path: Path) -> None:
    if not path.exists():
        raise DataError(f"The video {path} does not exist.", "Check the data folder.")
    if not path.is_file():
        raise DataError(f"The video {path} is not a regular file.")
    if path.stat().st_size == 0:
        raise DataError(f"The video {path} is empty (0 bytes).", "Fetch the file again.")


def _open(path: Path) -> Any:
    """Open with the container and protocol allow-lists; av raises on anything else."""
    options = {"format_whitelist": ALLOWED_DEMUXERS, "protocol_whitelist": "file"}
    container = av.open(f"file:{path.resolve()}", options=options)
    if not container.streams.video:
        container.close()
        raise DataError(f"The file {path} has no video stream.")
    return container


def _num_promised_frames(path: Path) -> int:
    """Frames that the container's header promises; 0 where the header does not say."""
    with _open(path) as container:
        return int(container.streams.video[0].frames)


def _decode_pyav(path: Path, pick: PickFrames) -> Decoded:
    num_expected, fps = _count_packets(path)
    decoded, num_frames = _pyav_pass(path, list(pick(num_expected, fps)), fps)
    if num_frames != num_expected:
        if num_frames == 0:
            raise _damaged(path, "no frame can be decoded")
        decoded, num_frames = _pyav_pass(path, list(pick(num_frames, fps)), fps)
    return decoded


def _count_packets(path: Path) -> tuple[int, float]:
    """Count the stream's packets without decoding; also the average frame rate in 1/s."""
    with _open(path) as container:
        stream = container.streams.video[0]
        times = [packet.pts for packet in container.demux(stream) if packet.size > 0]
        if not times:
            raise _damaged(path, "the stream has no packets")
        rate = stream.average_rate or stream.guessed_rate or Fraction(0)
        if rate == 0:
            raise _damaged(path, "the stream states no frame rate")
        return len(times), float(rate)


def _pyav_pass(path: Path, indices: list[int], fps: float) -> tuple[Decoded, int]:
    """Decode the whole stream, keep the frames at ``indices``; also the number decoded."""
    wanted = set(indices)
    kept: dict[int, tuple[np.ndarray[Any, Any], float]] = {}
    num_frames = 0
    with _open(path) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(video=0)):
            num_frames += 1
            if number in wanted:
                time_s = float(frame.time) if frame.time is not None else number / fps
                kept[number] = (frame.to_ndarray(format="rgb24"), time_s)
    found = [index for index in indices if index in kept]
    frames = [torch.from_numpy(kept[index][0]) for index in found]
    decoded = Decoded(
        frames_FHWC=torch.stack(frames) if frames else torch.empty(0, 0, 0, 3, dtype=torch.uint8),
        indices=tuple(found),
        timestamps_s=tuple(kept[index][1] for index in found),
        source_fps=fps,
        num_source_frames=num_frames,
    )
    return decoded, num_frames


def _decode_decord(path: Path, pick: PickFrames) -> Decoded:
    decord: Any = importlib.import_module("decord")
    try:
        reader = decord.VideoReader(str(path.resolve()), num_threads=1)
        num_frames, fps = len(reader), float(reader.get_avg_fps())
        if num_frames == 0:
            raise _damaged(path, "no frame can be decoded")
        indices = list(pick(num_frames, fps))
        frames = torch.from_numpy(reader.get_batch(indices).asnumpy())
        times = [float(time) for time in reader.get_frame_timestamp(indices)[:, 0]]
        reader.seek(0)  # decord keeps every decoded frame alive without it (dmlc/decord issue 197)
    except decord.DECORDError as error:
        raise _damaged(path, str(error).strip().splitlines()[0]) from error
    return Decoded(frames, tuple(indices), tuple(times), fps, num_frames)


def _decode_torchcodec(path: Path, pick: PickFrames) -> Decoded:
    decoders: Any = importlib.import_module("torchcodec.decoders")
    try:
        decoder = decoders.VideoDecoder(
            str(path.resolve()), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact"
        )
        num_frames, fps = len(decoder), float(decoder.metadata.average_fps)
        if num_frames == 0:
            raise _damaged(path, "no frame can be decoded")
        indices = list(pick(num_frames, fps))
        batch = decoder.get_frames_at(indices)
    except (RuntimeError, ValueError) as error:
        raise _damaged(path, str(error).strip().splitlines()[0]) from error
    times = tuple(float(time) for time in batch.pts_seconds)
    return Decoded(batch.data, tuple(indices), times, fps, num_frames)
