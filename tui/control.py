"""What can be asked of a run: each request in words, and what it will do."""

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tui.facts import RESUMABLE_STAGES, current_beta, status_of
from tui.source import Snapshot
from vtk.format import format_number


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: its key in the menu, its name in the mailbox, its title, what it does."""

    key: str
    action: str
    title: str
    what: str


ASKS: Final[tuple[Ask, ...]] = (
    Ask("k", "checkpoint", "Checkpoint now", "saves a checkpoint after the current step"),
    Ask("p", "pause", "Pause", "waits before the next step, with everything in memory"),
    Ask("g", "resume", "Go on", "ends a pause"),
    Ask("v", "eval", "Evaluate now", "asks the held-out questions after the current step"),
    Ask("b", "set_beta", "Set beta", "changes the KL coefficient from the next step on"),
    Ask("x", "stop", "Stop after this step", "saves a checkpoint and ends; it can be resumed"),
)


def refusal(snapshot: Snapshot, is_read_only: bool) -> str | None:
    """Why nothing can be asked now, with the way out; None if it can."""
    if is_read_only:
        return "this dashboard was opened with --read-only: open it without to ask for something"
    if snapshot.playback is not None:
        return "this is a replay: press r to go back to the run's present"
    if snapshot.paths is None:
        return "there is no run yet"
    state = snapshot.state
    if state.stage == "eval":
        return (
            "an evaluation takes no requests: Ctrl-C stops its command, and repeating that goes on"
        )
    if not state.is_live:
        run = shlex.quote(str(snapshot.paths.root))
        again = f"; go on with it: vtk train-{state.stage} --resume {run}"
        may_resume = state.stage in RESUMABLE_STAGES and state.status != "finished"
        return f"the run is {state.status}, nothing listens{again if may_resume else ''}"
    return None


def question(ask: Ask, snapshot: Snapshot, run_id: str, args: Mapping[str, float]) -> str:
    """What the user is asked to confirm, and of which run."""
    words = ask.what
    if "beta" in args:
        old = current_beta(snapshot)
        words = f"{words}: {format_number(old)} to {format_number(args['beta'])}"
    return f"{ask.title}? The run {run_id} {words}."


def parse_beta(text: str) -> float:
    """The number that a user typed.

    Raises:
        ValueError: It is no finite number; the message says what is wanted.
    """
    try:
        value = float(text.strip().replace("−", "-"))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("a number is wanted, for instance -0.01: negative repels, 0 is off")
    return value


def is_waiting(snapshot: Snapshot, action: str) -> bool:
    """Whether that request lies in the mailbox already."""
    return any(request.action == action for request in snapshot.state.pending_requests)


def listens_when(snapshot: Snapshot) -> str:
    """When the run looks into its mailbox."""
    is_paused = status_of(snapshot) == "paused"
    return "It looks a few times a second." if is_paused else "It looks after each step."
