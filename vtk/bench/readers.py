"""The ways from a file to sampled, resized frames, and the proof that they give the same frames.

Shape letters: F frames, C channels, H height, W width.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from vtk.bench.clips import Workload
from vtk.errors import MissingEnvironmentError, VtkError
from vtk.video.cache import ClipCache
from vtk.video.cache_folder import BYTES_PER_GIB, CacheFolder
from vtk.video.decoders import AUTO_ORDER, DecoderName, choose_decoder
from vtk.video.frames import FrameSettings, read_clip
from vtk.video.pixel_cache import PixelCache

BASELINE: Final = "qwen-vl-utils"
DISK, MEMORY = "disk cache", "memory cache"
MAX_DIFFERENCE_LEVELS, MAX_MEAN_DIFFERENCE_LEVELS = 16.0, 0.2
"""Of 255. qwen-vl-utils resizes in float32 and rounds once; vtk resizes uint8 in fixed point, and
rounds and clips after each direction. That is a level here and there, and more where bicubic
interpolation overshoots black or white. Before resizing the frames have to be equal."""

Way = Callable[[Path], Tensor]
"""From a file to its frames, (F, C, H, W)."""


class QwenReader:
    """qwen-vl-utils' own way, with the decoder that it chooses itself: what users have without vtk.

    Raises:
        MissingEnvironmentError: It does not import here.
    """

    def __init__(self) -> None:
        try:
            from qwen_vl_utils import vision_process
        except (ImportError, RuntimeError, OSError) as error:
            raise MissingEnvironmentError(
                f"the baseline qwen-vl-utils does not import: {error}", "See: vtk setup"
            ) from error
        self._fetch: Any = vision_process.fetch_video
        self.decoder = str(vision_process.get_video_reader_backend())

    def read(
        self, path: Path, num_frames: int, settings: FrameSettings
    ) -> tuple[Tensor, Sequence[int]]:
        """Frames as float32 (F, C, H, W), and their positions in the file.

        Args:
            path: A video file.
            num_frames: How many frames to take.
            settings: The bounds on their size.
        """
        element = {
            "video": str(path),
            "nframes": num_frames,
            "min_pixels": settings.min_pixels_px,
            "max_pixels": settings.max_pixels_px,
        }
        frames_FCHW, metadata = self._fetch(element, return_video_metadata=True)
        return frames_FCHW, [int(index) for index in metadata["frames_indices"]]


def find_decoders() -> tuple[list[DecoderName], dict[str, str]]:
    """The decoders that work here, and why the others do not."""
    found: list[DecoderName] = []
    absent: dict[str, str] = {}
    for name in AUTO_ORDER:
        try:
            found.append(choose_decoder(name))
        except MissingEnvironmentError as error:
            absent[name] = error.message
    return found, absent


def make_ways(
    workload: Workload, decoders: Sequence[str], qwen: QwenReader, cache_dir: Path
) -> dict[str, Way]:
    """Every way to read the workload's clips, by name; both caches are filled.

    Args:
        workload: The clips.
        decoders: Those that work here.
        qwen: The baseline.
        cache_dir: An empty folder for the disk cache.
    """
    settings = workload.settings
    num_frames = len(read_clip(workload.clips[0], settings).timestamps_s)
    disk = PixelCache(CacheFolder(cache_dir, BYTES_PER_GIB, min_free_bytes=0), min_age_s=0)
    memory = ClipCache(BYTES_PER_GIB)
    ways: dict[str, Way] = {BASELINE: lambda path: qwen.read(path, num_frames, settings)[0]}
    for name in decoders:
        ways[name] = partial(_decoded, settings=replace(settings, decoder=name))
    ways[DISK] = lambda path: disk.read(path, settings).frames_FCHW
    ways[MEMORY] = lambda path: memory.read(path, settings).frames_FCHW
    for path in workload.clips:
        ways[DISK](path)
        ways[MEMORY](path)
    return ways


def _decoded(path: Path, settings: FrameSettings) -> Tensor:
    return read_clip(path, settings).frames_FCHW


def require_same_frames(
    workload: Workload, ways: Mapping[str, Way], decoders: Sequence[DecoderName], qwen: QwenReader
) -> dict[str, float]:
    """Compare every way's frames with qwen-vl-utils' own, and the caches' with the decoders'.

    Resized as qwen-vl-utils does it, every decoder's frames have to equal its frames exactly; as
    vtk resizes them, within `MAX_DIFFERENCE_LEVELS`. The caches have to change nothing.

    Returns:
        The greatest and the mean difference of resized frames, in levels of 255.

    Raises:
        VtkError: Frames differ by more, or the comparison would not notice another frame.
    """
    greatest, means = 0.0, []
    for path in workload.clips:
        plain = read_clip(path, workload.settings)
        expected, indices = qwen.read(path, len(plain.timestamps_s), workload.settings)
        if tuple(indices) != plain.source_indices:
            raise _refused(workload, BASELINE, "takes other frames of the file")
        for decoder in decoders:
            source = read_clip(path, replace(workload.unresized, decoder=decoder)).frames_FCHW
            if not torch.equal(resized_in_float(source, expected.shape[2:]), expected):
                raise _refused(workload, decoder, "decodes other pixels than qwen-vl-utils")
        for name, way in ways.items():
            frames = way(path)
            if name in (DISK, MEMORY) and not torch.equal(frames, plain.frames_FCHW):
                raise _refused(workload, name, "changes the frames")
            largest, mean = difference_levels(frames, expected)
            if is_other(largest, mean):
                raise _refused(workload, name, f"differs by {largest:g} levels, {mean:.2g} in mean")
            greatest = max(greatest, largest)
            means.append(mean)
        if not is_other(*difference_levels(expected[:-1], expected[1:])):
            raise _refused(workload, "the comparison", "does not tell a frame from the next")
    return {"max_difference_levels": greatest, "mean_difference_levels": sum(means) / len(means)}


def resized_in_float(frames_FCHW: Tensor, size: Sequence[int]) -> Tensor:
    """uint8 frames resized as qwen-vl-utils' resize does it: in float32, then rounded."""
    resized = torch.nn.functional.interpolate(
        frames_FCHW.float(), size=tuple(size), mode="bicubic", antialias=True
    )
    return resized.round().clamp(0, 255)


def is_other(largest_levels: float, mean_levels: float) -> bool:
    """Whether frames differ by more than the way of resizing explains."""
    return largest_levels > MAX_DIFFERENCE_LEVELS or mean_levels > MAX_MEAN_DIFFERENCE_LEVELS


def difference_levels(left_FCHW: Tensor, right_FCHW: Tensor) -> tuple[float, float]:
    """Greatest and mean absolute difference; infinite where the shapes differ."""
    if left_FCHW.shape != right_FCHW.shape:
        return float("inf"), float("inf")
    difference = (left_FCHW.float() - right_FCHW.float()).abs()
    return float(difference.max()), float(difference.mean())


def _refused(workload: Workload, what: str, how: str) -> VtkError:
    return VtkError(
        f"{workload.name}: {what} {how}; nothing was timed",
        "Times of different frames say nothing. Please report this with the output of: vtk setup",
    )
