"""Frames as terminal cells: the upper half block has a colour above and one below.

Without colours a cell is one of ten characters, by its brightness. Shape letters: F frames, height,
width, C channels.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from vtk.runs.frame_strip import FrameStrip

_UPPER_HALF: Final = "▀"
_RAMP: Final = " .:-=+*#%@"
_LUMA: Final = (0.299, 0.587, 0.114)  # ITU-R BT.601
GAP_COLUMNS: Final = 1
MAX_ROWS: Final = 14
MIN_COLUMNS: Final = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """How frames share an area of cells.

    Attributes:
        columns: Cells that one frame is wide.
        rows: Cells that one frame is high, without its time below.
        num_across: Frames beside each other.
    """

    columns: int
    rows: int
    num_across: int


def layout(strip: FrameStrip, width: int, *, is_large: bool) -> Layout:
    """Sizes with which the frames fit a width, in one line or, large, in as many as it takes.

    A frame is never drawn with more cells than it has pixels.

    Args:
        strip: The frames.
        width: Cells across.
        is_large: Four frames across at most, and lines of them below each other.
    """
    num_frames = len(strip.indices)
    wanted = min(num_frames, 4 if is_large else num_frames)
    fitting = max(1, (width + GAP_COLUMNS) // (MIN_COLUMNS + GAP_COLUMNS))
    num_across = min(wanted, fitting)
    columns = max(1, (width + GAP_COLUMNS) // num_across - GAP_COLUMNS)
    columns = min(columns, strip.width_px)
    rows = max(1, round(columns * strip.height_px / strip.width_px / 2))
    if rows > MAX_ROWS:
        columns, rows = max(1, columns * MAX_ROWS // rows), MAX_ROWS
    return Layout(columns, rows, num_across)


def frame_pixels(strip: FrameStrip) -> NDArray[np.uint8]:
    """The strip's frames as (F, height, width, C)."""
    num_frames = len(strip.indices)
    pixels = np.frombuffer(strip.rgb, dtype=np.uint8)
    side_by_side = pixels.reshape(strip.height_px, num_frames, strip.width_px, 3)
    return side_by_side.transpose(1, 0, 2, 3)


def draw(strip: FrameStrip, sizes: Layout, *, ascii_only: bool) -> list[list[list[Segment]]]:
    """Every frame as rows of segments, each row `sizes.columns` cells wide.

    Args:
        strip: The frames.
        sizes: From `layout`.
        ascii_only: Draw by brightness with ASCII characters, without colours.
    """
    height_px = sizes.rows if ascii_only else 2 * sizes.rows
    frames = [shrunk(frame, height_px, sizes.columns) for frame in frame_pixels(strip)]
    paint = _characters if ascii_only else _half_blocks
    return [paint(frame) for frame in frames]


def shrunk(frame_HWC: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The frame in a size that is no larger; each pixel is the mean of those that it covers."""
    rows = _averaged(frame_HWC.astype(np.float32), height)
    both = _averaged(rows.transpose(1, 0, 2), width).transpose(1, 0, 2)
    return np.asarray(both.round(), dtype=np.uint8)


def _averaged(values: NDArray[np.float32], number: int) -> NDArray[np.float32]:
    """Means over the first axis, cut into `number` parts as equal as whole lines allow."""
    length = len(values)
    starts = np.arange(number) * length // number
    ends = np.maximum(starts + 1, (np.arange(number) + 1) * length // number)
    sums = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    counts = (ends - starts).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray((sums[ends] - sums[starts]) / counts, dtype=np.float32)


def _half_blocks(frame_HWC: NDArray[np.uint8]) -> list[list[Segment]]:
    pixels = frame_HWC.tolist()
    return [
        [
            Segment(
                _UPPER_HALF, Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below))
            )
            for above, below in zip(upper, lower, strict=True)
        ]
        for upper, lower in zip(pixels[::2], pixels[1::2], strict=True)
    ]


def _characters(frame_HWC: NDArray[np.uint8]) -> list[list[Segment]]:
    luma = frame_HWC @ np.array(_LUMA)
    levels = luma.round().astype(int) * len(_RAMP) // 256
    return [[Segment("".join(_RAMP[level] for level in row))] for row in levels.tolist()]
