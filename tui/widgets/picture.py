"""Cells on the screen: characters with named styles become strips of the theme's colours."""

from collections.abc import Callable, Mapping, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget
from typing_extensions import override

from tui.plot_parts import Cells
from tui.theme import chart_styles


class Picture(Widget):
    """Draws what a function makes of the widget's size, and again when it is told to.

    Args:
        make: Gives the cells for a width and a height.
        id: Of the widget.
    """

    def __init__(self, make: Callable[[int, int], Cells], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.make = make
        self._strips: list[Strip] | None = None

    def redraw(self) -> None:
        """Make the cells anew."""
        self._strips = None
        self.refresh()

    @override
    def render_line(self, y: int) -> Strip:
        if self._strips is None:
            styles = chart_styles(self.app.current_theme)
            self._strips = strips_of(self.make(*self.size), styles, self.rich_style)
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.rich_style)

    @override
    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips = None

    def on_resize(self) -> None:
        """Make the cells for the new size."""
        self.redraw()


def strip_of(
    parts: Sequence[tuple[str, str]], styles: Mapping[str, Style], width: int, base: Style
) -> Strip:
    """One line of texts with the names of their styles, cut or filled to `width`."""
    segments = [Segment(text, base + styles[style]) for text, style in parts]
    return Strip(segments).adjust_cell_length(width, base)


def strips_of(cells: Cells, styles: Mapping[str, Style], base: Style) -> list[Strip]:
    """One strip a row; neighbours of one style are one segment."""
    strips: list[Strip] = []
    for chars, names in zip(cells.chars, cells.styles, strict=True):
        segments: list[Segment] = []
        start = 0
        for end in range(1, len(chars) + 1):
            if end == len(chars) or names[end] != names[start]:
                segments.append(Segment("".join(chars[start:end]), base + styles[names[start]]))
                start = end
        strips.append(Strip(segments, len(chars)))
    return strips
