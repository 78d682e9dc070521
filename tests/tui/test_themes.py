"""Themes for every eye: contrast, colour vision, and what is left without colours."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from textual.color import Color
from textual.pilot import Pilot
from textual.theme import Theme

from tests.tui.driving import Host, drive, until_shown
from tests.tui.made_runs import plain_steps, write_run
from tui.plot_parts import ASCII_MARKERS, MARKERS, NUM_COLOURS
from tui.samples.group_view import GroupView
from tui.samples.pane import SamplesPane
from tui.samples.text import _LEFT_COLOURS, _STAYED_COLOURS, _TINT_TEXT
from tui.theme import THEMES, chart_styles, line_colours

Matrix = NDArray[np.float64]

VISIONS = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""Of linear RGB, full severity (Machado, Oliveira and Fernandes 2009, table 1)."""
MOST_LINES_OF_A_CHART = 3


def _linear(colour: str) -> Matrix:
    shares = np.array(Color.parse(colour).rgb) / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def _contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2."""
    lights = sorted(float(_linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _lab(linear: Matrix) -> Matrix:
    """CIE 1976 L*a*b*, white D65."""
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    x, y, z = np.cbrt(np.clip(to_xyz @ linear, 1e-6, None) / [0.95047, 1.0, 1.08883])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_lines_and_texts_stand_out_from_the_ground(theme: Theme) -> None:
    ground = str(theme.background)
    assert min(_contrast(colour, ground) for colour in line_colours(theme)) >= 3
    assert _contrast(str(theme.foreground), ground) >= 7
    for style in ("axis", "note", "alert", "mark"):
        drawn = chart_styles(theme)[style].color
        assert drawn is not None
        assert _contrast(drawn.name, ground) >= 4.5, style
    for colour in (theme.success, theme.warning, theme.error):
        assert _contrast(str(colour), ground) >= 4.5


@pytest.mark.parametrize("vision", VISIONS)
def test_the_safe_theme_keeps_lines_apart_for_colour_blind_eyes(vision: str) -> None:
    (safe,) = [theme for theme in THEMES if theme.name == "vtk-colour-blind"]
    seen = [
        _lab(np.array(VISIONS[vision]) @ _linear(colour))
        for colour in line_colours(safe)[:MOST_LINES_OF_A_CHART]
    ]
    distances = [float(np.linalg.norm(one - other)) for one, other in combinations(seen, 2)]
    assert min(distances) >= 30


def test_every_line_has_a_shape_besides_its_colour() -> None:
    assert len(set(MARKERS)) == len(set(ASCII_MARKERS)) == NUM_COLOURS
    assert all(len(line_colours(theme)) == NUM_COLOURS for theme in THEMES)


def test_the_text_of_a_tint_is_readable() -> None:
    for colours in (_LEFT_COLOURS, _STAYED_COLOURS):
        pairs = zip(colours, _TINT_TEXT, strict=True)
        assert min(_contrast(*pair) for pair in pairs) >= 3


def test_without_colours_tokens_are_marked_by_underlines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_run(tmp_path, "one", plain_steps(2))
    monkeypatch.setenv("NO_COLOR", "1")

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        await until_shown(pilot, "step 2  group", "> 1 of 4")
        assert host.no_color
        assert host.query_one(GroupView).tint == "marks"

    drive(lambda: SamplesPane(paths), (100, 40), scenario)
