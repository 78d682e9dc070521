"""The dashboard: one run on several screens, followed while it grows."""

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import RenderableType
from textual import work
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.filter import LineFilter
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.screen import Screen
from typing_extensions import override

from tui import keys
from tui.ascii import AsciiFilter
from tui.export import View, export_name, write_files
from tui.graphics.places import Painter, UpdateWithPictures
from tui.keymap import textual_keymap
from tui.plot_parts import extent
from tui.poller import Poller
from tui.replay import ReplaySource
from tui.requests import Requests
from tui.samples.placing import shown_on
from tui.screens.alerts import AlertsScreen
from tui.screens.compare import CompareScreen
from tui.screens.dialogs import Help
from tui.screens.jump import JumpScreen, go_to, targets_of
from tui.screens.overview import OverviewScreen
from tui.screens.repulsion import RepulsionScreen
from tui.screens.run_screen import RunScreen
from tui.screens.samples import SamplesScreen
from tui.series import ColumnView
from tui.source import LiveSource, Snapshot, Source
from tui.theme import THEMES
from tui.viewport import Viewport
from tui.widgets.chart import Chart
from tui.widgets.playbar import PlayBar
from tui.widgets.tabs import Tabs
from vtk.errors import VtkError
from vtk.format import visible_text
from vtk.runs.snapshot import RunState
from vtk.runs.store import RunPaths

DEFAULT_FPS: Final = 2.0
_REPLAY_FPS: Final = 4.0


@dataclass(frozen=True, slots=True)
class ScreenEntry:
    """One screen of the dashboard: its key, name, title, and what makes it."""

    key: str
    name: str
    title: str
    make: Callable[["DashboardApp"], Screen[None]]


SCREENS: Final[tuple[ScreenEntry, ...]] = (
    ScreenEntry("1", "overview", "Overview", lambda _: OverviewScreen()),
    ScreenEntry("2", "repulsion", "Repulsion", lambda _: RepulsionScreen()),
    ScreenEntry("3", "samples", "Samples", lambda _: SamplesScreen()),
    ScreenEntry("4", "compare", "Compare", lambda app: CompareScreen(app.beside)),
    ScreenEntry("5", "alerts", "Alerts", lambda _: AlertsScreen()),
)
"""All screens, in the order of their keys."""
ALL_KEYS: Final = keys.with_screens([(each.key, each.name, each.title) for each in SCREENS])
"""Every action, the screens first."""


class DashboardApp(App[None]):
    """Shows what a source gives.

    Args:
        source: Where snapshots come from.
        runs_dir: The folder of all runs.
        fps: Looks a second.
        read_only: Ask the run for nothing.
        ascii_only: Draw with ASCII characters only.
        export_dir: Where exported views go.
        all_keys: `ALL_KEYS` with the user's keys; those themselves by default.
        beside: Runs to compare, the followed one first; the dashboard opens with them.
        painter: Draws real pictures on the terminal; without one they are cells.
    """

    TITLE = "vtk dashboard"
    CSS_PATH = Path(__file__).with_name("app.tcss")  # found from subclasses elsewhere too
    BINDINGS = [  # noqa: RUF012
        *(key.binding() for key in ALL_KEYS if key.where in ("app", "replay")),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),  # from dialogs too
    ]

    class Arrived(Message):
        """The poller has a new snapshot."""

    class Broke(Message):
        """The poller met what nobody expected, and looks no more."""

        def __init__(self, error: Exception) -> None:
            super().__init__()
            self.error = error

    def __init__(
        self,
        source: Source,
        runs_dir: Path,
        *,
        fps: float = DEFAULT_FPS,
        read_only: bool = False,
        ascii_only: bool = False,
        export_dir: Path | None = None,
        all_keys: Sequence[keys.Key] | None = None,
        beside: Sequence[RunPaths] = (),
        painter: Painter | None = None,
    ) -> None:
        super().__init__()
        self.painter = painter
        self.runs_dir, self.read_only, self.ascii_only = runs_dir, read_only, ascii_only
        self.export_dir = export_dir or Path()
        self.beside: tuple[RunPaths, ...] = tuple(beside)
        self.snapshot, self.viewport = Snapshot(), Viewport()
        self._charted = RunState()
        self.requests = Requests(self)
        self.poller = Poller(source, 1 / fps, self._tell, self._tell_broken)
        self._live_source, self._live_every_s = source, 1 / fps
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name
        for entry in SCREENS:
            self.add_mode(entry.name, partial(entry.make, self))
        self.keys = ALL_KEYS if all_keys is None else tuple(all_keys)
        self.set_keymap(textual_keymap(ALL_KEYS, self.keys))

    def tabs(self) -> list[tuple[str, str, str]]:
        """Key, name and title of every screen."""
        pairs = zip(self.keys, SCREENS, strict=False)
        return [(key.shown, entry.name, entry.title) for key, entry in pairs]

    @override
    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = super().get_line_filters()
        return [*filters, AsciiFilter()] if self.ascii_only else filters

    def on_mount(self) -> None:
        """Open the first screen and begin to read."""
        self.switch_mode("compare" if self.beside else SCREENS[0].name)
        self.poller.start()
        self.app_suspend_signal.subscribe(self, lambda _: self._clear_pictures(), immediate=True)
        self.app_resume_signal.subscribe(self, lambda _: self._paint_anew())

    def on_unmount(self) -> None:
        """Stop reading, and leave no picture in the terminal."""
        self.poller.close()
        self._clear_pictures()

    @override
    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        if self.painter is not None and isinstance(renderable, LayoutUpdate | ChopsUpdate):
            renderable = UpdateWithPictures(renderable, shown_on(screen), self.painter)
        super()._display(screen, renderable)

    def on_dashboard_app_arrived(self) -> None:
        """Hand the newest snapshot to the screen in front."""
        snapshot = self.poller.take()
        if snapshot is not None:
            if snapshot.waiting_for is None:  # else the run is there, and so is what was chosen
                self.viewport = _followed(self.viewport, self._charted, snapshot.state)
                self._charted = snapshot.state
            self.snapshot = snapshot
            self.requests.note(snapshot)
            base = self.screen_stack[0] if self.screen_stack else None
            if isinstance(base, RunScreen):
                base.show(snapshot)

    def on_dashboard_app_broke(self, message: Broke) -> None:
        """End with what the poller met: a screen that stands still would pass for a run that does.

        Raises:
            Exception: Always; Textual prints it and leaves.
        """
        raise message.error

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette: every screen and every action of the table of keys."""
        places = screen.places if isinstance(screen, RunScreen) else ()
        for key in self.keys:
            if key.action != "command_palette" and key.where in ("app", "replay", *places):
                run = partial(self._run_from_palette, key)
                yield SystemCommand(key.label, f"{key.help} Key {key.shown}", run)

    def say(self, words: str, *, severity: SeverityLevel = "information") -> None:
        """Show a note for some seconds; the words are taken literally."""
        self.notify(visible_text(words, 400), severity=severity, markup=False)

    def open(self, name: str) -> None:
        """Bring a screen to the front."""
        if name in {entry.name for entry in SCREENS}:
            self.switch_mode(name)

    def action_open(self, name: str) -> None:
        """Bring a screen to the front."""
        self.open(name)

    def action_help(self) -> None:
        """Show every key."""
        self.push_screen(Help(self.keys, self.read_only))

    def action_jump_to(self) -> None:
        """Show a letter on every panel, and go to the one whose letter is pressed."""
        self.push_screen(JumpScreen(targets_of(self.screen)), go_to)

    def action_control(self) -> None:
        """Ask the run for something."""
        self.requests.begin()

    @override
    def action_suspend_process(self) -> None:
        if self._driver is None or not self._driver.can_suspend:
            self.say("no shell lies behind this screen, so there is nothing to go to")
            return
        super().action_suspend_process()

    def action_next_theme(self) -> None:
        """Go to the next of our themes."""
        names = [theme.name for theme in THEMES]
        index = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(index + 1) % len(names)]

    def action_newer_run(self) -> None:
        """Open the run that was started since."""
        source, newer = self.poller.source, self.snapshot.newer_run
        if isinstance(source, LiveSource) and newer is not None:
            self.poller.soon(partial(source.switch, newer))

    def action_copy_command(self) -> None:
        """Copy the command that opens this run."""
        paths = self.snapshot.paths
        run = self.snapshot.state.run_id if paths is None else str(paths.root)
        command = f"vtk dashboard {shlex.quote(run)}"
        self.copy_to_clipboard(command)
        self.say(f"copied: {command}")

    def action_export(self) -> None:
        """Write this view as files."""
        screen = self.screen
        curves = [
            replace(curve, label=f"{chart.title} {curve.label}".strip())
            for chart in screen.query(Chart)
            for curve in chart.curves
        ]
        state, screen_name = self.snapshot.state, getattr(screen, "screen_name", "view")
        name = export_name(state.run_id, screen_name, state.step)
        self.write_view(View(name, self.export_screenshot(), self.screen_text(), curves))

    @work(thread=True)
    def write_view(self, view: View) -> None:
        """Write the files, off the screen's thread: a picture takes a second or two."""
        files, problem = view.files()
        try:
            written = write_files(self.export_dir, files)
        except VtkError as error:
            self.call_from_thread(self.say, error.message, severity="error")
            return
        self.call_from_thread(self.say, f"written: {', '.join(str(path) for path in written)}")
        if problem:
            self.call_from_thread(self.say, problem, severity="warning")

    def screen_text(self) -> str:
        """The characters on the screen, as lines."""
        strips = self.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips) + "\n"

    def action_replay(self) -> None:
        """Play the run from its beginning, or go back to its present."""
        paths = self.snapshot.paths
        if paths is None:
            return
        if isinstance(self.poller.source, ReplaySource):
            if self._live_source is self.poller.source:
                self.say("this recording has no present to go back to")
                return
            self._follow(self._live_source, self._live_every_s)
        else:
            self._follow(ReplaySource(paths), 1 / _REPLAY_FPS)

    def action_play(self) -> None:
        """Play or hold the replay."""
        self._replay(ReplaySource.toggle)

    def action_seek(self, share: float) -> None:
        """Go forth or back in the replay."""
        self._replay(lambda source: source.seek_by(share))

    def action_speed(self, factor: float) -> None:
        """Change the speed of the replay."""
        self._replay(lambda source: source.change_speed(factor))

    def action_next_alert(self) -> None:
        """Go to the next alert of the replay."""
        self._replay(lambda source: source.seek_alert(1))

    def action_previous_alert(self) -> None:
        """Go to the alert before."""
        self._replay(lambda source: source.seek_alert(-1))

    def on_tabs_chosen(self, message: Tabs.Chosen) -> None:
        """A tab was clicked."""
        self.open(message.name)

    def on_play_bar_toggled(self) -> None:
        """The words of the play bar were clicked."""
        self.action_play()

    def on_play_bar_sought(self, message: PlayBar.Sought) -> None:
        """The line of the play bar was clicked."""
        self._replay(lambda source: source.seek(message.share))

    def _replay(self, do: Callable[[ReplaySource], None]) -> None:
        source = self.poller.source
        if isinstance(source, ReplaySource):
            self.poller.soon(partial(do, source))
        else:
            self.say("nothing is replayed: press r to play this run from its beginning")

    def _follow(self, source: Source, every_s: float) -> None:
        def change() -> None:
            self.poller.source, self.poller.every_s = source, every_s

        self.poller.soon(change)

    def _clear_pictures(self) -> None:
        if self.painter is not None and self._driver is not None:
            self._driver.write(self.painter.clear())

    def _paint_anew(self) -> None:
        """After `fg`: the terminal was another program's, and holds no picture any more."""
        if self.painter is not None:
            self.painter.forget()
        self.screen.refresh()

    async def _run_from_palette(self, key: keys.Key) -> None:
        screen = self.screen
        if key.where in ("app", "replay"):
            await self.run_action(key.action, self)
        elif isinstance(screen, RunScreen):
            await self.run_action(key.action, screen if key.where == "charts" else screen.actor)

    def _tell(self) -> None:
        self.post_message(self.Arrived())

    def _tell_broken(self, error: Exception) -> None:
        self.post_message(self.Broke(error))


def _followed(viewport: Viewport, before: RunState, now: RunState) -> Viewport:
    """The steps in sight, moved on with the run; those of one run mean nothing for another."""
    if before.run_id != now.run_id:
        return replace(viewport, window=None, cursor=None)
    if viewport.window is None:
        return viewport
    return viewport.followed(_end_of(before), _end_of(now))


def _end_of(state: RunState) -> float:
    return extent(view for view in state.history.values() if isinstance(view, ColumnView))[1]
