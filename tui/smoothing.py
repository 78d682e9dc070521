"""The exponential moving average of a series, free of the bias of its start.

With weight w on the past, m_t = w m_{t-1} + (1 - w) x_t and the average shown is m_t / (1 - w^t)
(Kingma and Ba 2015, section 3). A value that is not finite is passed over and stays a gap.
"""

import numpy as np

from tui.series import ColumnSeries, ColumnView, Floats

_LARGEST_EXPONENT = 600.0  # e^600 still is a float, and the sum it scales too


class Smoothed:
    """Follows one series; each update takes in its new points only.

    Args:
        weight: Of the past, from 0 (nothing is smoothed) to less than 1.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self._source: ColumnView | None = None
        self._series = ColumnSeries()
        self._num_taken = self._num_finite = 0
        self._mean = 0.0

    def update(self, view: ColumnView) -> ColumnView:
        """Return the average of all of `view`, the same object while `view` is."""
        if view is not self._source:
            if self._source is None or view.generation != self._source.generation:
                self._restart()
            start = self._num_taken
            averaged = self._averaged(view.values_T[start:])
            self._series.extend(view.steps_T[start:], averaged)
            self._source, self._num_taken = view, len(view)
        return self._series.points()

    def _restart(self) -> None:
        self._series = ColumnSeries()
        self._num_taken = 0
        self._mean, self._num_finite = 0.0, 0

    def _averaged(self, values_T: Floats) -> Floats:
        is_finite = np.isfinite(values_T)
        averaged = np.full(len(values_T), np.nan)
        averaged[is_finite] = self._averaged_finite(values_T[is_finite])
        return averaged

    def _averaged_finite(self, values_T: Floats) -> Floats:
        if self.weight <= 0:
            return values_T
        parts: list[Floats] = []
        length = max(1, int(_LARGEST_EXPONENT / -np.log(self.weight)))
        for start in range(0, len(values_T), length):
            x = values_T[start : start + length]
            decay = self.weight ** np.arange(1, len(x) + 1)
            means = decay * (self._mean + (1 - self.weight) * np.cumsum(x / decay))
            counts = self._num_finite + np.arange(1, len(x) + 1)
            parts.append(means / (1 - self.weight**counts))
            self._mean, self._num_finite = float(means[-1]), int(counts[-1])
        return np.concatenate(parts) if parts else values_T
