"""Numbers to text with their units, and untrusted text to text that cannot drive a terminal.

Pure functions, shared by the command line and the dashboard, so that one number reads the same
everywhere.
"""

import math
import re
from itertools import pairwise
from typing import Final

MISSING: Final = "–"
"""Shown where there is no number."""
_COARSE_FROM: Final = 10

_BYTE_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SPARK_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_SPARK_ASCII: Final = "_.,-~=*#"
_SPARK_NONFINITE: Final = "×"
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: they move the cursor, set titles, write the clipboard
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # reorder or hide text
    "\ud800-\udfff\U000e0000-\U000e007f]"  # lone surrogates; invisible tags
)

_SECRET = re.compile(
    r"(?<=://)[^/\s@]+(?=@)"  # user and password of an address
    r"|\bhf_[A-Za-z0-9]{16,}"  # a token of the Hugging Face Hub
    r"|(?<=Bearer )[^\s\"']+"
    r"|(?i:(?<=token=)|(?<=password=)|(?<=api_key=))[^\s&\"']+"
)


def without_secrets(text: str) -> str:
    """The text with passwords of addresses and tokens masked, for logs and messages.

    Example:
        >>> without_secrets("https://me:word@host/a?token=x1&b=2 hf_" + "a" * 34)
        'https://***@host/a?token=***&b=2 ***'
    """
    return _SECRET.sub("***", text)


def format_number(value: float | None, digits: int = 4) -> str:
    """Return a number with `digits` significant digits; an exponent only where it must be.

    Example:
        >>> format_number(0.0123456), format_number(1234567.0), format_number(1e-6)
        ('0.01235', '1234567', '1e-06')
    """
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return str(float(value))
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e9:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        text = f"{value:.{decimals}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.{digits}g}"


def format_count(value: int | None) -> str:
    """Return a whole number with thousands separated by commas.

    Example:
        >>> format_count(18473)
        '18,473'
    """
    return MISSING if value is None else f"{value:,d}"


def format_percent(fraction: float | None, decimals: int = 1) -> str:
    """Return a fraction (0 to 1) as a percentage.

    Example:
        >>> format_percent(0.7402)
        '74.0%'
    """
    if fraction is None:
        return MISSING
    return f"{100 * fraction:.{decimals}f}%" if math.isfinite(fraction) else str(float(fraction))


def format_interval(low: float | None, high: float | None, decimals: int = 1) -> str:
    """Return an interval of fractions as percentages.

    Example:
        >>> format_interval(0.712, 0.768)
        '[71.2%, 76.8%]'
    """
    if low is None or high is None:
        return MISSING
    return f"[{format_percent(low, decimals)}, {format_percent(high, decimals)}]"


def format_bytes(num_bytes: float | None) -> str:
    """Return a size in bytes with a binary unit.

    Example:
        >>> format_bytes(512), format_bytes(12_900_000_000)
        ('512 B', '12.0 GiB')
    """
    if num_bytes is None:
        return MISSING
    size = float(num_bytes)
    for unit in _BYTE_UNITS:
        if abs(size) < 1024 or unit == _BYTE_UNITS[-1]:
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def format_duration_s(seconds: float | None) -> str:
    """Return a duration in its two largest units.

    Example:
        >>> format_duration_s(0.0042), format_duration_s(7.25), format_duration_s(93784)
        ('4.2 ms', '7.2 s', '1 d 2 h')
    """
    if seconds is None:
        return MISSING
    if not math.isfinite(seconds):
        return str(float(seconds))
    if seconds < 0:
        return "-" + format_duration_s(-seconds)
    if 0 < seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    return _two_largest_units(round(seconds))


def format_age_s(seconds: float | None) -> str:
    """Return how long ago something was, in whole units; what lies in the future was now.

    From ten of the larger unit on the smaller one is left out.

    Example:
        >>> format_age_s(0.73), format_age_s(64.2), format_age_s(664.2)
        ('0 s', '1 min 4 s', '11 min')
    """
    if seconds is None or not math.isfinite(seconds):
        return format_duration_s(seconds)
    units = _two_largest_units(max(0, math.floor(seconds))).split()
    return " ".join(units[:2] if int(units[0]) >= _COARSE_FROM else units)


def format_value(value: float | None, unit: str) -> str:
    """Return a metric's value with its unit, as `vtk.runs.events.METRICS` names units.

    Example:
        >>> format_value(0.25, "fraction"), format_value(11.03, "GiB"), format_value(24.0, "count")
        ('25.0%', '11.03 GiB', '24')
    """
    if value is None:
        return MISSING
    if unit == "fraction":
        return format_percent(value)
    if unit == "s":
        return format_duration_s(value)
    if unit == "count" and math.isfinite(value):
        return format_count(round(value))
    suffix = "" if unit in ("", "count") else unit if unit == "%" else f" {unit}"
    return format_number(value) + suffix


def sparkline(values: list[float], width: int, ascii_only: bool = False) -> str:
    """Return a series as one line of blocks, low to high; a non-finite value is a cross.

    A longer series is cut into `width` stretches of equal length and each shows the value furthest
    from the mean, so that a spike stays visible.
    """
    if not values or width < 1:
        return ""
    points = _thinned(values, width)
    blocks = _SPARK_ASCII if ascii_only else _SPARK_BLOCKS
    finite = [point for point in points if math.isfinite(point)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    cross = "x" if ascii_only else _SPARK_NONFINITE
    return "".join(
        blocks[_level(point, low, high)] if math.isfinite(point) else cross for point in points
    )


def visible_text(text: object, max_chars: int = 200) -> str:
    """Return text from a file or a model as one line that is safe to print.

    Control characters show as symbols (ESC as ␛), line breaks as ⏎, and characters that reorder or
    hide text as �; what is longer than `max_chars` ends in an ellipsis. Markup is *not* escaped:
    give the result to `rich.text.Text`.
    """
    raw = str(text)
    shown = _UNSAFE.sub(_visible_symbol, raw[: max_chars + 1])
    return shown if len(raw) <= max_chars else shown[: max(0, max_chars - 1)] + "…"


def visible_lines(text: str) -> str:
    """Return text of several lines that is safe to print, character for character.

    As `visible_text`, but line feeds stay, nothing is cut, and every character becomes exactly one,
    so that places in the text stay what they were.
    """
    return "\n".join(_UNSAFE.sub(_visible_symbol, line) for line in text.split("\n"))


def _two_largest_units(seconds: int) -> str:
    minutes, rest_s = divmod(seconds, 60)
    if minutes == 0:
        return f"{rest_s} s"
    if minutes < 60:
        return f"{minutes} min {rest_s} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def _visible_symbol(match: re.Match[str]) -> str:
    code = ord(match.group())
    if match.group() in "\n\r\u2028\u2029":
        return "⏎"
    if match.group() == "\t":
        return " "
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "\ufffd"


def _thinned(values: list[float], width: int) -> list[float]:
    if len(values) <= width:
        return values
    finite = [value for value in values if math.isfinite(value)]
    mean = sum(finite) / len(finite) if finite else 0.0
    edges = [index * len(values) // width for index in range(width + 1)]
    stretches = (values[start:end] for start, end in pairwise(edges))
    return [max(stretch, key=lambda value: _oddness(value, mean)) for stretch in stretches]


def _oddness(value: float, mean: float) -> float:
    return abs(value - mean) if math.isfinite(value) else math.inf


def _level(value: float, low: float, high: float) -> int:
    if high <= low:
        return 3
    scaled = (value / 2 - low / 2) / (
        high / 2 - low / 2
    )  # halves: the span of two floats may overflow
    return min(7, max(0, int(scaled * 8)))
