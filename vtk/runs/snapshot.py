"""What is known about a run at one moment: immutable, cheap to pass on, ready to become JSON.

Text in it comes from files and is as it stands there: give it to `vtk.format.visible_text` before
printing it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from vtk.runs.control import Request
from vtk.runs.events import METRICS, to_json_value
from vtk.runs.reader import UnreadableLine
from vtk.runs.series import Point

Status = Literal["created", "running", "finished", "failed", "stopped", "lost"]
DEFAULT_MAX_HISTORY: Final = 50


@dataclass(frozen=True, slots=True)
class Attempt:
    """One launch of a run."""

    number: int
    time: float
    resumed_from_step: int | None


@dataclass(frozen=True, slots=True)
class TypeAccuracy:
    """Accuracy on one question type: `n` questions, a fraction, its 95 % interval if known."""

    n: int
    accuracy: float | None
    ci95: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class EvalResult:
    """One evaluation during a run."""

    step: int | None
    suite: str
    time: float
    per_type: Mapping[str, TypeAccuracy]


@dataclass(frozen=True, slots=True)
class Alert:
    """A guard that fired, with its evidence."""

    step: int | None
    rule: str
    message: str
    value: float | None
    threshold: float | None
    time: float
    attempt: int


@dataclass(frozen=True, slots=True)
class ControlRecord:
    """A request that was acted on, after which step."""

    id: str
    action: str
    args: Mapping[str, Any]
    who: str
    result: str
    time: float
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint the run has announced; `path` is relative to the run unless absolute."""

    step: int
    path: str
    time: float


@dataclass(frozen=True, slots=True)
class RolloutFile:
    """A file of completions; `path` is relative to the run."""

    step: int
    path: str
    count: int


@dataclass(frozen=True, slots=True)
class SkippedSample:
    """A sample that could not be used, at which step, and why."""

    step: int | None
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class GpuReport:
    """The devices as last reported, or why there are none. Memory in GiB.

    `peak_used_gib` holds the largest reported memory of each device by its index, and
    `peak_process_memory_gib` that of the process; between two reports more may have been used.
    """

    devices: tuple[Mapping[str, Any], ...] = ()
    absent_reason: str | None = "the run has not reported its devices yet"
    process_memory_gib: float | None = None
    time: float | None = None
    peak_used_gib: Mapping[str, float] = field(default_factory=dict)
    peak_process_memory_gib: float | None = None


@dataclass(frozen=True, slots=True)
class RunState:
    """A snapshot of one run.

    `metrics` holds the latest value of each metric, `history` its (step, value) pairs by rising
    step, `process_memory` the GiB that the process reported to hold, `step_times` when each step
    was recorded. `objective` says in words what beta does. Times are UTC seconds, durations
    seconds. `is_partial` says that only the end of the log was read: then `history`, `alerts` and
    the counts begin there.
    """

    run_id: str = ""
    root: Path | None = None
    stage: str | None = None
    status: Status = "created"
    status_reason: str = ""
    error_kind: str | None = None
    error_message: str | None = None
    created: float | None = None
    step: int = 0
    num_steps: int | None = None
    objective: str | None = None
    phase: str | None = None
    phase_started: float | None = None
    attempts: tuple[Attempt, ...] = ()
    elapsed_s: float = 0.0
    eta_s: float | None = None
    last_event_time: float | None = None
    heartbeat_age_s: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    history: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    process_memory: Sequence[Point] = ()
    step_times: Sequence[Point] = ()
    eval_history: tuple[EvalResult, ...] = ()
    gpu: GpuReport = field(default_factory=GpuReport)
    alerts: tuple[Alert, ...] = ()
    controls: tuple[ControlRecord, ...] = ()
    pending_requests: tuple[Request, ...] = ()
    num_unreadable_requests: int = 0
    checkpoints: tuple[Checkpoint, ...] = ()
    rollouts: tuple[RolloutFile, ...] = ()
    num_samples_skipped: int = 0
    last_samples_skipped: tuple[SkippedSample, ...] = ()
    num_events: int = 0
    num_unreadable_lines: int = 0
    last_unreadable_lines: tuple[UnreadableLine, ...] = ()
    unknown_types: Mapping[str, int] = field(default_factory=dict)
    newest_version: int = 0
    problems: tuple[str, ...] = ()
    is_partial: bool = False

    @property
    def evals(self) -> dict[str, EvalResult]:
        """The latest result of each suite."""
        return {result.suite: result for result in self.eval_history}

    @property
    def latest_eval(self) -> EvalResult | None:
        """The evaluation that ended last."""
        return self.eval_history[-1] if self.eval_history else None

    @property
    def is_live(self) -> bool:
        """Whether a process is, or soon will be, at work on the run."""
        return self.status in ("created", "running")

    def to_dict(self, max_history: int = DEFAULT_MAX_HISTORY) -> dict[str, Any]:
        """Return the snapshot as JSON data; non-finite numbers are words (`vtk.runs.events`).

        Every metric of `METRICS` is there, with null for one that was never written; `history`
        holds its last `max_history` points. `per_type` is that of the latest evaluation.
        """
        facts = {name: getattr(self, name) for name in _PLAIN_FIELDS}
        listed = {name: [asdict(item) for item in getattr(self, name)] for name in _LIST_FIELDS}
        latest = self.latest_eval
        folded = {
            "metrics": self._metrics_to_dict(max_history),
            "per_type": {} if latest is None else _eval_to_dict(latest)["per_type"],
            "evals": {suite: _eval_to_dict(result) for suite, result in self.evals.items()},
            "gpu": {name: getattr(self.gpu, name) for name in GpuReport.__slots__},
        }
        document: dict[str, Any] = to_json_value(facts | folded | listed)
        return document

    def _metrics_to_dict(self, max_history: int) -> dict[str, Any]:
        names = [*METRICS, *(name for name in self.history if name not in METRICS)]
        return {name: self._metric_to_dict(name, max_history) for name in names}

    def _metric_to_dict(self, name: str, max_history: int) -> dict[str, Any]:
        points = self.history.get(name, ())
        step, value = points[-1] if points else (None, None)
        unit = METRICS[name].unit if name in METRICS else None
        recent = points[-max_history:] if max_history > 0 else ()
        return {
            "value": value,
            "step": step,
            "unit": unit,
            "history": [list(point) for point in recent],
        }


_LIST_FIELDS: Final = (
    "attempts",
    "alerts",
    "controls",
    "pending_requests",
    "checkpoints",
    "rollouts",
    "last_samples_skipped",
    "last_unreadable_lines",
)
_PLAIN_FIELDS: Final = tuple(
    name
    for name in RunState.__slots__
    if name not in (*_LIST_FIELDS, "metrics", "history", "process_memory", "eval_history", "gpu")
)


def _eval_to_dict(result: EvalResult) -> dict[str, Any]:
    per_type = {name: asdict(accuracy) for name, accuracy in result.per_type.items()}
    return {"step": result.step, "suite": result.suite, "time": result.time, "per_type": per_type}
