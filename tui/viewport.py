"""Which steps all charts show, where the crosshair is, how much curves are smoothed.

Steps mean the same on every screen of a run, so the app owns them for all screens; a scale of
values means something for the charts of one screen, which keeps it.
"""

import math
from dataclasses import dataclass, replace
from typing import Final, Self

from tui.scales import SCALES, ScaleName

SMOOTHING: Final = (0.0, 0.6, 0.9, 0.97)
"""Weights of the past that the key goes through; 0 is off."""
_FEWEST_STEPS: Final = 4.0
_SAME_STEP: Final = 0.5


@dataclass(frozen=True, slots=True)
class Viewport:
    """What charts share.

    Attributes:
        window: First step and end in sight; None is all steps, as they come.
        cursor: The step under the crosshair.
        smoothing: Weight of the past in the moving average; 0 is off.
        scale: Of all value axes; None is each chart's own.
        stretch: How many times the fitted range of values is shown; 1 fits.
    """

    window: tuple[float, float] | None = None
    cursor: int | None = None
    smoothing: float = 0.0
    scale: ScaleName | None = None
    stretch: float = 1.0

    def zoomed(self, factor: float, extent: tuple[float, float], anchor: float | None) -> Self:
        """Show `factor` times as many steps around `anchor`.

        Args:
            factor: Below 1 shows fewer steps.
            extent: All steps there are.
            anchor: The step that stays where it is; None is the crosshair, where it is in sight;
                without it the end, where the window has the newest step, else the middle.
        """
        first, last = self.window or extent
        if anchor is None:
            anchor = self._anchor(extent[1])
        size = max(_FEWEST_STEPS, (last - first) * factor)
        if size >= extent[1] - extent[0]:
            return replace(self, window=None)
        share = (anchor - first) / (last - first)
        return self._at(anchor - share * size, size, extent)

    def panned(self, share: float, extent: tuple[float, float]) -> Self:
        """Move the window by a share of its width; nothing moves while all steps are in sight."""
        if self.window is None:
            return self
        first, last = self.window
        return self._at(first + share * (last - first), last - first, extent)

    def followed(self, before: float, now: float) -> Self:
        """Move on with the newest step, where the window ended with it.

        Args:
            before: The end of the run's steps when the window was chosen or moved last.
            now: Their end as it is.
        """
        if self.window is None or abs(self.window[1] - before) >= _SAME_STEP:
            return self
        first, last = self.window
        return replace(self, window=(first + now - before, last + now - before))

    def reaching(self, extent: tuple[float, float]) -> Self:
        """The same where there are only these steps: all of them, if the window holds none."""
        if self.window is None or (self.window[0] < extent[1] and self.window[1] > extent[0]):
            return self
        return replace(self, window=None)

    def ended(self, end: float) -> Self:
        """The same without room behind the last step; `end` is one more than it."""
        if self.window is None or self.window[0] >= end:
            return self
        return replace(self, window=(self.window[0], min(self.window[1], end)))

    def moved(self, by: int, extent: tuple[float, float], columns: int) -> Self:
        """Move the crosshair by cells; it appears at the newest step."""
        first, last = self.window or extent
        if self.cursor is None:
            return replace(self, cursor=math.ceil(last) - 1)
        stride = max(1.0, (last - first) / max(1, columns))
        cursor = self.cursor + round(by * stride)
        return replace(self, cursor=min(math.ceil(last) - 1, max(math.floor(first), cursor)))

    def smoothed_next(self) -> Self:
        """The next weight of the list."""
        index = SMOOTHING.index(self.smoothing)
        return replace(self, smoothing=SMOOTHING[(index + 1) % len(SMOOTHING)])

    def scaled_next(self) -> Self:
        """Each chart's own scale, then every scale in turn."""
        order: tuple[ScaleName | None, ...] = (None, *SCALES)
        return replace(self, scale=order[(order.index(self.scale) + 1) % len(order)])

    def _anchor(self, end: float) -> float:
        first, last = self.window or (-math.inf, end)
        if self.cursor is not None and first <= self.cursor < last:
            return self.cursor
        return end if last > end - _SAME_STEP else (first + last) / 2

    def _at(self, first: float, size: float, extent: tuple[float, float]) -> Self:
        first = min(max(first, extent[0]), extent[1] - size)
        return replace(self, window=(first, first + size))
