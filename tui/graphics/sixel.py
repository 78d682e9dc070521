"""Pictures as Sixel: bands of six lines, a bit a line, one pass for each colour.

DEC, VT330/VT340 Programmer Reference Manual, volume 2, chapter 14
(https://vt100.net/docs/vt3xx-gp/chapter14.html). Shape letters: K colours, height, width, C.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tui.graphics.palette import median_cut
from tui.graphics.places import Painter, Place, Shown, move_to
from tui.samples.pictures import frame_pixels, shrunk
from vtk.runs.frame_strip import FrameStrip

_BAND_LINES: Final = 6
_OFFSET: Final = 63
_RUN: Final = re.compile(r"(.)\1{3,}")
_VT340_CELL_PX: Final = (10, 20)

CellSize = Callable[[], tuple[int, int] | None]


class SixelPainter(Painter):
    """Draws frames over the cells that were written; the next text there replaces them.

    Args:
        cell_px: Asked for width and height of a cell, in pixels; None stands for a VT340's.
        num_colours: Colours of one picture.
    """

    def __init__(self, cell_px: CellSize, num_colours: int) -> None:
        self._cell_px, self._num_colours = cell_px, num_colours
        self._strip: FrameStrip | None = None
        self._drawn: tuple[Place, ...] = ()
        self._encoded: dict[tuple[int, ...], str] = {}

    @override
    def paint(self, shown: Shown, overwritten: Sequence[Place]) -> str:
        strip, known = shown.strip, self._drawn
        if strip is not self._strip:
            self._strip, known = strip, ()
            self._encoded.clear()
        self._drawn = shown.places
        if strip is None:
            return ""
        return "".join(
            move_to(place.seen) + self._sixels(strip, place)
            for place in shown.places
            if place not in known or place in overwritten
        )

    @override
    def clear(self) -> str:
        self.forget()
        return ""

    @override
    def forget(self) -> None:
        self._drawn = ()

    def _sixels(self, strip: FrameStrip, place: Place) -> str:
        cell_px = self._cell_px() or _VT340_CELL_PX
        key = (place.frame, place.rows, place.first_row, *place.seen.size, *cell_px)
        if key not in self._encoded:
            self._encoded[key] = self._encode(strip, place, cell_px)
        return self._encoded[key]

    def _encode(self, strip: FrameStrip, place: Place, cell_px: tuple[int, int]) -> str:
        width_px, height_px = place.seen.width * cell_px[0], place.rows * cell_px[1]
        frame_HWC = frame_pixels(strip)[place.frame]
        small_HWC = shrunk(
            frame_HWC, min(height_px, strip.height_px), min(width_px, strip.width_px)
        )
        colours_KC, numbers_HW = median_cut(small_HWC, self._num_colours)
        whole = _stretched(_stretched(numbers_HW, height_px).T, width_px).T
        first_px = place.first_row * cell_px[1]
        return encode_sixel(colours_KC, whole[first_px:][: place.seen.height * cell_px[1]])


def encode_sixel(colours_KC: NDArray[np.uint8], numbers_HW: NDArray[np.intp]) -> str:
    """A picture as one control sequence; it begins where the cursor stands.

    Args:
        colours_KC: Its colours in RGB.
        numbers_HW: The number of each pixel's colour.
    """
    height, width = numbers_HW.shape
    percent_KC = np.round(colours_KC * (100 / 255)).astype(int).tolist()
    colours = "".join(f"#{k};2;{r};{g};{b}" for k, (r, g, b) in enumerate(percent_KC))
    starts = range(0, height, _BAND_LINES)
    bands = "-".join("$".join(_passes(numbers_HW[start : start + _BAND_LINES])) for start in starts)
    return f'\x1bP0;1;0q"1;1;{width};{height}{colours}{bands}\x1b\\'


def _passes(band_HW: NDArray[np.intp]) -> Iterator[str]:
    """The band once for each of its colours."""
    weights_H = 1 << np.arange(len(band_HW))
    for colour in np.unique(band_HW).tolist():
        bits_W = weights_H @ (band_HW == colour)
        sixels = (bits_W + _OFFSET).astype(np.uint8).tobytes().decode("ascii").rstrip("?")
        yield f"#{colour}{_RUN.sub(lambda run: f'!{len(run[0])}{run[1]}', sixels)}"


def _stretched(values: NDArray[np.intp], number: int) -> NDArray[np.intp]:
    """Lines repeated until there are so many."""
    return values[np.arange(number) * len(values) // number]
