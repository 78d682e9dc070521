"""A chart on the screen: draws `tui.plot` by lines, and tells its screen what the mouse wants."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from typing_extensions import override

from tui.legend import Curve, Legend
from tui.plot import draw as draw_plot
from tui.plot_parts import Frame, Lane, Plot, PlotLine, PlotMark
from tui.scales import ScaleName
from tui.series import ColumnView
from tui.smoothing import Smoothed
from tui.theme import chart_styles
from tui.viewport import Viewport
from tui.widgets.picture import strip_of, strips_of

_NOTHING = "no step has been recorded yet"


class Chart(Widget, can_focus=True):
    """Curves over steps under one line of legend.

    Args:
        title: First word of the legend.
        scale: Kind of the value axis, unless the viewport names another.
        zero: Keep zero in sight.
        nothing: Said while there is no point.
        hint: What is drawn, in plain words, where the legend has room.
        id: Of the widget.
    """

    ALLOW_SELECT: ClassVar[bool] = False

    class Pointed(Message):
        """The mouse is over a step; None: it has left."""

        def __init__(self, step: int | None) -> None:
            super().__init__()
            self.step = step

    class Zoomed(Message):
        """Show `factor` times as many steps around a step, or values where it is None."""

        def __init__(self, factor: float, step: int | None) -> None:
            super().__init__()
            self.factor, self.step = factor, step

    class Panned(Message):
        """Move the view by a share of its width."""

        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

    def __init__(
        self,
        title: str,
        *,
        scale: ScaleName = "linear",
        zero: bool = False,
        nothing: str = _NOTHING,
        hint: str = "",
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.title, self.own_scale, self.zero, self.nothing = title, scale, zero, nothing
        self.hint = hint
        self.curves: tuple[Curve, ...] = ()
        self.marks: tuple[PlotMark, ...] = ()
        self.lanes: tuple[Lane, ...] = ()
        self.viewport = Viewport()
        self.ascii_only = False
        self.frame: Frame | None = None
        self._averages: dict[tuple[str, float], Smoothed] = {}
        self._strips: list[Strip] | None = None
        self._shown: tuple[object, ...] = ()

    def show(
        self,
        curves: Sequence[Curve],
        marks: Sequence[PlotMark],
        viewport: Viewport,
        ascii_only: bool = False,
        lanes: Sequence[Lane] = (),
    ) -> None:
        """Draw these curves, where they differ from what is drawn."""
        drawn = tuple((c.label, id(c.view), c.number) for c in curves)
        key = (self.title, drawn, tuple(marks), viewport, ascii_only, tuple(lanes))
        if key != self._shown:
            self._shown = key
            self.curves, self.marks = tuple(curves), tuple(marks)
            self.viewport, self.ascii_only, self.lanes = viewport, ascii_only, tuple(lanes)
            self._redraw()

    def plot(self) -> Plot:
        """What is drawn, as data."""
        lines = list(self._lines())
        view = self.viewport
        scale = view.scale or self.own_scale
        plot = Plot(
            lines, self.marks, view.window, scale, self.zero, None, view.cursor, self.ascii_only,
            self.lanes,
        )  # fmt: skip
        return plot if view.stretch == 1 else _stretched(plot, view.stretch, self.size.width)

    @override
    def render_line(self, y: int) -> Strip:
        if self._strips is None:
            self._strips = self._drawn()
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.rich_style)

    @override
    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips = None

    def on_resize(self) -> None:
        """Draw again for the new size."""
        self._redraw()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Move the crosshair, or the view while the button is down."""
        if event.button == 0:
            self._point(event.x)
        elif self.frame is not None and event.delta_x:
            self.post_message(self.Panned(-event.delta_x / self.frame.columns))

    def on_click(self, event: events.Click) -> None:
        """Put the crosshair there."""
        self._point(event.x)

    def on_leave(self) -> None:
        """Take the crosshair away with the mouse."""
        self.post_message(self.Pointed(None))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in."""
        self._zoom(0.8, event)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out."""
        self._zoom(1.25, event)

    def _zoom(self, factor: float, event: events.MouseEvent) -> None:
        event.stop()
        if self.frame is not None:
            is_values = event.shift or event.ctrl
            step = None if is_values else self.frame.step_at(event.x)
            self.post_message(self.Zoomed(factor, step))

    def _point(self, x: int) -> None:
        if self.frame is not None and x >= self.frame.left:
            self.post_message(self.Pointed(self.frame.step_at(x)))

    def _redraw(self) -> None:
        self._strips = None
        self.refresh()

    def _lines(self) -> Sequence[PlotLine]:
        weight = self.viewport.smoothing
        numbered = [(n if c.number is None else c.number, c) for n, c in enumerate(self.curves)]
        if not weight:
            return [PlotLine(c.label, c.view, n) for n, c in numbered]
        raw = [PlotLine(c.label, c.view, n, is_faint=True) for n, c in numbered]
        return raw + [PlotLine(c.label, self._average(c, weight), n) for n, c in numbered]

    def _average(self, curve: Curve, weight: float) -> ColumnView:
        average = self._averages.setdefault((curve.label, weight), Smoothed(weight))
        return average.update(curve.view)

    def _drawn(self) -> list[Strip]:
        width, height = self.size
        styles = chart_styles(self.app.current_theme)
        cells, self.frame = draw_plot(self.plot(), width, height - 1)
        if self.frame is None and cells.height > 0:
            cells.put(cells.height // 2, 2, self.nothing[: max(0, width - 2)], "note")
        legend = Legend(
            self.title, self.curves, self.viewport, self.own_scale, self.ascii_only, self.hint
        )
        head = strip_of(legend.fitted(width), styles, width, self.rich_style)
        return [head, *strips_of(cells, styles, self.rich_style)]


def _stretched(plot: Plot, stretch: float, width: int) -> Plot:
    """The same with a wider or narrower range of values around its middle."""
    _, frame = draw_plot(plot, max(20, width), 10)
    if frame is None:
        return plot
    scale = frame.scale
    low, high = scale.value_at(0.5 - stretch / 2), scale.value_at(0.5 + stretch / 2)
    return replace(plot, values=(low, high))
