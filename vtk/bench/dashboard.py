"""What the dashboard costs: its start, its idling, and what writing a log costs a training."""

import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from vtk.bench.terminal import MeasuredTerminal
from vtk.runs.events import METRICS, encode_event
from vtk.runs.provenance import machine_facts
from vtk.runs.store import RunPaths, create_run
from vtk.runs.writer import EventWriter

TARGETS: Final = {
    "empty_first_paint_s": 1.0,
    "large_first_paint_s": 2.0,
    "redraw_ms": 15.0,
    "idle_core_share": 0.10,
    "idle_bytes_per_s": 60_000.0,
    "writer_mean_ms": 1.0,
}
"""What is to be reached on two cores."""

_NAMES: Final = tuple(METRICS)[:25]
_NUM_WRITES: Final = 400
_NUM_STARTS: Final = 5
_FIRST_WORDS: Final = "reward"
_STEPS_PER_S: Final = 1.0
_CELLS: Final = ("--pictures", "cells")  # the measuring terminal answers no question


def bench_dashboard(
    num_points: int,
    watch_s: float,
    measure_chart: Callable[[int], dict[str, float]],
    on_progress: Callable[[str], None],
) -> dict[str, Any]:
    """Measure and return one document.

    Args:
        num_points: Of the large log, over all of its metrics, and of the chart.
        watch_s: Seconds of each idling.
        measure_chart: Of the dashboard; it measures itself.
        on_progress: Told what is measured.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        on_progress(f"a log of {num_points:,} points")
        large = _write_log(root / "large", num_points)
        on_progress("the writer")
        writer = _bench_writer(root / "writer")
        on_progress("the start with an empty run and with the large log")
        found = _bench_start(root, large, num_points // len(_NAMES))
        on_progress("a chart")
        found |= measure_chart(num_points)
        on_progress("idling, with nothing new and with a step a second")
        found |= _bench_idling(root, watch_s)
    return {
        "machine": machine_facts(),
        "num_points": num_points,
        "measured": found | writer,
        "targets": TARGETS,
        "met": {name: (found | writer)[name] <= target for name, target in TARGETS.items()},
    }


def _metrics(step: int) -> dict[str, float]:
    return {name: 0.123456789 + 1e-5 * step * index for index, name in enumerate(_NAMES)}


def _write_log(runs_dir: Path, num_points: int) -> RunPaths:
    """A run with so many points in its log, as its writer would have left it."""
    num_steps = num_points // len(_NAMES)
    run = create_run(runs_dir, "cdpo", "large", config={"optim": {"num_steps": num_steps}})
    with run.events.open("wb") as log:
        for step in range(1, num_steps + 1):
            envelope = {"v": 1, "seq": step, "time": 1e9 + step, "mono": float(step)}
            event = {"type": "step", "step": step, "metrics": _metrics(step)}
            log.write(encode_event(envelope | event))
    return run


def _bench_writer(runs_dir: Path) -> dict[str, float]:
    """Milliseconds that one step's event takes the trainer."""
    run = create_run(runs_dir, "cdpo", "written")
    times_ms = []
    with EventWriter(run) as events:
        for step in range(1, _NUM_WRITES + 1):
            metrics = _metrics(step)
            began_s = time.perf_counter()
            events.step(step, metrics)
            times_ms.append(1000 * (time.perf_counter() - began_s))
        events.finish("finished")
    return {
        "writer_mean_ms": statistics.fmean(times_ms),
        "writer_p99_ms": sorted(times_ms)[int(0.99 * len(times_ms))],
    }


def _bench_start(root: Path, large: RunPaths, num_steps: int) -> dict[str, float]:
    """Seconds until the first panel stands there, and until all of the large log is in it.

    The least of some starts: what else the machine does can only add to them.
    """
    create_run(root / "empty", "cdpo", "empty")
    starts = [
        _start(root / "empty", "empty") | _start(large.root.parent, "large", num_steps)
        for _ in range(_NUM_STARTS)
    ]
    return {name: min(start[name] for start in starts) for name in starts[0]}


def _start(runs_dir: Path, name: str, num_steps: int | None = None) -> dict[str, float]:
    with MeasuredTerminal(["dashboard", *_CELLS, "--runs-dir", str(runs_dir)]) as terminal:
        found = {f"{name}_first_paint_s": terminal.seconds_until(_FIRST_WORDS)}
        if num_steps is not None:
            found[f"{name}_whole_s"] = terminal.seconds_until(f"step {num_steps:,}/")
            found[f"{name}_memory_bytes"] = float(terminal.memory_bytes())
        return found | {f"{name}_cpu_s": terminal.cpu_s()}


def _bench_idling(root: Path, watch_s: float) -> dict[str, float]:
    """A core's share and bytes a second, with nothing new and with a step a second."""
    run = create_run(root / "idle", "cdpo", "idle", config={"optim": {"num_steps": 1000}})
    with EventWriter(run) as events:
        for step in range(1, 201):
            events.step(step, _metrics(step))
        with MeasuredTerminal(
            ["dashboard", *_CELLS, "--runs-dir", str(run.root.parent)]
        ) as terminal:
            terminal.seconds_until("step 200/")
            terminal.watch(2.0)
            idle_share, idle_bytes = terminal.watch(watch_s)
            with _Steps(events):
                live_share, live_bytes = terminal.watch(watch_s)
        events.finish("finished")
    return {
        "idle_core_share": idle_share,
        "idle_bytes_per_s": idle_bytes,
        "live_core_share": live_share,
        "live_bytes_per_s": live_bytes,
    }


class _Steps:
    """Writes a step a second in a thread, as a training beside the dashboard does."""

    def __init__(self, events: EventWriter) -> None:
        self._events, self._closing = events, threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()

    def _write(self) -> None:
        step = 200
        while not self._closing.wait(1 / _STEPS_PER_S):
            step += 1
            self._events.step(step, _metrics(step))
