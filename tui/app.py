"""The dashboard: one run on several screens, followed while it grows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from textual.app import App
from textual.message import Message
from textual.screen import Screen

from tui import keys
from tui.poller import Poller
from tui.screens.overview import OverviewScreen
from tui.screens.run_screen import RunScreen
from tui.source import LiveSource, Snapshot, Source
from tui.theme import THEMES
from tui.widgets.tabs import Tabs

DEFAULT_FPS: Final = 2.0


@dataclass(frozen=True, slots=True)
class ScreenEntry:
    """One screen of the dashboard: its key, name, title, and what makes it."""

    key: str
    name: str
    title: str
    make: Callable[["DashboardApp"], Screen[None]]


SCREENS: Final[tuple[ScreenEntry, ...]] = (
    ScreenEntry("1", "overview", "Overview", lambda _: OverviewScreen()),
)
"""All screens, in the order of their keys."""


class DashboardApp(App[None]):
    """Shows what a source gives.

    Args:
        source: Where snapshots come from.
        runs_dir: The folder of all runs.
        fps: Looks a second.
        read_only: Ask the run for nothing.
        ascii_only: Draw with ASCII characters only.
    """

    TITLE = "vtk dashboard"
    CSS_PATH = "app.tcss"
    BINDINGS = [*keys.bindings("app"), *keys.bindings("replay")]  # noqa: RUF012

    class Arrived(Message):
        """The poller has a new snapshot."""

    def __init__(
        self,
        source: Source,
        runs_dir: Path,
        *,
        fps: float = DEFAULT_FPS,
        read_only: bool = False,
        ascii_only: bool = False,
    ) -> None:
        super().__init__()
        self.runs_dir, self.read_only, self.ascii_only = runs_dir, read_only, ascii_only
        self.snapshot = Snapshot()
        self.poller = Poller(source, 1 / fps, self._tell)
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name
        for entry in SCREENS:
            self._bindings.bind(entry.key, f"open('{entry.name}')", entry.title, show=False)
            self.add_mode(entry.name, partial(entry.make, self))

    def _tell(self) -> None:
        self.post_message(self.Arrived())

    def tabs(self) -> list[tuple[str, str, str]]:
        """Key, name and title of every screen."""
        return [(entry.key, entry.name, entry.title) for entry in SCREENS]

    def on_mount(self) -> None:
        """Open the first screen and begin to read."""
        self.switch_mode(SCREENS[0].name)
        self.poller.start()

    def on_unmount(self) -> None:
        """Stop reading."""
        self.poller.close()

    def on_dashboard_app_arrived(self) -> None:
        """Hand the newest snapshot to the screen in front."""
        snapshot = self.poller.take()
        if snapshot is not None:
            self.snapshot = snapshot
            if isinstance(self.screen, RunScreen):
                self.screen.show(snapshot)

    def open(self, name: str) -> None:
        """Bring a screen to the front."""
        self.switch_mode(name)

    def action_open(self, name: str) -> None:
        """Bring a screen to the front."""
        self.open(name)

    def on_tabs_chosen(self, message: Tabs.Chosen) -> None:
        """A tab was clicked."""
        self.open(message.name)

    def action_next_theme(self) -> None:
        """Go to the next of our themes."""
        names = [theme.name for theme in THEMES]
        index = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(index + 1) % len(names)]


def run_dashboard(
    runs_dir: Path,
    ref: str | None,
    *,
    fps: float = DEFAULT_FPS,
    read_only: bool = False,
    ascii_only: bool = False,
) -> None:
    """Open the dashboard on this terminal until the user leaves it.

    Args:
        runs_dir: The folder of all runs.
        ref: A run's id, its beginning or a path; None is the newest run.
        fps: Looks a second.
        read_only: Ask the run for nothing.
        ascii_only: Draw with ASCII characters only.
    """
    source = LiveSource(runs_dir, ref)
    DashboardApp(source, runs_dir, fps=fps, read_only=read_only, ascii_only=ascii_only).run()
