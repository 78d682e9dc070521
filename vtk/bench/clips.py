"""The clips that decoding is measured on: clevrer-mini's own, and some of CLEVRER's size."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vtk.mini.physics import NUM_FRAMES
from vtk.mini.render import render_frames, write_clip
from vtk.mini.scenes import sample_scenes
from vtk.video.frames import FrameSettings

_SEED: Final = 0
_ENLARGEMENT: Final = 2
_NOISE_LEVELS: Final = 3.0
"""Standard deviation of added noise: with it a clip takes about a megabyte, as CLEVRER's do;
without it H.264 has little to store, and a clip decodes faster than a real one."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Clips of one kind with the settings that a preset reads them with.

    Attributes:
        name: What they are.
        preset: The preset.
        settings: Its settings of frames.
        clips: The files.
        size_px: Width and height of the files' frames.
    """

    name: str
    preset: str
    settings: FrameSettings
    clips: tuple[Path, ...]
    size_px: tuple[int, int]

    @property
    def unresized(self) -> FrameSettings:
        """The same frames in the files' own size."""
        return replace(self.settings, min_pixels_px=1, max_pixels_px=2**31, size_factor_px=4)

    def as_json(self) -> dict[str, Any]:
        """What was decoded, as plain data."""
        sizes = [path.stat().st_size for path in self.clips]
        return {
            "preset": self.preset,
            "num_clips": len(self.clips),
            "width_px": self.size_px[0],
            "height_px": self.size_px[1],
            "num_source_frames": NUM_FRAMES,
            "mean_bytes": sum(sizes) / len(sizes),
        }


def make_workloads(folder: Path, num_clips: int) -> list[Workload]:
    """Render and encode the clips.

    Args:
        folder: Where to; it exists.
        num_clips: Clips of each kind.
    """
    mini, large = [], []
    for number, scene in enumerate(islice(sample_scenes(np.random.default_rng(_SEED)), num_clips)):
        frames_FHWC = render_frames(scene, range(NUM_FRAMES))
        mini.append(folder / f"mini_{number}.mp4")
        write_clip(mini[-1], frames_FHWC)
        large.append(folder / f"large_{number}.mp4")
        write_clip(large[-1], _enlarged(frames_FHWC, _SEED + number))
    height_px, width_px = frames_FHWC.shape[1:3]
    scaled = (width_px * _ENLARGEMENT, height_px * _ENLARGEMENT)
    return [
        _workload("clevrer-mini", "tiny", mini, (width_px, height_px)),
        _workload("CLEVRER's size", "3b-2x48gb", large, scaled),
    ]


def _workload(name: str, preset: str, clips: Sequence[Path], size_px: tuple[int, int]) -> Workload:
    return Workload(name, preset, preset_frames(preset), tuple(clips), size_px)


def preset_frames(preset: str) -> FrameSettings:
    """The settings of frames that a preset trains with, the decoder left open."""
    from vtk.config.loading import load_config

    video = load_config("grpo", preset, None, {}, is_reference_needed=False).config.video
    return FrameSettings(
        video.num_frames, video.fps, video.min_pixels_px, video.max_pixels_px, decoder="auto"
    )


def _enlarged(frames_FHWC: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Twice as wide and high, with noise."""
    generator = np.random.default_rng(seed)
    large = frames_FHWC.repeat(_ENLARGEMENT, axis=1).repeat(_ENLARGEMENT, axis=2)
    for image in large:
        noise = generator.normal(0.0, _NOISE_LEVELS, image.shape)
        image[:] = np.clip(image + noise + 0.5, 0, 255).astype(np.uint8)
    return large
