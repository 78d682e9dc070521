"""Drawing with SVG text: elements, scales and ticks. Colours come from the page's style sheet."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count, pairwise
from typing import Final

from vtk.format import visible_text

MAX_TEXT_CHARS: Final = 4000
_NICE_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)


def element(name: str, attributes: Mapping[str, object], *children: str) -> str:
    """One element; attribute values are escaped, children are markup already.

    A number is written with two decimals; an underscore in a name becomes a hyphen.
    """
    written = "".join(
        f' {key.replace("_", "-")}="{_attribute(value)}"' for key, value in attributes.items()
    )
    return f"<{name}{written}>{''.join(children)}</{name}>"


def safe(text: object) -> str:
    """Text from a model, a file or anywhere as markup: nothing in it can act.

    Control characters become visible, line breaks stay, and what HTML reads as markup is escaped.
    """
    lines = str(text)[:MAX_TEXT_CHARS].split("\n")
    return escape("\n".join(visible_text(line, max_chars=MAX_TEXT_CHARS) for line in lines))


def label(
    text: object, x: float, y: float, css: str = "tick", anchor: str = "middle", **more: object
) -> str:
    """A text at a place; `anchor` is start, middle or end."""
    where = {"x": x, "y": y, "class": css, "text_anchor": anchor}
    return element("text", where | more, safe(text))


def title(text: object) -> str:
    """What a browser shows when the pointer rests on the parent element."""
    return element("title", {}, safe(text))


def picture(width: float, height: float, alternative: str, *children: str) -> str:
    """A whole drawing, with the sentence that stands for it where it cannot be seen."""
    frame = {
        "viewBox": f"0 0 {width:g} {height:g}",
        "role": "img",
        "aria_label": visible_text(alternative, max_chars=400),
        "style": f"max-width:{width:g}px",
    }
    return element("svg", frame, *children)


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight map from values to pixels.

    Attributes:
        low: Value at the first pixel.
        high: Value at the last pixel.
        first_px: Pixel of `low`.
        last_px: Pixel of `high`.
    """

    low: float
    high: float
    first_px: float
    last_px: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        span = self.high - self.low
        share = 0.5 if span == 0 else (value - self.low) / span
        return self.first_px + share * (self.last_px - self.first_px)


def nice_ticks(low: float, high: float, num_wanted: int = 4) -> list[float]:
    """About `num_wanted` round numbers that enclose low to high."""
    if not high > low:
        margin = abs(low) * 0.1 or 0.5
        low, high = low - margin, high + margin
    rough = (high - low) / num_wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in _NICE_STEPS if power * nice >= rough * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    ticks = []
    for number in count(first):
        ticks.append(round(number * step, 12))
        if ticks[-1] >= high - 1e-9 * step:
            return ticks
    raise AssertionError("count() never ends")


def tick_text(value: float, ticks: Sequence[float], is_percent: bool = False) -> str:
    """A tick's number with as many decimals as its neighbours need."""
    if is_percent:
        return f"{100 * value:.0f}%"
    step = min((b - a for a, b in pairwise(ticks)), default=1.0)
    decimals = next((d for d in range(7) if abs(step * 10**d - round(step * 10**d)) < 1e-6), 6)
    return f"{value:.{decimals}f}".replace("-", "−")


def _attribute(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return escape(str(value), quote=True)
