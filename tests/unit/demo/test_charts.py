"""Drawings: what is in the data is in the picture, at the right place, and nothing can act."""

import math
from typing import Any
from xml.etree import ElementTree

import pytest

from vtk.demo.curve_chart import Curve, CurveChart, draw_curves, smooth
from vtk.demo.interval_chart import Interval, draw_intervals
from vtk.demo.phase import PhasePoint, StrategyOdds
from vtk.demo.phase_chart import draw_phase
from vtk.demo.share_chart import draw_shares
from vtk.svg import Scale, nice_ticks, safe, tick_text

HOSTILE = '</svg><script>alert(1)</script> "&\x1b[31m'


def tree(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def classes(svg: str) -> list[str]:
    return [found.get("class", "") for found in tree(svg).iter()]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, [0.0, 0.25, 0.5, 0.75, 1.0]),
        (0.0, 100.0, [0.0, 25.0, 50.0, 75.0, 100.0]),
        (-0.3, 0.9, [-0.5, 0.0, 0.5, 1.0]),
        (1.13, 1.17, [1.13, 1.14, 1.15, 1.16, 1.17]),
    ],
)
def test_ticks_are_round_and_enclose_the_data(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(ticks)


def test_equal_values_still_get_an_axis() -> None:
    assert nice_ticks(3.0, 3.0)[0] < 3.0 < nice_ticks(3.0, 3.0)[-1]
    assert nice_ticks(0.0, 0.0)[0] < 0.0 < nice_ticks(0.0, 0.0)[-1]


def test_ticks_show_the_decimals_they_need() -> None:
    assert [tick_text(tick, [0.0, 0.25]) for tick in (0.0, 0.25)] == ["0.00", "0.25"]
    assert tick_text(-5.0, [-5.0, 0.0]) == "−5"
    assert tick_text(0.5, [0.0, 0.5], is_percent=True) == "50%"


def test_scale_maps_ends_to_ends_and_a_point_to_the_middle() -> None:
    scale = Scale(1.0, 3.0, 10.0, 110.0)
    assert (scale(1.0), scale(2.0), scale(3.0)) == (10.0, 60.0, 110.0)
    assert Scale(2.0, 2.0, 0.0, 10.0)(2.0) == 5.0


def test_text_is_escaped_and_made_visible() -> None:
    assert safe(HOSTILE) == "&lt;/svg&gt;&lt;script&gt;alert(1)&lt;/script&gt; &quot;&amp;␛[31m"
    assert safe("a\nb") == "a\nb"
    assert len(safe("x" * 100_000)) < 5_000


def test_moving_average_starts_at_the_first_value_and_passes_over_nan() -> None:
    smoothed = smooth([(1, 2.0), (2, math.nan), (3, 2.0), (4, 4.0)], weight=0.5)
    assert [step for step, _ in smoothed] == [1, 3, 4]
    assert [value for _, value in smoothed] == pytest.approx([2.0, 2.0, 2.0 + 2.0 * 0.5 / 0.875])


def test_a_short_curve_passes_through_its_points() -> None:
    chart = CurveChart("Reward", [Curve("GRPO", "grpo", [(0, 0.0), (10, 1.0)])])
    (line,) = list(tree(draw_curves(chart)).iter("polyline"))
    assert line.get("points") == "46.0,178.0 318.0,34.0"
    assert line.get("class") == "course grpo"


def test_long_curves_show_raw_values_behind_the_average() -> None:
    points = [(step, math.sin(step)) for step in range(60)]
    found = classes(draw_curves(CurveChart("KL", [Curve("CDPO", "cdpo", points)], level=0.0)))
    assert found.count("raw cdpo") == found.count("course cdpo") == found.count("level") == 1


def test_values_that_are_no_numbers_are_marked_and_said() -> None:
    points = [(1, 1.0), (2, math.nan), (3, math.inf), (4, 2.0)]
    svg = draw_curves(CurveChart("Loss", [Curve("GRPO", "grpo", points)]))
    assert classes(svg).count("lost grpo") == 2
    assert "GRPO, step 2: nan" in svg
    assert "GRPO, step 3: inf" in svg


@pytest.mark.parametrize("points", [[], [(1, math.nan)]])
def test_a_chart_without_numbers_says_so(points: list[tuple[int, float]]) -> None:
    chart = CurveChart("KL", [Curve("GRPO", "grpo", points)], note="no reference model")
    assert "no reference model" in "".join(tree(draw_curves(chart)).itertext())


def test_intervals_stand_where_their_numbers_are() -> None:
    rows = [Interval("CDPO", "cdpo", 0.5, (0.25, 0.75), "50.0%")]
    drawn = tree(draw_intervals("Accuracy", rows))
    (bar,) = [f for f in drawn.iter("line") if f.get("class") == "bar cdpo"]
    (dot,) = [f for f in drawn.iter("circle") if f.get("class") == "dot cdpo"]
    ends = [float(bar.get(name, "")) for name in ("x1", "x2")]
    assert float(dot.get("cx", "")) == pytest.approx(sum(ends) / 2, abs=0.02)


def test_differences_have_zero_in_the_middle() -> None:
    rows = [Interval("a − b", "cdpo", -0.2, (-0.3, -0.1), "−20.0")]
    drawn = tree(draw_intervals("Difference", rows, is_difference=True))
    (zero,) = [f for f in drawn.iter("line") if f.get("class") == "level"]
    (dot,) = list(drawn.iter("circle"))
    assert float(dot.get("cx", "")) < float(zero.get("x1", ""))


def test_shares_fill_the_bar() -> None:
    found: dict[str, dict[str, Any]] = {
        "reason": {"n": 30, "share": 0.3, "accuracy": 0.7},
        "describe": {"n": 60, "share": 0.6, "accuracy": None},
        "neither": {"n": 10, "share": 0.1, "accuracy": 0.0},
    }
    rects = list(tree(draw_shares("Inferential", [("GRPO", found)])).iter("rect"))
    widths = [float(rect.get("width", "")) for rect in rects]
    assert widths == pytest.approx(
        [0.3 * sum(widths), 0.6 * sum(widths), 0.1 * sum(widths)], abs=0.1
    )
    assert [rect.get("class") for rect in rects] == [
        "share reason",
        "share describe",
        "share neither",
    ]


def test_phase_panels_agree_with_the_drift_s_sign_and_mark_the_base_model() -> None:
    point = PhasePoint(reason=StrategyOdds(0.7, 0.7))
    svg = f"<div>{draw_phase(point, [0.0, -0.05], [point])}</div>"
    found = classes(svg)
    assert found.count("mark") == 2
    assert found.count("boundary") == 2
    assert found.count("to-reason") + found.count("to-describe") == 2 * 11 * 11
    assert "expected drift -0.018" in svg


def test_hostile_names_stay_text_in_every_drawing() -> None:
    shares = {
        name: {"n": 1, "share": 1 / 3, "accuracy": 0.5}
        for name in ("reason", "describe", "neither")
    }
    for svg in (
        draw_curves(CurveChart(HOSTILE, [Curve(HOSTILE, "grpo", [(1, 1.0), (2, 2.0)])], HOSTILE)),
        draw_intervals(HOSTILE, [Interval(HOSTILE, "grpo", 0.5, (0.4, 0.6), HOSTILE)]),
        draw_shares(HOSTILE, [(HOSTILE, shares)]),
    ):
        assert [found for found in tree(svg).iter() if found.tag == "script"] == []
        assert "\x1b" not in svg
