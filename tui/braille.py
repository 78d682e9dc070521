"""Lines as dots of braille characters: two columns and four rows of dots in each cell.

Pure: arrays in, characters out. Shapes: W pixel columns, H pixel rows (the top is row 0), R rows
and C columns of cells, W = 2C and H = 4R.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tui.series import Bools, Envelope, Floats

Bytes = NDArray[np.uint8]
DOTS_ACROSS: Final = 2
DOTS_DOWN: Final = 4
_FIRST_BRAILLE: Final = 0x2800
_WEIGHTS: Final = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint8)
_ASCII: Final = " .-:*#"


def line_dots(
    envelope: Envelope, places_low_W: Floats, places_high_W: Floats, num_rows: int
) -> Bools:
    """Return which dots a line sets, [H, W].

    Columns without a point are bridged in a straight line between their neighbours, unless a point
    that is not finite lies between: that is a gap.

    Args:
        envelope: Of the line.
        places_low_W: Where its lowest value of each column lies, 0 at the bottom to 1 at the top.
        places_high_W: The same of the highest.
        num_rows: H.
    """
    lows, highs = _bridged(envelope, places_low_W), _bridged(envelope, places_high_W)
    lows, highs = _joined(lows, highs)
    is_there = np.isfinite(lows) & np.isfinite(highs)
    top = _rows(highs, num_rows, is_there)
    bottom = _rows(lows, num_rows, is_there)
    rows_H1 = np.arange(num_rows)[:, None]
    dots: Bools = (rows_H1 >= top) & (rows_H1 <= bottom) & is_there
    return dots


def braille_cells(dots_HW: Bools) -> Bytes:
    """Return the braille pattern (0 to 255) of each cell, [R, C]."""
    height, width = dots_HW.shape
    cells = dots_HW.reshape(height // DOTS_DOWN, DOTS_DOWN, width // DOTS_ACROSS, DOTS_ACROSS)
    patterns: Bytes = np.einsum("rdca,da->rc", cells.astype(np.uint8), _WEIGHTS)
    return patterns


def cell_text(patterns_RC: Bytes, ascii_only: bool) -> list[list[str]]:
    """Return one character a cell; a blank where there is no dot."""
    if ascii_only:
        counts = np.bitwise_count(patterns_RC)
        shown: Sequence[str] = [_ASCII[min(number, len(_ASCII) - 1)] for number in range(9)]
        return [[shown[number] for number in row] for row in counts.tolist()]
    return [
        [chr(_FIRST_BRAILLE + pattern) if pattern else " " for pattern in row]
        for row in patterns_RC.tolist()
    ]


def _rows(places_W: Floats, num_rows: int, is_there_W: Bools) -> NDArray[np.int64]:
    """The pixel row of each place; what lies outside the axis is pinned just beyond the edge."""
    rows = (1 - np.where(is_there_W, places_W, 0.0)) * (num_rows - 1)
    whole: NDArray[np.int64] = np.rint(np.clip(rows, -1, num_rows)).astype(np.int64)
    return whole


def _bridged(envelope: Envelope, places_W: Floats) -> Floats:
    known = np.flatnonzero(np.isfinite(places_W))
    if len(known) < 2:
        return places_W
    columns = np.arange(len(places_W))
    filled = np.interp(columns, known, places_W[known])
    filled[: known[0]] = filled[known[-1] + 1 :] = np.nan
    num_bad_before = np.cumsum(envelope.bad_W)
    left = known[np.clip(np.searchsorted(known, columns, side="right") - 1, 0, None)]
    right = known[np.clip(np.searchsorted(known, columns, side="left"), None, len(known) - 1)]
    is_gap: Bools = (
        num_bad_before[right] - envelope.bad_W[right] > num_bad_before[left] - envelope.bad_W[left]
    )
    is_known = np.isfinite(places_W)
    filled[is_gap & ~is_known] = np.nan
    return filled


def _joined(lows_W: Floats, highs_W: Floats) -> tuple[Floats, Floats]:
    """Let each column reach the one before it, so that a steep line has no holes."""
    before_low, before_high = np.roll(lows_W, 1), np.roll(highs_W, 1)
    before_low[:1] = before_high[:1] = np.nan
    with np.errstate(invalid="ignore"):
        joined_low = np.where(before_high < lows_W, before_high, lows_W)
        joined_high = np.where(before_low > highs_W, before_low, highs_W)
    return joined_low, joined_high
