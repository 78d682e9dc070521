"""The line above a chart: its name, each curve's value, how it is drawn; never a cut number."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from tui.plot_parts import NUM_COLOURS, marker
from tui.scales import ScaleName
from tui.series import ColumnView
from tui.viewport import Viewport
from vtk.format import MISSING, format_number, format_percent, format_value, visible_text

Part = tuple[str, str]
"""A text and the name of its style."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve of a chart: its name in the legend, its points, the unit of its values.

    `number` names its colour and marker; None is its place in the chart.
    """

    label: str
    view: ColumnView
    unit: str = ""
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Legend:
    """What a legend tells; `hint` says in plain words what is drawn, where there is room."""

    title: str
    curves: Sequence[Curve]
    viewport: Viewport
    own_scale: ScaleName = "linear"
    ascii_only: bool = False
    hint: str = ""

    def fitted(self, width: int) -> list[Part]:
        """The longest form that fits in `width` cells; curves that never do are counted."""
        for form in self._forms():
            if _width(form) <= width:
                return form
        title, *values = self._parts(0, is_short=True)
        for num_shown in range(len(values) - 1, -1, -1):
            rest: Part = (f" +{len(values) - num_shown}", "note")
            form = [title, *values[:num_shown], rest]
            if _width(form) <= width:
                return form
        return [title]

    def _forms(self) -> Iterator[list[Part]]:
        """From the longest to the shortest: values matter more than notes and whole names.

        A name without its value is better than a value without its name.
        """
        for hint in (self.hint, ""):
            yield [*self._parts(30, is_short=False), *self._notes(hint)]
        for label_chars in (12, 6):
            yield self._parts(label_chars, is_short=False)
        for label_chars in (6, 4):
            yield self._parts(label_chars, is_short=True)
        for label_chars in (6, 4):
            yield self._parts(label_chars, is_short=True, num_valued=1)
        yield self._parts(0, is_short=True)

    def _parts(
        self, label_chars: int, *, is_short: bool, num_valued: int | None = None
    ) -> list[Part]:
        """Title and curves; only the first `num_valued` with their values."""
        cursor = self.viewport.cursor
        where = "" if cursor is None else f" step {cursor}"
        parts: list[Part] = [(f"{self.title}{where}", "title")]
        for place, curve in enumerate(self.curves):
            number = place if curve.number is None else curve.number
            label = visible_text(curve.label, 30)[:label_chars]
            has_value = num_valued is None or place < num_valued
            value = self._value(curve, is_short) if has_value else ""
            shape = marker(number, self.ascii_only)
            parts.append((f" {shape} {f'{label} {value}'.strip()}", f"line{number % NUM_COLOURS}"))
        return parts

    def _notes(self, hint: str) -> list[Part]:
        scale = self.viewport.scale or self.own_scale
        notes = [] if scale == "linear" and self.viewport.scale is None else [str(scale)]
        if self.viewport.smoothing:
            notes.append(f"smoothed {self.viewport.smoothing:g}")
        notes += [hint] if hint else []
        return [(f" {', '.join(notes)}", "note")] if notes else []

    def _value(self, curve: Curve, is_short: bool) -> str:
        """The newest value, or that at the crosshair."""
        cursor = self.viewport.cursor
        if cursor is not None:
            found = curve.view.value_near(cursor)
        else:
            found = curve.view[-1] if len(curve.view) else None
        if found is None:
            return MISSING
        step, value = found
        where = f" (at {step})" if cursor is not None and step != cursor else ""
        if not is_short:
            return format_value(value, curve.unit) + where
        return format_percent(value, 0) if curve.unit == "fraction" else format_number(value, 3)


def _width(parts: Sequence[Part]) -> int:
    return sum(cell_len(text) for text, _ in parts)
