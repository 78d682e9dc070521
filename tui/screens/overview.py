"""The first screen: reward, distance from the bias model, memory, accuracy per question type."""

from collections.abc import Iterable
from typing import ClassVar, Final

from textual.containers import Container, Vertical
from textual.content import Content
from textual.widget import Widget
from typing_extensions import override

from tui.accuracy import accuracies, accuracy_content
from tui.curves import curves_of, marks_of
from tui.devices import devices_content
from tui.screens.run_screen import RunScreen
from tui.source import Snapshot
from tui.widgets.chart import Chart
from tui.widgets.panels import Panel

_MORE: Final = {
    "entropy": "entropy",
    "length": "completion length",
    "accuracy": "answers right",
    "loss": "loss",
    "gradient": "gradient norm",
}
"""Charts that stand below the four where there is room."""


class OverviewScreen(RunScreen):
    """Four things at every size; more charts below them on a large screen."""

    screen_name: ClassVar[str] = "overview"

    @override
    def body(self) -> Iterable[Widget]:
        """The four, and what else there is room for."""
        yield Container(
            Chart("reward", id="reward"),
            Chart(
                "signed KL",
                scale="symlog",
                zero=True,
                nothing="no KL yet: this run has no bias model, or no step is done",
                hint="away from bias model",
                id="kl",
            ),
            Vertical(
                Panel(_devices, id="devices"),
                Chart("memory", nothing="no reading yet", id="memory"),
                id="device-cell",
            ),
            Panel(_accuracy, id="accuracy-panel"),
            id="four",
        )
        charts = [Chart(title, zero=name == "loss", id=name) for name, title in _MORE.items()]
        yield Container(*charts, id="more")

    @override
    def show_body(self, snapshot: Snapshot) -> None:
        """Show a snapshot in every panel."""
        ascii_only = self.dashboard.ascii_only
        marks, viewport = marks_of(snapshot), self.viewport
        for chart in self.query(Chart):
            curves = curves_of(snapshot.state, chart.id or "")
            chart.show(curves, marks, viewport, ascii_only)
        for panel_id in ("devices", "accuracy-panel"):
            self.query_one(f"#{panel_id}", Panel).show(snapshot, ascii_only)


def _devices(snapshot: Snapshot, width: int, height: int, ascii_only: bool) -> Content:
    return devices_content(snapshot.state.gpu, snapshot.now, width, height, ascii_only)


def _accuracy(snapshot: Snapshot, width: int, height: int, ascii_only: bool) -> Content:
    del height
    return accuracy_content(accuracies(snapshot.state), width, ascii_only)
