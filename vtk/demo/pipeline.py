"""Runs the steps of a demo: as many at once as there are lanes, each a real command.

What is done stays done: a step whose command ended well is not run again, an unfinished training
resumes from its newest checkpoint, an unfinished evaluation asks what is missing.
"""

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final, Protocol

from vtk.demo.child import Child, as_typed
from vtk.demo.folder import FORCE_HINT, DemoFolder, Record
from vtk.demo.gauges import BASE_RUN_FACT, Gauges
from vtk.demo.plan import BASE_RUN, Step, resume_arguments
from vtk.demo.schedule import pace, remaining_s, startable
from vtk.errors import ConfigError, DataError, Interrupted, UserInterrupt
from vtk.system.signals import handle_signals

MAX_LANES: Final = 2
_POLL_S: Final = 0.2
_LOOK_EVERY_S: Final = 1.0
_GRACE_S: Final = 60.0
_LEAVING: Final = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class StepView:
    """How far one running step is: a share from 0 to 1 and a few words."""

    step: Step
    fraction: float
    note: str
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class DemoView:
    """How far a demo is: what runs now, how many steps are done, seconds left in all."""

    running: tuple[StepView, ...]
    num_done: int
    num_steps: int
    left_s: float


class Watcher(Protocol):
    """Where a demo reports what it does."""

    def kept(self, step: Step, command: str) -> None:
        """A step was done in an earlier attempt."""

    def started(self, step: Step, command: str) -> None:
        """A step's command starts."""

    def progressed(self, view: DemoView) -> None:
        """Called about once a second."""

    def ended(self, step: Step, wall_s: float) -> None:
        """A step is done, in so many seconds over all attempts."""

    def stopping(self, num_running: int) -> None:
        """Children were asked to save and leave."""


def num_free_lanes() -> int:
    """Two where there are two cores, else one: a step takes one core."""
    if hasattr(os, "sched_getaffinity"):
        return min(MAX_LANES, len(os.sched_getaffinity(0)))
    return min(MAX_LANES, os.cpu_count() or 1)


def shared_environment(folder: DemoFolder) -> dict[str, str]:
    """What every command of a demo finds in its environment.

    One thread each, also on larger machines, because the number of threads decides the last bits of
    a sum.
    """
    return {
        "VTK_DATA_DIR": str(folder.data_dir),
        "VTK_RUNS_DIR": str(folder.runs_dir),
        "VTK_CACHE_DIR": str(folder.cache_dir),
        "OMP_NUM_THREADS": "1",
    }


class Pipeline:
    """One attempt at a demo.

    Args:
        steps: The plan.
        folder: Where.
        record: What earlier attempts did; kept up to date.
        watcher: Told what happens.
        num_lanes: Commands that may run at once.
        environment: Added to each command's.
        repeat: The command that goes on with this demo.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        folder: DemoFolder,
        record: Record,
        watcher: Watcher,
        num_lanes: int,
        environment: Mapping[str, str],
        repeat: str,
    ) -> None:
        self.steps, self.folder, self.record = list(steps), folder, record
        self.watcher, self.num_lanes, self.environment = watcher, num_lanes, environment
        self.repeat = repeat
        self.gauges = Gauges(folder, record)
        self._done: set[str] = set()
        self._running: dict[str, tuple[Step, Child]] = {}
        self._begun_at: dict[str, float] = {}
        self._looked_s = 0.0

    def run(self) -> None:
        """Run every step that is not done.

        Raises:
            VtkError: A command failed; the error has its exit code.
            UserInterrupt: Ctrl-C; the children have saved and left.
            Interrupted: SIGTERM, or the terminal was closed; likewise.
        """
        self._keep_what_is_done()
        hint = f"What is done is kept. Go on with: {self.repeat}"
        with _signals_raise(hint):
            try:
                while len(self._done) < len(self.steps):
                    self._start_what_can()
                    time.sleep(_POLL_S)
                    self._take_what_ended()
                    self._look()
            except KeyboardInterrupt:
                raise UserInterrupt("interrupted", hint) from None
            finally:
                self._stop_all()
        self.watcher.progressed(DemoView((), len(self._done), len(self.steps), 0.0))

    def _keep_what_is_done(self) -> None:
        for step in self.steps:
            record = self.record.of(step.name)
            is_whole = step.gauge.kind == "none" or self.gauges.fraction(step) >= 1.0
            if is_whole and step.gauge.kind == "train" and record.command is None:
                # It ended while nobody waited for it; a finished run cannot be gone on with.
                record.command = as_typed(self._planned(step))
                self.record.write()
            if is_whole and step.gauge.kind == "train":
                self._require_planned(step, record.command)
            if record.command == as_typed(self._planned(step)) and is_whole:
                self._done.add(step.name)
                self.watcher.kept(step, record.command)

    def _require_planned(self, step: Step, made_by: str | None) -> None:
        """A finished run cannot be gone on with, so one of another plan ends the demo."""
        planned = as_typed(self._planned(step))
        if made_by != planned:
            raise ConfigError(
                f"step {step.name} of {self.folder.root} was made by another version of this demo, "
                f"with `{made_by}` instead of `{planned}`",
                FORCE_HINT,
            )

    def _start_what_can(self) -> None:
        for step in startable(self.steps, self._done, self._running, self.num_lanes):
            arguments = self._arguments(step)
            self.watcher.started(step, as_typed(arguments))
            self._begun_at[step.name] = self.gauges.fraction(step)
            child = Child(arguments, self.environment, self.folder.logs_dir, step.name)
            self._running[step.name] = (step, child)

    def _arguments(self, step: Step) -> tuple[str, ...]:
        """The words after `vtk`: those of the plan, or those that resume what was begun."""
        if step.gauge.kind == "train" and self.gauges.state(step) is not None:
            return resume_arguments(step)
        return self._planned(step)

    def _take_what_ended(self) -> None:
        for name, (step, child) in list(self._running.items()):
            code = child.poll()
            if code is None:
                continue
            del self._running[name]
            self._note_time(step, child)
            if code != 0:
                raise child.failure(code)
            self._finish(step, child)

    def _finish(self, step: Step, child: Child) -> None:
        if step.name == "eval-base":
            self.record.facts[BASE_RUN_FACT] = _run_id(child)
        record = self.record.of(step.name)
        record.command = as_typed(self._planned(step))
        self.record.write()
        self._done.add(step.name)
        self.watcher.ended(step, record.wall_s)

    def _planned(self, step: Step) -> tuple[str, ...]:
        base_run = self.record.facts.get(BASE_RUN_FACT, "")
        return tuple(base_run if word == BASE_RUN else word for word in step.arguments)

    def _look(self) -> None:
        """Report progress, about once a second."""
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOK_EVERY_S:
            return
        self._looked_s = now_s
        views = tuple(
            StepView(step, self.gauges.fraction(step), self.gauges.note(step), child.elapsed_s)
            for step, child in self._running.values()
        )
        fractions = dict.fromkeys(self._done, 1.0) | {v.step.name: v.fraction for v in views}
        slowness = pace(self.steps, *self._measured(views))
        left_s = remaining_s(self.steps, fractions, self._running, self.num_lanes, slowness)
        self.watcher.progressed(DemoView(views, len(self._done), len(self.steps), left_s))

    def _measured(self, views: Sequence[StepView]) -> tuple[dict[str, float], dict[str, float]]:
        """What this attempt has done of each step, and in how many seconds."""
        fractions = {name: 1.0 for name in self._done if self.record.of(name).wall_s > 0}
        elapsed_s = {name: self.record.of(name).wall_s for name in fractions}
        for view in views:
            name = view.step.name
            fractions[name] = max(0.0, view.fraction - self._begun_at[name])
            elapsed_s[name] = view.elapsed_s
        return fractions, elapsed_s

    def _note_time(self, step: Step, child: Child) -> None:
        self.record.of(step.name).wall_s += child.elapsed_s
        self.record.write()

    def _stop_all(self) -> None:
        """Ask every child to save and leave, wait, and end those that do not; Ctrl-C ends all."""
        if not self._running:
            return
        self.watcher.stopping(len(self._running))
        children = [child for _, child in self._running.values()]
        try:
            for child in children:
                child.stop()
            deadline_s = time.monotonic() + _GRACE_S
            while time.monotonic() < deadline_s and any(c.poll() is None for c in children):
                time.sleep(_POLL_S)
        finally:
            for child in children:
                if child.poll() is None:
                    child.end()
            for step, child in self._running.values():
                self._note_time(step, child)
                if child.poll() == 0:
                    self._finish(step, child)
            self._running.clear()


def _run_id(child: Child) -> str:
    """The run that an evaluation's JSON document names.

    Raises:
        DataError: There is no such document.
    """
    try:
        return str(json.loads(child.out_path.read_text(encoding="utf-8"))["run_id"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{child.out_path} does not name the evaluation's run") from error


@contextmanager
def _signals_raise(hint: str) -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `Interrupted`, so that the children are asked to leave; the
    second signal ends them, later ones change nothing."""
    num_left = 2

    def leave(number: int, frame: FrameType | None) -> None:
        del frame
        nonlocal num_left
        num_left -= 1
        if num_left >= 0:
            raise Interrupted(f"stopped by {signal.Signals(number).name}", hint)

    with handle_signals(_LEAVING, leave):
        yield
