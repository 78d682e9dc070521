"""The app's side of the mailbox: choose, confirm, write, and tell what the run answered."""

from functools import partial
from typing import TYPE_CHECKING

from tui.control import Ask, question, refusal
from tui.facts import current_beta, is_refused
from tui.screens.dialogs import AskBeta, Confirm, ControlMenu
from tui.source import Snapshot
from vtk.errors import VtkError
from vtk.format import visible_text
from vtk.runs.control import request

if TYPE_CHECKING:
    from tui.app import DashboardApp


class Requests:
    """Asks the run for things, one dialog after another; each is written by the poller's thread.

    Args:
        app: Shows the dialogs.
    """

    def __init__(self, app: "DashboardApp") -> None:
        self.app = app
        self._waiting: set[str] = set()

    def begin(self) -> None:
        """Show what can be asked, or say why nothing can."""
        problem = refusal(self.app.snapshot, self.app.read_only)
        if problem is not None:
            self.app.say(problem, severity="warning")
        else:
            self.app.push_screen(ControlMenu(self.app.snapshot), self._chosen)

    def note(self, snapshot: Snapshot) -> None:
        """Tell what the run answered to what was asked from here."""
        for record in snapshot.state.controls:
            if record.id in self._waiting:
                self._waiting.discard(record.id)
                answer = f"{record.action}: {record.result}"
                self.app.say(answer, severity="warning" if is_refused(record) else "information")

    def _chosen(self, ask: Ask | None) -> None:
        if ask is None:
            return
        if ask.action == "set_beta":
            old = current_beta(self.app.snapshot)
            self.app.push_screen(AskBeta(old), partial(self._beta_typed, ask))
        else:
            self._confirm(ask, {})

    def _beta_typed(self, ask: Ask, beta: float | None) -> None:
        if beta is not None:
            self._confirm(ask, {"beta": beta})

    def _confirm(self, ask: Ask, args: dict[str, float]) -> None:
        words = question(ask, self.app.snapshot, args)
        self.app.push_screen(Confirm(words), partial(self._answered, ask, args))

    def _answered(self, ask: Ask, args: dict[str, float], is_yes: bool | None) -> None:
        if is_yes:
            self.app.poller.soon(partial(self._write, ask, args))

    def _write(self, ask: Ask, args: dict[str, float]) -> None:
        """In the poller's thread: the run's folder may be on a slow disk."""
        paths = self.app.snapshot.paths
        if paths is None:
            return
        try:
            made = request(paths, ask.action, **args)
        except VtkError as error:
            self.app.call_from_thread(self.app.say, visible_text(error.message), severity="error")
        else:
            self._waiting.add(made.id)
