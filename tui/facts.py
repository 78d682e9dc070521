"""What the header says of a run: status, progress, models, and beta in words."""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from textual.content import Content

from tui.literal import joined, literal
from tui.source import Snapshot
from vtk.format import (
    MISSING,
    format_age_s,
    format_count,
    format_duration_s,
    format_number,
    format_percent,
)
from vtk.runs.events import is_finite
from vtk.runs.snapshot import ControlRecord, RunState

STATUS_SIGNS: Final[Mapping[str, tuple[str, str, str]]] = {
    "created": ("○", ".", "$foreground-muted"),
    "running": ("●", "*", "bold $success"),
    "paused": ("‖", "=", "bold $warning"),
    "finished": ("■", "#", "bold $success"),
    "stopped": ("‖", "=", "bold $warning"),
    "failed": ("✗", "X", "bold $error"),
    "lost": ("?", "?", "bold $error"),
    "replay": ("▶", ">", "bold $primary"),
}
"""Status to its sign, the same in ASCII, and its style."""

RESUMABLE_STAGES: Final = ("bias", "cdpo", "grpo")
"""Stages with a command `vtk train-STAGE` that goes on with a run."""

_SEPARATOR: Final = " · "
_REFUSED: Final = "refused"


def status_of(snapshot: Snapshot) -> str:
    """The status as people see it: a live run between two steps may be paused."""
    if snapshot.playback is not None:
        return "replay"
    state = snapshot.state
    return "paused" if state.status == "running" and state.phase == "paused" else state.status


def first_line(snapshot: Snapshot, ascii_only: bool = False) -> Content:
    """Run, stage, status and why that is its status."""
    if snapshot.waiting_for is not None:
        waiting = literal(snapshot.waiting_for, "bold $warning")
        return joined(waiting, literal(" - looking again", "$foreground-muted"))
    state, status = snapshot.state, status_of(snapshot)
    sign, ascii_sign, style = STATUS_SIGNS[status]
    words = f"{ascii_sign if ascii_only else sign} {status}"
    reason = f"as it was then: {state.status}" if status == "replay" else state.status_reason
    return joined(
        literal(state.run_id, "bold", 60),
        literal(f"  {state.stage or 'unknown stage'}  ", max_chars=40),
        literal(words, style),
        literal(f"  {reason}", "$foreground-muted"),
    )


def second_line(snapshot: Snapshot) -> Content:
    """Progress: step, phase, time worked and left, pace."""
    if snapshot.waiting_for is not None:
        return literal("The dashboard opens the run as soon as it is there.", "$foreground-muted")
    if snapshot.is_reading:
        return literal(f"reading its log: {format_count(snapshot.state.num_events)} events so far")
    return literal(_SEPARATOR.join(_progress(snapshot)))


def third_line(snapshot: Snapshot) -> Content:
    """What is trained, away from what, how strongly."""
    if snapshot.waiting_for is not None:
        return Content("")
    model = snapshot.setting("model.path")
    parts = [] if model is None else [f"model {model}"]
    return literal(_SEPARATOR.join([*parts, beta_in_words(snapshot)]), "$foreground-muted")


def beta_in_words(snapshot: Snapshot) -> str:
    """What the KL term does: as the run said it, and what was asked of it since."""
    said = snapshot.state.objective or _objective_of_settings(snapshot)
    changed = _last_change_of_beta(snapshot.state)
    if changed is None:
        return said
    return f"beta set to {format_number(changed)} ({_effect(changed)}); it began: {said}"


def current_beta(snapshot: Snapshot) -> float | None:
    """The coefficient in force, as far as the log and the configuration say."""
    changed = _last_change_of_beta(snapshot.state)
    configured = snapshot.setting("objective.beta")
    return changed if changed is not None else configured if is_finite(configured) else None


def pending_line(snapshot: Snapshot) -> str:
    """What was asked of the run and not yet confirmed; empty if nothing was."""
    return ", ".join(
        f"{request.action} ({format_age_s(snapshot.now - request.time)})"
        for request in snapshot.state.pending_requests
    )


def is_refused(record: ControlRecord) -> bool:
    """Whether the run answered a request with a no."""
    return record.result.startswith(_REFUSED)


def _progress(snapshot: Snapshot) -> Iterable[str]:
    state = snapshot.state
    yield _step(state)
    if state.eta_s is not None and state.is_live and state.step < (state.num_steps or 0):
        yield f"{format_duration_s(state.eta_s)} left"
    if state.phase is not None and state.is_live:
        since = None if state.phase_started is None else snapshot.now - state.phase_started
        yield state.phase if since is None else f"{state.phase} {format_age_s(since)}"
    if "perf/step_s" in state.metrics:
        yield f"{format_duration_s(state.metrics['perf/step_s'])}/step"
    if "perf/tokens_per_s" in state.metrics:
        yield f"{format_number(state.metrics['perf/tokens_per_s'], 3)} tokens/s"
    yield f"worked {format_duration_s(state.elapsed_s)}"
    if len(state.attempts) > 1:
        latest = state.attempts[-1]
        yield f"attempt {latest.number} from step {latest.resumed_from_step or 0}"


def _step(state: RunState) -> str:
    if not state.num_steps:
        return f"step {format_count(state.step)}"
    share = format_percent(state.step / state.num_steps, 0)
    return f"step {format_count(state.step)}/{format_count(state.num_steps)} ({share})"


def _last_change_of_beta(state: RunState) -> float | None:
    for record in reversed(state.controls):
        value = record.args.get("beta")
        is_done = record.action == "set_beta" and not is_refused(record)
        if is_done and is_finite(value) and _is_kept(record, state):
            return float(value)
    return None


def _is_kept(record: ControlRecord, state: RunState) -> bool:
    """Whether each attempt since has begun from a checkpoint that was saved after the change."""
    saved = {checkpoint.step: checkpoint.time for checkpoint in state.checkpoints}
    for attempt in state.attempts:
        if attempt.time > record.time:
            began, step = attempt.resumed_from_step, record.step or 0
            if began is None or step > began:
                return False
            if step == began and record.time > saved.get(began, math.inf):
                return False
    return True


def _objective_of_settings(snapshot: Snapshot) -> str:
    beta, reference = snapshot.setting("objective.beta"), snapshot.setting("reference.path")
    if not is_finite(beta):
        return f"beta {MISSING}"
    where = f" against {reference}" if reference else ""
    return f"beta {format_number(beta)}{where}: {_effect(beta)}"


def _effect(beta: float) -> str:
    if beta == 0:
        return "no KL term"
    return "repels" if beta < 0 else "attracts"
