"""The samples of one run as a screen."""

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer

from tui.samples.pane import SamplesPane
from vtk.runs.store import RunPaths


class SamplesScreen(Screen[None]):
    """Browses the completions of a run.

    Args:
        paths: The run.
        ascii_only: Draw with ASCII characters only.
    """

    def __init__(self, paths: RunPaths, *, ascii_only: bool = False) -> None:
        super().__init__()
        self.paths, self.ascii_only = paths, ascii_only

    def compose(self) -> ComposeResult:
        """The browser and the keys."""
        yield SamplesPane(self.paths, ascii_only=self.ascii_only)
        yield Footer()
