"""A clip as a model sees it: uniformly sampled frames, resized to whole patches.

Resizing works on uint8 (bicubic with antialias, bit-equal to torchvision's and several times faster
than on floats); the target size follows the rule of Qwen's image processor
(huggingface/transformers: models/qwen2_vl/image_processing_qwen2_vl.py, ``smart_resize``).

Shape letters: F frames, C channels, H height, W width.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vtk.errors import ConfigError, DataError
from vtk.video.decoders import choose_decoder, decode, decode_folder
from vtk.video.frame_folder import FOLDER_DECODER

TEMPORAL_PATCH_FRAMES = 2
"""Qwen2.5-VL's tower merges this many frames into one temporal patch."""

MAX_ASPECT_RATIO = 200
_LEAST_ROUNDED_DOWN = 4  # FPS_MIN_FRAMES of qwen-vl-utils

Rounding = Literal["nearest", "down"]


@dataclass(frozen=True)
class FrameSettings:
    """What to take from a clip.

    Attributes:
        num_frames: frames to sample over the whole clip; the upper bound when ``fps`` is set.
        fps: sampled frames per second of clip, or None for exactly ``num_frames``.
        min_pixels_px: smallest area of a resized frame, in pixels.
        max_pixels_px: largest area of a resized frame, in pixels.
        decoder: ``auto``, ``pyav``, ``decord`` or ``torchcodec``.
        size_factor_px: height and width become multiples of this.
        span_s: the seconds of the clip to take frames from; None is all of it.
        rounding: how a number of frames that follows from ``fps`` becomes even: ``nearest``, or
            ``down`` to at least four, as qwen-vl-utils and the published evaluation do.
    """

    num_frames: int
    fps: float | None
    min_pixels_px: int
    max_pixels_px: int
    decoder: str = "auto"
    size_factor_px: int = 28
    span_s: tuple[float, float] | None = None
    rounding: Rounding = "nearest"

    def __post_init__(self) -> None:
        if self.num_frames < TEMPORAL_PATCH_FRAMES:
            raise ConfigError(f"video.num_frames is {self.num_frames}; at least 2 are needed")
        if self.fps is not None and not self.fps > 0:
            raise ConfigError(f"video.fps is {self.fps}; it must be positive")
        smallest_px = self.size_factor_px**2
        if not max(self.min_pixels_px, smallest_px) <= self.max_pixels_px:
            raise ConfigError(
                f"video.max_pixels_px is {self.max_pixels_px}; it must be at least {smallest_px} "
                f"(one patch group) and video.min_pixels_px ({self.min_pixels_px})"
            )


@dataclass(frozen=True)
class Clip:
    """Sampled frames of one clip.

    Attributes:
        frames_FCHW: uint8 RGB; H and W are multiples of the size factor, F is even.
        timestamps_s: presentation time of each frame, in seconds.
        source_fps: frame rate of the file, in frames per second.
        num_source_frames: frames that the file decodes to.
        decoder: the library that decoded it.
        source_indices: position of each frame in the file.
    """

    frames_FCHW: Tensor
    timestamps_s: tuple[float, ...]
    source_fps: float
    num_source_frames: int
    decoder: str
    source_indices: tuple[int, ...]


def read_clip(path: Path, settings: FrameSettings) -> Clip:
    """Decode, sample and resize a clip.

    Args:
        path: a local video file, or a folder of its frames (`vtk.video.frame_folder`).
        settings: what to take from it.

    Returns:
        The clip; it has fewer than ``settings.num_frames`` frames only where the file has fewer.

    Raises:
        DataError: the file is missing, empty, damaged, of a refused container, or has fewer than
            two frames; the message holds the path.
        MissingEnvironmentError: the named decoder does not work here.
    """

    def pick(num_source_frames: int, source_fps: float) -> list[int]:
        first, count = frames_in_span(num_source_frames, source_fps, settings.span_s)
        num_frames = num_sampled_frames(count, source_fps, settings)
        return [first + index for index in sample_indices(count, num_frames)]

    if path.is_dir():
        decoder, decoded = FOLDER_DECODER, decode_folder(path, pick)
    else:
        decoder = choose_decoder(settings.decoder)
        decoded = decode(path, decoder, pick)
    if decoded.num_source_frames < TEMPORAL_PATCH_FRAMES:
        raise DataError(
            f"the video {path} has {decoded.num_source_frames} frame; at least 2 are needed",
            hint="Remove its questions from the data.",
        )
    return Clip(
        frames_FCHW=_resized(decoded.frames_FHWC, path, settings),
        timestamps_s=decoded.timestamps_s,
        source_fps=decoded.source_fps,
        num_source_frames=decoded.num_source_frames,
        decoder=decoder,
        source_indices=decoded.indices,
    )


def num_sampled_frames(num_source_frames: int, source_fps: float, settings: FrameSettings) -> int:
    """How many frames to take: even, and never more than there are.

    Args:
        num_source_frames: frames of the file, or of the span that is asked for; at least one.
        source_fps: frame rate of the file, in frames per second.
        settings: the wanted number or rate.
    """
    wanted = settings.num_frames
    if settings.fps is not None:
        counted = num_source_frames / source_fps * settings.fps
        if settings.rounding == "down":
            even = math.floor(counted / TEMPORAL_PATCH_FRAMES) * TEMPORAL_PATCH_FRAMES
            wanted = min(wanted, max(even, _LEAST_ROUNDED_DOWN))
        else:
            wanted = min(wanted, round(counted))
    rounded_up = math.ceil(wanted / TEMPORAL_PATCH_FRAMES) * TEMPORAL_PATCH_FRAMES
    available = num_source_frames - num_source_frames % TEMPORAL_PATCH_FRAMES
    return max(TEMPORAL_PATCH_FRAMES, min(rounded_up, available))


def frames_in_span(
    num_source_frames: int, source_fps: float, span_s: tuple[float, float] | None
) -> tuple[int, int]:
    """The first frame of a span and how many frames it has, at least two where the file has them.

    The ends are rounded to the nearest frame and an end beyond the file is the file's, as the
    authors of MVBench do it (OpenGVLab/Ask-Anything:video_chat2/mvbench.ipynb).

    Args:
        num_source_frames: frames of the file.
        source_fps: frame rate of the file, in frames per second.
        span_s: start and end in seconds; None is all of it.

    Raises:
        DataError: the file ends before the span starts.
    """
    if span_s is None or num_source_frames < TEMPORAL_PATCH_FRAMES:
        return 0, num_source_frames
    first, last = round(span_s[0] * source_fps), round(span_s[1] * source_fps)
    if first >= num_source_frames:
        raise DataError(
            f"seconds {span_s[0]:g} to {span_s[1]:g} are asked for, "
            f"but the clip ends after {num_source_frames / source_fps:.1f} s",
            hint="Fetch the clip again, or remove its questions from the data.",
        )
    first = min(first, num_source_frames - TEMPORAL_PATCH_FRAMES)
    last = min(max(last, first + TEMPORAL_PATCH_FRAMES - 1), num_source_frames - 1)
    return first, last - first + 1


def sample_indices(num_source_frames: int, num_frames: int) -> list[int]:
    """Frame positions spread evenly from the first frame to the last.

    Args:
        num_source_frames: frames of the file.
        num_frames: frames to take.
    """
    return [int(index) for index in np.linspace(0, num_source_frames - 1, num_frames).round()]


def target_size(
    height_px: int, width_px: int, factor_px: int, min_pixels_px: int, max_pixels_px: int
) -> tuple[int, int]:
    """Height and width in whole patch groups, in the pixel budget, near the source's proportions.

    Args:
        height_px: height of the source frame.
        width_px: width of the source frame.
        factor_px: both sides become multiples of this.
        min_pixels_px: smallest area.
        max_pixels_px: largest area; it wins where both bounds cannot hold.

    Returns:
        (height, width) in pixels.
    """
    height, width = (
        max(factor_px, round(side / factor_px) * factor_px) for side in (height_px, width_px)
    )
    if height * width < min_pixels_px:
        scale = math.sqrt(min_pixels_px / (height_px * width_px))
        height, width = (_raised(side * scale, factor_px) for side in (height_px, width_px))
    if height * width > max_pixels_px:
        scale = math.sqrt(max_pixels_px / (height_px * width_px))
        height, width = (_floored(side * scale, factor_px) for side in (height_px, width_px))
        height = min(height, _floored(max_pixels_px / width, factor_px))
        width = min(width, _floored(max_pixels_px / height, factor_px))
    return height, width


def _floored(side_px: float, factor_px: int) -> int:
    """The multiple below, at least one; the epsilon keeps an exact multiple exact."""
    return max(1, math.floor(side_px / factor_px + 1e-9)) * factor_px


def _raised(side_px: float, factor_px: int) -> int:
    """The multiple above; the epsilon keeps an exact multiple exact."""
    return max(1, math.ceil(side_px / factor_px - 1e-9)) * factor_px


def _resized(frames_FHWC: Tensor, path: Path, settings: FrameSettings) -> Tensor:
    height_px, width_px = frames_FHWC.shape[1:3]
    if max(height_px, width_px) > MAX_ASPECT_RATIO * min(height_px, width_px):
        raise DataError(
            f"the video {path} is {width_px}x{height_px} px; "
            f"one side is more than {MAX_ASPECT_RATIO} times the other"
        )
    size = target_size(
        height_px,
        width_px,
        settings.size_factor_px,
        settings.min_pixels_px,
        settings.max_pixels_px,
    )
    frames_FCHW = frames_FHWC.permute(0, 3, 1, 2).contiguous()
    if size == (height_px, width_px):
        return frames_FCHW
    return torch.nn.functional.interpolate(
        frames_FCHW, size=size, mode="bicubic", antialias=True, align_corners=False
    )
