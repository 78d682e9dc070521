"""The app's side of the mailbox: choose, confirm, write, and tell what the run answered."""

from functools import partial
from typing import TYPE_CHECKING

from tui.control import Ask, question, refusal
from tui.facts import current_beta, is_refused
from tui.screens.dialogs import AskBeta, Confirm, ControlMenu
from tui.source import Snapshot
from vtk.errors import VtkError
from vtk.runs.control import request
from vtk.runs.store import RunPaths

if TYPE_CHECKING:
    from tui.app import DashboardApp


class Requests:
    """Asks the run for things, one dialog after another; each is written by the poller's thread.

    It is the run of the first dialog that is asked, also if its folder cannot be read meanwhile.

    Args:
        app: Shows the dialogs.
    """

    def __init__(self, app: "DashboardApp") -> None:
        self.app = app
        self._waiting: set[str] = set()

    def begin(self) -> None:
        """Show what can be asked, or say why nothing can."""
        problem = refusal(self.app.snapshot, self.app.read_only)
        paths = self.app.snapshot.paths
        if problem is not None or paths is None:
            self.app.say(problem or "there is no run yet", severity="warning")
        else:
            chosen = partial(self._chosen, paths)
            self.app.push_screen(ControlMenu(self.app.snapshot), chosen)

    def note(self, snapshot: Snapshot) -> None:
        """Tell what the run answered to what was asked from here."""
        for record in snapshot.state.controls:
            if record.id in self._waiting:
                self._waiting.discard(record.id)
                answer = f"{record.action}: {record.result}"
                self.app.say(answer, severity="warning" if is_refused(record) else "information")

    def _chosen(self, paths: RunPaths, ask: Ask | None) -> None:
        if ask is None:
            return
        if ask.action == "set_beta":
            old = current_beta(self.app.snapshot)
            self.app.push_screen(AskBeta(old), partial(self._beta_typed, paths, ask))
        else:
            self._confirm(paths, ask, {})

    def _beta_typed(self, paths: RunPaths, ask: Ask, beta: float | None) -> None:
        if beta is not None:
            self._confirm(paths, ask, {"beta": beta})

    def _confirm(self, paths: RunPaths, ask: Ask, args: dict[str, float]) -> None:
        words = question(ask, self.app.snapshot, paths.run_id, args)
        self.app.push_screen(Confirm(words), partial(self._answered, paths, ask, args))

    def _answered(
        self, paths: RunPaths, ask: Ask, args: dict[str, float], is_yes: bool | None
    ) -> None:
        if is_yes:
            self.app.poller.soon(partial(self._write, paths, ask, args))

    def _write(self, paths: RunPaths, ask: Ask, args: dict[str, float]) -> None:
        """In the poller's thread: the run's folder may be on a slow disk."""
        try:
            made = request(paths, ask.action, **args)
        except VtkError as error:
            # A message, and no call that is waited for: the app may be waiting for this thread.
            self.app.call_later(self.app.say, error.message, severity="error")
        else:
            self._waiting.add(made.id)
