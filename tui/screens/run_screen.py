"""What every screen of one run has: the tabs, the header, the line of alerts, the footer."""

from abc import ABCMeta, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.content import Content
from textual.dom import DOMNode
from textual.message_pump import _MessagePumpMeta
from textual.screen import Screen
from textual.widget import Widget

from tui import keys
from tui.alerts import alert_line
from tui.facts import first_line, pending_line, second_line, third_line
from tui.literal import joined, lines, literal
from tui.plot_parts import extent
from tui.series import ColumnView
from tui.source import Snapshot
from tui.viewport import Viewport
from tui.widgets.chart import Chart
from tui.widgets.keys_footer import KeysFooter
from tui.widgets.panels import Panel
from tui.widgets.playbar import PlayBar
from tui.widgets.tabs import Tabs

if TYPE_CHECKING:
    from tui.app import DashboardApp

_WIDTHS = [(0, "-narrow"), (100, "-wide"), (160, "-very-wide")]
_HEIGHTS = [(0, "-short"), (24, "-middle"), (38, "-tall")]


class _AbstractScreen(_MessagePumpMeta, ABCMeta):
    """Textual's own class of classes, which refuses to make what lacks a method as well."""


class RunScreen(Screen[None], metaclass=_AbstractScreen):
    """A screen that shows snapshots; subclasses give `body` and `show_body`."""

    BINDINGS = keys.bindings("charts")
    HORIZONTAL_BREAKPOINTS = _WIDTHS
    VERTICAL_BREAKPOINTS = _HEIGHTS
    screen_name: ClassVar[str] = ""
    places: ClassVar[tuple[keys.Where, ...]] = ("charts",)

    def __init__(self) -> None:
        super().__init__()
        self._own = Viewport()
        self.snapshot = Snapshot()

    @property
    def dashboard(self) -> "DashboardApp":
        """The app."""
        return cast("DashboardApp", self.app)

    @property
    def actor(self) -> DOMNode:
        """What does the actions of this screen's own keys."""
        return self

    @property
    def viewport(self) -> Viewport:
        """The steps that all screens share, with this screen's own scale of values."""
        shared, own = self.dashboard.viewport, self._own
        views = self._views()
        seen = shared.reaching(extent(views)) if any(map(len, views)) else shared
        return replace(seen, scale=own.scale, stretch=own.stretch)

    def compose(self) -> ComposeResult:
        """Tabs, header, what the subclass shows, alerts, replay, footer."""
        yield Tabs(self.dashboard.tabs(), self.screen_name)
        yield Panel(_header, id="header")
        yield from self.body()
        yield Panel(_notices, id="alert-line", on_click=lambda: self.dashboard.open("alerts"))
        yield PlayBar(id="play-bar")
        yield KeysFooter()

    @abstractmethod
    def body(self) -> Iterable[Widget]:
        """What lies between header and footer."""

    @abstractmethod
    def show_body(self, snapshot: Snapshot) -> None:
        """Show a snapshot in the body."""

    def on_mount(self) -> None:
        """Show what is known already."""
        self.show(self.dashboard.snapshot)

    def on_screen_resume(self) -> None:
        """Show what came while another screen was in front."""
        self.show(self.dashboard.snapshot)

    def on_resize(self) -> None:
        """Lines that fit elsewhere are cut anew."""
        self.call_after_refresh(lambda: self.show(self.snapshot))

    def show(self, snapshot: Snapshot) -> None:
        """Show a snapshot."""
        if not self.is_current or not self.query(PlayBar):  # not composed yet, or leaving
            return
        self.snapshot = snapshot
        ascii_only = self.dashboard.ascii_only
        for panel_id in ("header", "alert-line"):
            self.query_one(f"#{panel_id}", Panel).show(snapshot, ascii_only)
        self.query_one(PlayBar).show(snapshot, ascii_only)
        self.show_body(snapshot)

    def action_cursor(self, by: int) -> None:
        """Move the crosshair; without a step there is none."""
        if any(map(len, self._views())):
            self._change(self.viewport.moved(by, self._extent(), self._num_columns()))

    def action_no_cursor(self) -> None:
        """Take the crosshair away."""
        self._change(replace(self.viewport, cursor=None))

    def action_zoom(self, factor: float) -> None:
        """Show `factor` times as many steps."""
        self._change(self.viewport.zoomed(factor, self._extent(), None))

    def action_pan(self, share: float) -> None:
        """Move the view by a share of its width."""
        self._change(self.viewport.panned(share, self._extent()))

    def action_zoom_values(self, factor: float) -> None:
        """Show `factor` times the range of values."""
        stretch = min(16.0, max(1 / 64, self.viewport.stretch * factor))
        self._change(replace(self.viewport, stretch=stretch))

    def action_reset_zoom(self) -> None:
        """Show all steps and values."""
        self._change(replace(self.viewport, window=None, stretch=1.0))

    def action_smooth(self) -> None:
        """Go to the next smoothing."""
        self._change(self.viewport.smoothed_next())

    def action_scale(self) -> None:
        """Go to the next scale."""
        self._change(self.viewport.scaled_next())

    def on_chart_pointed(self, message: Chart.Pointed) -> None:
        """The mouse moves the crosshair of all charts; a screen that it leaves keeps its own."""
        if self.is_current:
            self._change(replace(self.viewport, cursor=message.step))

    def on_chart_zoomed(self, message: Chart.Zoomed) -> None:
        """The wheel zooms."""
        if message.step is None:
            self.action_zoom_values(message.factor)
        else:
            self._change(self.viewport.zoomed(message.factor, self._extent(), message.step))

    def on_chart_panned(self, message: Chart.Panned) -> None:
        """Dragging pans."""
        self.action_pan(message.share)

    def _views(self) -> Sequence[ColumnView]:
        """What is drawn over steps."""
        return [curve.view for chart in self.query(Chart) for curve in chart.curves]

    def _num_columns(self) -> int:
        """How many places for the crosshair there are across."""
        frames = (chart.frame for chart in self.query(Chart))
        return max((frame.columns for frame in frames if frame is not None), default=60)

    def _extent(self) -> tuple[float, float]:
        return extent(self._views())

    def _change(self, viewport: Viewport) -> None:
        self.dashboard.viewport = self._own = viewport
        self.show(self.snapshot)


def _header(snapshot: Snapshot, width: int, height: int, ascii_only: bool) -> Content:
    rows = [first_line(snapshot, ascii_only), second_line(snapshot), third_line(snapshot)]
    return lines(rows[: max(2, height)], width)


def _notices(snapshot: Snapshot, width: int, height: int, ascii_only: bool) -> Content:
    """One line: what is asked for, what the files say is wrong, the newest alert."""
    del height, ascii_only
    state, parts = snapshot.state, list[Content]()
    waiting = pending_line(snapshot)
    if waiting:
        parts.append(literal(f"asked, not yet done: {waiting}  ", "bold $warning"))
    if snapshot.newer_run is not None:
        parts.append(literal(f"newer run {snapshot.newer_run}: press n  ", "bold $primary"))
    if state.num_unreadable_lines:
        parts.append(literal(f"{state.num_unreadable_lines} unreadable lines  ", "$warning"))
    parts.extend(literal(problem + "  ", "$warning", 120) for problem in state.problems[:2])
    parts.append(alert_line(snapshot))
    return lines([joined(*parts)], width)
