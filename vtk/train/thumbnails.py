"""Small pictures of the frames that the model saw, kept once a clip and frame setting.

They are made where the clip is read, which is one batch ahead of the model, and lie in
`rollouts/frames/` under a name that completions refer to.
"""

from hashlib import sha256
from pathlib import Path
from typing import Final

import torch

from vtk.config.sections import RecordSettings
from vtk.runs.files import write_bytes_atomic
from vtk.runs.frame_strip import FrameStrip, encode_strip
from vtk.video.cache import ClipKey
from vtk.video.frames import Clip

_NAME_DIGITS: Final = 20


class Thumbnails:
    """Keeps a strip of small frames for each clip that is asked for; safe between processes.

    Args:
        folder: Where strips lie; None keeps none.
        settings: How many frames, and how large.
    """

    def __init__(self, folder: Path | None, settings: RecordSettings) -> None:
        self.folder = folder if settings.frames_per_clip else None
        self.settings = settings
        self._kept: set[str] = set()

    def keep(self, clip: Clip, key: ClipKey) -> str | None:
        """Write a clip's strip unless it is there, and return its name; None if none is kept.

        Args:
            clip: What the model sees.
            key: What decides its frames.

        Raises:
            VtkError: The disk cannot be written.
        """
        if self.folder is None:
            return None
        name = strip_name(key, self.settings)
        if name not in self._kept:
            path = self.folder / name
            if not path.is_file():
                write_bytes_atomic(path, encode_strip(shrink(clip, self.settings)), is_synced=False)
            self._kept.add(name)
        return name


def strip_name(key: ClipKey, settings: RecordSettings) -> str:
    """The file of a clip's strip: a hash of all that decides its pixels."""
    decides = repr((key, settings.frames_per_clip, settings.frame_width_px))
    return f"{sha256(decides.encode()).hexdigest()[:_NAME_DIGITS]}.png"


def shrink(clip: Clip, settings: RecordSettings) -> FrameStrip:
    """Frames evenly over those that the model saw, the first and the last among them, made small.

    Args:
        clip: What the model sees; frames (F, C, H, W).
        settings: How many frames, and how large.
    """
    num_model_frames, _, height_px, width_px = clip.frames_FCHW.shape
    num_frames = min(settings.frames_per_clip, num_model_frames)
    gaps = max(1, num_frames - 1)
    indices = [round(place * (num_model_frames - 1) / gaps) for place in range(num_frames)]
    small_width_px = min(settings.frame_width_px, width_px)
    small_height_px = max(1, round(height_px * small_width_px / width_px))
    small_FCHW = torch.nn.functional.interpolate(
        clip.frames_FCHW[indices],
        (small_height_px, small_width_px),
        mode="bilinear",
        antialias=True,
    )
    side_by_side_HWC = small_FCHW.permute(2, 0, 3, 1).contiguous()
    return FrameStrip(
        width_px=small_width_px,
        height_px=small_height_px,
        indices=tuple(indices),
        timestamps_s=tuple(round(clip.timestamps_s[index], 6) for index in indices),
        num_model_frames=num_model_frames,
        rgb=side_by_side_HWC.numpy().tobytes(),
    )
