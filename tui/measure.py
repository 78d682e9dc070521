"""How long charts take: redrawing and appending, in this process, without a terminal."""

import time
from collections.abc import Callable

import numpy as np

from tui.plot import draw
from tui.plot_parts import Plot, PlotLine
from tui.series import ColumnSeries
from tui.smoothing import Smoothed

_WIDTH, _HEIGHT = 118, 38
_NEW_POINTS = 10
_NUM_ROUNDS = 15


def measure_chart(num_points: int) -> dict[str, float]:
    """Return processor milliseconds, the median over rounds, of one chart of a 120 x 40 terminal.

    Args:
        num_points: Of its one curve, a random walk; each round appends ten more.

    Returns:
        `redraw_ms` of all cells, `append_ms` of ten points with the pyramid above them,
        `append_smoothed_ms` of ten points and their moving average.
    """
    values = np.cumsum(np.random.default_rng(0).normal(size=num_points))
    series, smoothed = ColumnSeries(), Smoothed(0.9)
    series.extend(np.arange(num_points), values)
    smoothed.update(series.points())

    def append() -> None:
        last = series.points().steps_T[-1]
        for offset in range(1, _NEW_POINTS + 1):
            series.add(int(last) + offset, 0.5)
        series.points()

    def append_smoothed() -> None:
        append()
        smoothed.update(series.points())

    append()  # the arrays have just doubled: that costs once, not each time
    return {
        "redraw_ms": _median_ms(
            lambda: draw(Plot([PlotLine("", series.points())]), _WIDTH, _HEIGHT)
        ),
        "append_ms": _median_ms(append),
        "append_smoothed_ms": _median_ms(append_smoothed),
    }


def _median_ms(call: Callable[[], object]) -> float:
    times = []
    for _ in range(_NUM_ROUNDS):
        began = time.thread_time()
        call()
        times.append(1000 * (time.thread_time() - began))
    return float(np.median(times))
