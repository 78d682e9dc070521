"""Columns of points: nothing is lost on the way to the screen, and what was handed out stays."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.series import BLOCK, ColumnSeries
from tui.smoothing import Smoothed

values = st.floats(width=32, allow_nan=True, allow_infinity=True)


def filled(points: list[float], first_step: int = 1) -> ColumnSeries:
    series = ColumnSeries()
    for offset, value in enumerate(points):
        series.add(first_step + offset, value)
    return series


@given(points=st.lists(values, max_size=40), columns=st.integers(1, 12))
@settings(deadline=None)
def test_an_envelope_holds_the_extremes_of_each_column(points: list[float], columns: int) -> None:
    view = filled(points).points()
    edges = np.linspace(1, len(points) + 1, columns + 1)
    envelope = view.envelope(edges)
    for column in range(columns):
        inside = [
            value
            for step, value in enumerate(points, start=1)
            if edges[column] <= step < edges[column + 1]
        ]
        finite = [value for value in inside if math.isfinite(value)]
        assert envelope.bad_W[column] == (len(finite) < len(inside))
        if finite:
            assert (envelope.low_W[column], envelope.high_W[column]) == (min(finite), max(finite))
        else:
            assert np.isnan(envelope.low_W[column])
            assert np.isnan(envelope.high_W[column])


@pytest.mark.parametrize("num_points", [BLOCK**2 * 40 + 7, BLOCK**3 * 20 + 1])
def test_no_spike_is_lost_on_any_level_of_the_pyramid(num_points: int) -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=num_points)
    spikes = random.choice(num_points, 30, replace=False)
    points[spikes[:10]], points[spikes[10:20]], points[spikes[20:]] = 1e6, -1e6, np.nan
    series = ColumnSeries()
    for part in np.array_split(np.arange(num_points), 7):  # the pyramid grows in pieces
        series.extend(part + 1, points[part])
        series.points()
    edges = np.linspace(1, num_points + 1, 101)
    envelope = series.points().envelope(edges)
    column = np.searchsorted(edges, spikes + 1, side="right") - 1
    assert (envelope.high_W[column[:10]] == 1e6).all()
    assert (envelope.low_W[column[10:20]] == -1e6).all()
    assert envelope.bad_W[column[20:]].all()
    is_spiked = np.zeros(100, bool)
    for near in (-1, 0, 1):  # a block of two columns may show its spike in both
        is_spiked[np.clip(column + near, 0, 99)] = True
    assert np.abs(envelope.high_W[~is_spiked]).max() < 10
    assert not envelope.bad_W[~is_spiked].any()


def test_a_step_written_twice_keeps_its_last_value() -> None:
    series = filled([1.0, 2.0, 3.0])
    series.add(2, 20.0)
    assert list(series.points()) == [(1, 1.0), (2, 20.0), (3, 3.0)]
    series.add(0, 0.0)
    assert series.points()[0] == (0, 0.0)


def test_a_view_never_changes() -> None:
    series = filled([float(n) for n in range(3 * BLOCK)])
    before = series.points()
    kept = list(before)
    edges = np.array([1.0, 20.0, 49.0])
    shape = before.envelope(edges).high_W.tolist()
    series.add(5, 1e9)
    series.drop_after(7)
    series.add(8, -1.0)
    assert list(before) == kept
    assert before.envelope(edges).high_W.tolist() == shape
    after = series.points()
    assert list(after)[-2:] == [(7, 6.0), (8, -1.0)]
    assert after.generation != before.generation


def test_a_view_is_a_sequence_of_points() -> None:
    view = filled([0.5, 1.5, 2.5]).points()
    assert (len(view), view[-1], view[:2]) == (3, (3, 2.5), [(1, 0.5), (2, 1.5)])
    assert view.value_near(2) == (2, 1.5)
    assert view.value_near(99) == (3, 2.5)
    assert view.value_near(0) is None
    assert bool(ColumnSeries().points()) is False


@given(points=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), cut=st.integers(0, 60))
@settings(deadline=None)
def test_the_average_is_that_of_the_formula_however_it_is_fed(
    points: list[float], cut: int
) -> None:
    weight, mean, expected = 0.9, 0.0, []
    for count, value in enumerate(points, start=1):
        mean = weight * mean + (1 - weight) * value
        expected.append(mean / (1 - weight**count))
    series, smoothed = filled(points[:cut]), Smoothed(weight)
    smoothed.update(series.points())
    for offset, value in enumerate(points[cut:]):
        series.add(len(points[:cut]) + 1 + offset, value)
    found = smoothed.update(series.points())
    assert found.values_T == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_no_series_passes_for_another_as_long() -> None:
    smoothed = Smoothed(0.5)
    smoothed.update(filled([1.0] * 50).points())
    other = smoothed.update(filled([100.0] * 50).points())
    assert other.values_T == pytest.approx([100.0] * 50)
    assert len(smoothed.update(filled([7.0] * 5).points())) == 5


def test_the_average_passes_over_what_is_not_finite_and_leaves_it_a_gap() -> None:
    average = Smoothed(0.5).update(filled([1.0, math.nan, 3.0, math.inf]).points())
    assert average.values_T[0] == pytest.approx(1.0)
    assert average.values_T[2] == pytest.approx((0.25 * 1 + 0.5 * 3) / 0.75)
    assert np.isnan(average.values_T[[1, 3]]).all()


def test_the_average_follows_a_series_that_was_cut_back() -> None:
    series, smoothed = filled([1.0, 2.0, 100.0, 100.0]), Smoothed(0.5)
    smoothed.update(series.points())
    series.drop_after(2)
    series.add(3, 3.0)
    fresh = Smoothed(0.5).update(filled([1.0, 2.0, 3.0]).points())
    assert list(smoothed.update(series.points())) == list(fresh)


def test_a_long_average_neither_overflows_nor_drifts() -> None:
    num = 200_000
    series = ColumnSeries()
    series.extend(np.arange(num), np.full(num, 3.0))
    average = Smoothed(0.6).update(series.points())
    assert average.values_T == pytest.approx(3.0)
