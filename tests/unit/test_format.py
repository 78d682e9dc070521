"""Numbers read well, and no text can drive the terminal."""

import doctest
import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vtk.format
from vtk.format import (
    MISSING,
    format_age_s,
    format_bytes,
    format_count,
    format_duration_s,
    format_interval,
    format_number,
    format_percent,
    format_value,
    sparkline,
    visible_text,
)


def test_the_examples_in_the_docstrings_hold() -> None:
    result = doctest.testmod(vtk.format)
    assert result.attempted >= 8
    assert result.failed == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-2.5, "-2.5"),
        (0.1 + 0.2, "0.3"),
        (123456.0, "123456"),
        (0.0001, "0.0001"),
        (1e-6, "1e-06"),
        (-1.23456e-9, "-1.235e-09"),
        (1e12, "1e+12"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (None, MISSING),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert format_number(value) == text


@given(st.floats(-1e300, 1e300))
def test_a_number_is_shown_to_four_digits(value: float) -> None:
    assert float(format_number(value)) == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.0042, "4.2 ms"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3599.7, "1 h 0 min"),
        (93784, "1 d 2 h"),
        (-90, "-1 min 30 s"),
        (math.inf, "inf"),
        (None, MISSING),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert format_duration_s(seconds) == text


def test_ages_are_whole_and_never_negative() -> None:
    ages = (format_age_s(0.9), format_age_s(-5), format_age_s(86_399.9))
    assert ages == ("0 s", "0 s", "23 h")
    assert (format_age_s(None), format_age_s(math.nan)) == (MISSING, "nan")


def test_sizes_counts_and_fractions() -> None:
    assert [format_bytes(size) for size in (0, 1023, 1024, 2**40, 2**70)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.0 TiB",
        "1048576.0 PiB",
    ]
    assert format_count(13674) == "13,674"
    assert (format_percent(1.0), format_percent(0.12345, 2)) == ("100.0%", "12.35%")
    assert format_percent(math.nan) == "nan"
    assert format_interval(0.25, None) == MISSING
    assert [f(None) for f in (format_bytes, format_count, format_percent)] == [MISSING] * 3


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.5, "fraction", "50.0%"),
        (24.0, "count", "24"),
        (math.nan, "count", "nan"),
        (93.0, "%", "93%"),
        (11.25, "GiB", "11.25 GiB"),
        (0.02, "", "0.02"),
        (75.0, "s", "1 min 15 s"),
        (None, "GiB", MISSING),
    ],
)
def test_a_value_carries_its_unit(value: float | None, unit: str, text: str) -> None:
    assert format_value(value, unit) == text


def test_a_sparkline_rises_with_its_values() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8, ascii_only=True).isascii()
    assert sparkline([5.0, 5.0], 8) == "▄▄"
    assert (sparkline([], 8), sparkline([1.0], 0)) == ("", "")


def test_a_spike_and_a_nan_stay_visible_in_a_long_series() -> None:
    values = [0.0] * 1000
    values[437], values[900] = 9.0, math.nan
    line = sparkline(values, 20)
    assert len(line) == 20
    assert line.count("█") == 1
    assert line[18] == "×"


@given(st.lists(st.floats(), max_size=60), st.integers(1, 30))
def test_any_series_can_be_drawn(values: list[float], width: int) -> None:
    assert len(sparkline(values, width)) == min(len(values), width)


def test_control_characters_become_symbols() -> None:
    assert visible_text("\x1b[31mred\x07\x7f\x9b\tx\ny") == "␛[31mred␇␡� x⏎y"
    assert visible_text("a\u202eb\u2066c\ufeffd\ud800e\U000e0041f") == "a�b�c�d�e�f"
    assert visible_text("[/INST] <answer>[B]</answer> ünï 日本 👩‍🔬") == (
        "[/INST] <answer>[B]</answer> ünï 日本 👩‍🔬"
    )


def test_long_text_ends_in_an_ellipsis() -> None:
    assert visible_text("x" * 300) == "x" * 199 + "…"
    assert visible_text("x" * 200) == "x" * 200
    assert visible_text("abc", max_chars=2) == "a…"
    assert visible_text(None) == "None"


@given(st.text(st.characters(), max_size=300))
def test_no_text_drives_a_terminal(text: str) -> None:
    shown = visible_text(text)
    assert len(shown) <= 200
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in shown)
    bidi = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    assert not any(unicodedata.bidirectional(c) in bidi for c in shown)
    shown.encode()
