"""Runs side by side as a screen."""

from pathlib import Path

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer

from tui.compare.pane import ComparePane
from vtk.runs.store import RunPaths


class CompareScreen(Screen[None]):
    """Compares runs of one folder.

    Args:
        paths: The run that the user comes from.
        runs_dir: The folder of all runs; the run's own by default.
        ascii_only: Draw with ASCII characters only.
    """

    def __init__(
        self, paths: RunPaths, runs_dir: Path | None = None, *, ascii_only: bool = False
    ) -> None:
        super().__init__()
        self.paths, self.runs_dir, self.ascii_only = paths, runs_dir, ascii_only

    def compose(self) -> ComposeResult:
        """The comparison and the keys."""
        yield ComparePane(self.paths, self.runs_dir, ascii_only=self.ascii_only)
        yield Footer()
