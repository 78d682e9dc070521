"""Events in, snapshot out: the one place that knows what each event type means for a run's picture.

An event that parses but does not hold what its type promises is counted with the unreadable lines
and shown, never guessed at. A new attempt drops what the earlier one did after the step it resumes
from, so that a curve never goes back on itself; alerts and control requests stay, because they
happened.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol, TypeVar

from vtk.format import visible_text
from vtk.runs import events, payload
from vtk.runs.events import is_finite
from vtk.runs.reader import UnreadableLine
from vtk.runs.series import PointSeries, Series
from vtk.runs.snapshot import (
    Alert,
    Attempt,
    Checkpoint,
    ControlRecord,
    EvalResult,
    GpuReport,
    RolloutFile,
    RunState,
    SkippedSample,
)

Event = Mapping[str, Any]
_NUM_KEPT: Final = 5
_NUM_STEPS_FOR_RATE: Final = 20


class _Stepped(Protocol):
    @property
    def step(self) -> int | None:
        """The step it belongs to."""


_SteppedT = TypeVar("_SteppedT", bound=_Stepped)


class EventFold:
    """Takes events one by one, in the order of the file, and gives a snapshot at any time.

    The snapshot's `status` is that of the log alone: how the latest attempt ended, else "running",
    else "created" where there is no event. Whether a process truly runs is for `vtk.runs.state` to
    say.

    Args:
        facts: Fields of `RunState` that are known beforehand, from run.json and config.json.
        new_series: Makes what holds the points of one metric.
    """

    def __init__(
        self,
        facts: Mapping[str, Any] | None = None,
        new_series: Callable[[], PointSeries] = Series,
    ) -> None:
        self._facts: dict[str, Any] = {"step": 0, **(facts or {})}
        self._new_series = new_series
        self._series: dict[str, PointSeries] = {}
        self._process_memory, self._step_times = new_series(), new_series()
        self._peak_used_gib: dict[str, float] = {}
        self._peak_process_gib: float | None = None
        self._evals: list[EvalResult] = []
        self._alerts: list[Alert] = []
        self._controls: list[ControlRecord] = []
        self._checkpoints: list[Checkpoint] = []
        self._rollouts: list[RolloutFile] = []
        self._attempts: list[Attempt] = []
        self._skipped: list[SkippedSample] = []
        self._malformed: deque[UnreadableLine] = deque(maxlen=_NUM_KEPT)
        self._num_malformed = 0
        self._unknown: Counter[str] = Counter()
        self._num_events = 0
        self._clock = _AttemptClock()
        self.last_mono: float | None = None

    def add(self, event: Event) -> None:
        """Take in one event that has a valid envelope."""
        handler = _HANDLERS.get(event["type"])
        if handler is None:
            self._unknown[event["type"]] += 1
        else:
            try:
                handler(self, event)
            except ValueError as error:
                self._count_malformed(event, str(error))
        self._note_time(event)

    def snapshot(self) -> RunState:
        """Return what is known now."""
        history = {name: points for name, s in self._series.items() if (points := s.points())}
        return RunState(
            **self._facts,
            metrics={name: points[-1][1] for name, points in history.items()},
            history=history,
            process_memory=self._process_memory.points(),
            step_times=self._step_times.points(),
            eval_history=tuple(self._evals),
            alerts=tuple(self._alerts),
            controls=tuple(self._controls),
            checkpoints=tuple(self._checkpoints),
            rollouts=tuple(self._rollouts),
            attempts=tuple(self._attempts),
            num_samples_skipped=len(self._skipped),
            last_samples_skipped=tuple(self._skipped[-_NUM_KEPT:]),
            num_events=self._num_events,
            num_unreadable_lines=self._num_malformed,
            last_unreadable_lines=tuple(self._malformed),
            unknown_types=dict(self._unknown),
            elapsed_s=self._clock.elapsed_s(),
            eta_s=self._clock.remaining_s(self._facts.get("num_steps")),
        )

    def _note_time(self, event: Event) -> None:
        self._num_events += 1
        self._facts.setdefault("status", "running")
        self._facts["last_event_time"] = float(event["time"])
        self._facts["newest_version"] = max(self._facts.get("newest_version", 0), event["v"])
        if is_finite(event.get("mono")):
            self.last_mono = float(event["mono"])
            self._clock.tick(self.last_mono)

    def _count_malformed(self, event: Event, reason: str) -> None:
        self._num_malformed += 1
        preview = visible_text(dict(event), 120)
        kept = UnreadableLine(self._num_events + 1, f"{event['type']}: {reason}", preview)
        self._malformed.append(kept)

    def _on_run_started(self, event: Event) -> None:
        stage = payload.optional_text(event, "stage")
        num_steps = payload.optional_count(event, "num_steps")
        self._facts["stage"] = stage or self._facts.get("stage")
        self._facts["num_steps"] = num_steps or self._facts.get("num_steps")

    def _on_attempt_started(self, event: Event) -> None:
        resumed_from = payload.optional_count(event, "resumed_from_step")
        num_steps = payload.optional_count(event, "num_steps")
        number = len(self._attempts) + 1
        self._attempts.append(Attempt(number, float(event["time"]), resumed_from))
        self._facts.update(status="running", error_kind=None, error_message=None, phase=None)
        self._facts["num_steps"] = num_steps or self._facts.get("num_steps")
        self._drop_after(resumed_from or 0)
        self._clock.start_attempt()

    def _drop_after(self, step: int) -> None:
        for series in (*self._series.values(), self._process_memory, self._step_times):
            series.drop_after(step)
        self._facts["step"] = step
        self._evals = _until(self._evals, step)
        self._checkpoints = _until(self._checkpoints, step)
        self._rollouts = _until(self._rollouts, step)
        self._skipped = _until(self._skipped, step)

    def _on_phase(self, event: Event) -> None:
        self._facts.update(phase=payload.text(event, "name"), phase_started=float(event["time"]))
        objective = payload.optional_text(event, "objective")
        self._facts["objective"] = objective or self._facts.get("objective")

    def _on_step(self, event: Event) -> None:
        step, metrics = payload.count(event, "step"), payload.numbers(event, "metrics")
        for name, value in metrics.items():
            series = self._series.get(name)
            if series is None:
                series = self._series[name] = self._new_series()
            series.add(step, value)
        self._step_times.add(step, float(event["time"]))
        self._facts["step"] = max(self._facts["step"], step)
        if is_finite(event.get("mono")):
            self._clock.note_step(step, float(event["mono"]))

    def _on_rollouts(self, event: Event) -> None:
        step, path = payload.count(event, "step"), payload.text(event, "path")
        self._rollouts.append(RolloutFile(step, path, payload.count(event, "count")))

    def _on_checkpoint_saved(self, event: Event) -> None:
        step, path = payload.count(event, "step"), payload.text(event, "path")
        self._checkpoints.append(Checkpoint(step, path, float(event["time"])))

    def _on_eval_result(self, event: Event) -> None:
        step, suite = payload.optional_count(event, "step"), payload.text(event, "suite")
        self._evals.append(EvalResult(step, suite, float(event["time"]), payload.per_type(event)))

    def _on_gpu(self, event: Event) -> None:
        devices = payload.objects(event, "devices")
        reason = payload.optional_text(event, "absent_reason")
        if not devices and reason is None:
            raise ValueError("neither devices nor absent_reason")
        memory_gib = payload.optional_number(event, "process_memory_gib")
        if memory_gib is not None:
            self._process_memory.add(self._facts["step"], memory_gib)
            self._peak_process_gib = max(memory_gib, self._peak_process_gib or 0.0)
        self._note_peaks(devices)
        self._facts["gpu"] = GpuReport(
            devices,
            reason,
            memory_gib,
            float(event["time"]),
            dict(self._peak_used_gib),
            self._peak_process_gib,
        )

    def _note_peaks(self, devices: Iterable[Event]) -> None:
        for device in devices:
            index, used = str(device.get("index")), device.get("memory_used_gib")
            if is_finite(used):
                self._peak_used_gib[index] = max(used, self._peak_used_gib.get(index, used))

    def _on_alert(self, event: Event) -> None:
        self._alerts.append(
            Alert(
                step=payload.optional_count(event, "step"),
                rule=payload.text(event, "rule"),
                message=payload.text(event, "message"),
                value=payload.optional_number(event, "value"),
                threshold=payload.optional_number(event, "threshold"),
                time=float(event["time"]),
                attempt=len(self._attempts),
            )
        )

    def _on_control(self, event: Event) -> None:
        step = payload.optional_count(event, "step")
        self._controls.append(
            ControlRecord(
                id=payload.text(event, "id"),
                action=payload.text(event, "action"),
                args=payload.mapping(event, "args"),
                who=payload.optional_text(event, "who") or "",
                result=payload.optional_text(event, "result") or "",
                time=float(event["time"]),
                step=self._facts["step"] if step is None else step,
            )
        )

    def _on_sample_skipped(self, event: Event) -> None:
        step, path = payload.optional_count(event, "step"), payload.text(event, "path")
        self._skipped.append(SkippedSample(step, path, payload.text(event, "reason")))

    def _on_heartbeat(self, event: Event) -> None:
        """Its time is noted as for every event, and it says nothing else."""

    def _on_run_finished(self, event: Event) -> None:
        status = payload.text(event, "status")
        if status not in events.FINAL_STATUSES:
            raise ValueError(f"status must be one of {events.FINAL_STATUSES}")
        kind = payload.optional_text(event, "error_kind")
        message = payload.optional_text(event, "message")
        self._facts.update(status=status, error_kind=kind, error_message=message, phase=None)


class _AttemptClock:
    """Monotonic time of all attempts together, and the pace of the latest; never negative."""

    def __init__(self) -> None:
        self._earlier_s = 0.0
        self._first: float | None = None
        self._last = 0.0
        self._steps: deque[tuple[int, float]] = deque(maxlen=_NUM_STEPS_FOR_RATE + 1)

    def start_attempt(self) -> None:
        self._earlier_s = self.elapsed_s()
        self._first = None
        self._steps.clear()

    def tick(self, mono: float) -> None:
        if self._first is None:
            self._first = mono
        self._last = mono

    def note_step(self, step: int, mono: float) -> None:
        if not self._steps or step > self._steps[-1][0]:
            self._steps.append((step, mono))

    def elapsed_s(self) -> float:
        return self._earlier_s + (
            0.0 if self._first is None else max(0.0, self._last - self._first)
        )

    def remaining_s(self, num_steps: int | None) -> float | None:
        if num_steps is None or len(self._steps) < 2:
            return None
        (first_step, first_mono), (step, mono) = self._steps[0], self._steps[-1]
        pace_s = max(0.0, mono - first_mono) / (step - first_step)
        return max(0, num_steps - step) * pace_s


def _until(items: list[_SteppedT], step: int) -> list[_SteppedT]:
    return [item for item in items if item.step is None or item.step <= step]


_HANDLERS: Final[dict[str, Callable[[EventFold, Event], None]]] = {
    events.RUN_STARTED: EventFold._on_run_started,
    events.ATTEMPT_STARTED: EventFold._on_attempt_started,
    events.PHASE: EventFold._on_phase,
    events.STEP: EventFold._on_step,
    events.ROLLOUTS: EventFold._on_rollouts,
    events.CHECKPOINT_SAVED: EventFold._on_checkpoint_saved,
    events.EVAL_RESULT: EventFold._on_eval_result,
    events.GPU: EventFold._on_gpu,
    events.ALERT: EventFold._on_alert,
    events.CONTROL: EventFold._on_control,
    events.SAMPLE_SKIPPED: EventFold._on_sample_skipped,
    events.HEARTBEAT: EventFold._on_heartbeat,
    events.RUN_FINISHED: EventFold._on_run_finished,
}
