"""The trail on the screen: draws `tui.trail_plot`; the mouse chooses the step nearest to it."""

from typing import ClassVar, Final

from textual import events

from tui.plot_parts import Cells
from tui.trail import Trail
from tui.trail_plot import draw_trail, step_near
from tui.viewport import Viewport
from tui.widgets.chart import Chart
from tui.widgets.picture import Picture

_NOTHING: Final = "no step with a signed KL yet: only a run with a bias model (train-cdpo) has one"
_OUT_OF_SIGHT: Final = "no step with a signed KL among those in sight: 0 shows all"


class TrailView(Picture):
    """Reward against distance, of the steps in sight.

    Args:
        id: Of the widget.
    """

    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(self._cells, id=id)
        self._whole: Trail | None = None
        self._part: Trail | None = None
        self._viewport = Viewport()
        self._ascii_only = False

    def show(self, trail: Trail | None, viewport: Viewport, ascii_only: bool) -> None:
        """Draw the steps in sight, where they or the crosshair differ from what is drawn."""
        shown = (self._whole, self._viewport.window, self._viewport.cursor, self._ascii_only)
        if shown[0] is trail and shown[1:] == (viewport.window, viewport.cursor, ascii_only):
            return
        self._whole, self._viewport, self._ascii_only = trail, viewport, ascii_only
        self._part = None if trail is None else trail.within(viewport.window)
        self.redraw()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Put the crosshair on the step nearest to the mouse."""
        self._point(event)

    def on_click(self, event: events.Click) -> None:
        """Put the crosshair there."""
        self._point(event)

    def on_leave(self) -> None:
        """Take the crosshair away with the mouse."""
        self.post_message(Chart.Pointed(None))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in."""
        self._zoom(0.8, event)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out."""
        self._zoom(1.25, event)

    def _point(self, event: events.MouseEvent) -> None:
        step = self._step_at(event)
        if step is not None:
            self.post_message(Chart.Pointed(step))

    def _zoom(self, factor: float, event: events.MouseEvent) -> None:
        event.stop()
        step = self._step_at(event)
        if step is not None:
            self.post_message(Chart.Zoomed(factor, step))

    def _step_at(self, event: events.MouseEvent) -> int | None:
        return None if self._part is None else step_near(self._part, *self.size, event.x, event.y)

    def _cells(self, width: int, height: int) -> Cells:
        if self._part is not None:
            cursor = self._viewport.cursor
            return draw_trail(self._part, width, height, self._ascii_only, cursor)
        cells = Cells(width, height)
        said = _NOTHING if self._whole is None else _OUT_OF_SIGHT
        cells.put(height // 2, 2, said[: max(0, width - 2)], "note")
        return cells
