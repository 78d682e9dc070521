"""What a training process tells its run: phases with their times, and one report per step.

Only the main process writes the event log. The others hold a `Reporter` without one, so that no
caller has to ask which process it is.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from vtk.train.guards import Alert

if TYPE_CHECKING:
    from vtk.runs.ranks import RankReporter
    from vtk.runs.writer import EventWriter
    from vtk.system.gpu import GpuMonitor
    from vtk.train.groups import Skipped


class Reporter:
    """One process's voice.

    Args:
        events: The run's event log on the main process, else None.
        ranks: Told what this process does; None if it is the only one.
        step: Optimizer steps done so far.

    Attributes:
        gpus: Readings of the devices, on the main process of a run that has begun.
        pass_number: The step's backward pass that is made, counted from 1; 0 between steps.
    """

    def __init__(
        self,
        events: "EventWriter | None",
        ranks: "RankReporter | None" = None,
        step: int = 0,
    ) -> None:
        self.events, self.ranks, self.step = events, ranks, step
        self.gpus: GpuMonitor | None = None
        self.pass_number = 0
        self._elapsed_s: dict[str, float] = defaultdict(float)
        self._step_began_s = time.monotonic()

    def emit(self, type: str, **payload: Any) -> None:
        """Write one event, on the main process."""
        if self.events is not None:
            self.events.emit(type, **payload)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Say what is being done, and add its wall time to the step's."""
        if self.events is not None:
            self.events.phase(name)
        if self.ranks is not None:
            self.ranks.doing(self.step, name, self.pass_number)
        began_s = time.monotonic()
        try:
            yield
        finally:
            self._elapsed_s[name] += time.monotonic() - began_s

    def begin_step(self) -> None:
        """Start the step's clock; an evaluation since the last step is not part of it."""
        self._elapsed_s.clear()
        self._step_began_s = time.monotonic()

    def step_metrics(self, num_tokens: int) -> dict[str, float]:
        """What the step has cost so far, named as in `METRICS`.

        Args:
            num_tokens: Completion tokens that all processes generated.
        """
        step_s = time.monotonic() - self._step_began_s
        decode_s, generate_s = self._elapsed_s["decode"], self._elapsed_s["generate"]
        metrics = {
            "perf/step_s": step_s,
            "perf/decode_s": decode_s,
            "perf/generate_s": generate_s,
            "perf/update_s": step_s - decode_s - generate_s - self._elapsed_s["score"],
        }
        if generate_s > 0:
            metrics["perf/tokens_per_s"] = num_tokens / generate_s
        if torch.cuda.is_available():
            metrics["gpu/peak_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
        reading = None if self.gpus is None else self.gpus.latest
        return metrics if reading is None else metrics | reading.metrics()

    def report_step(
        self,
        step: int,
        metrics: Mapping[str, float],
        rows: Sequence[Mapping[str, Any]],
        alerts: Sequence[Alert],
    ) -> None:
        """Write a step: its completions first, so that whoever sees the step finds them."""
        self.step, self.pass_number = step, 0
        if self.events is None:
            return
        if rows:
            self.events.rollouts(step, rows)
        self.events.step(step, metrics)
        for alert in alerts:
            self.alert(step, alert)

    def skipped(self, step: int, one: "Skipped") -> None:
        """Write that a question could not be asked."""
        self.emit(
            "sample_skipped",
            step=step,
            path=one.path,
            reason=one.reason,
            sample_id=one.sample_id,
        )

    def alert(self, step: int | None, alert: Alert) -> None:
        """Write one alert; None is of no step in particular."""
        self.emit(
            "alert",
            step=step,
            rule=alert.rule,
            message=alert.message,
            value=alert.value,
            threshold=alert.threshold,
        )
