"""L2, L6: a log that is written while it is read, and what is told of its writer."""

import os
import random
import signal
import threading
import time
from pathlib import Path

from tests.reliability.figures import Figures, quantile
from tests.reliability.process import Child, fork, wait_for
from vtk.runs.owner import STALE_AFTER_S, Owner, write_owner
from vtk.runs.reader import EventTail
from vtk.runs.state import RunFollower, read_state
from vtk.runs.store import RunPaths, create_run
from vtk.runs.writer import EventWriter

EVENTS_PER_S = 500.0
ATTEMPT_S = 0.6


def _write_for_ever(run: RunPaths, seconds: float) -> int:
    """Steps at the wanted rate; each says how long the one before took to be written."""
    took_s, step = 0.0, 0
    with EventWriter(run, 0, heartbeat_interval_s=1.0) as writer:
        began_s = time.monotonic()
        while time.monotonic() - began_s < seconds:
            step += 1
            before_s = time.monotonic()
            writer.step(step, {"loss/total": 0.5, "perf/write_s": took_s, "perf/at_s": before_s})
            took_s = time.monotonic() - before_s
            time.sleep(max(0.0, began_s + step / EVENTS_PER_S - time.monotonic()))
        writer.finish("finished")
    return 0


class _Reader(threading.Thread):
    """Reads a log over and over; opens it anew now and then."""

    def __init__(self, run: RunPaths, seed: int, is_over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.run_paths, self.draw, self.is_over = run, random.Random(seed), is_over
        self.lags: list[float] = []
        self.faults: list[str] = []

    def run(self) -> None:
        tail, seen = EventTail(self.run_paths.events), list[int]()
        opened_s = time.monotonic()
        while not self.is_over.is_set():
            if self.draw.random() < 0.02:
                tail, seen = EventTail(self.run_paths.events), []
                opened_s = time.monotonic()
            for event in tail.poll():
                seen.append(event["seq"])
                if event["type"] == "step" and event["metrics"]["perf/at_s"] > opened_s:
                    self.lags.append(time.monotonic() - event["metrics"]["perf/at_s"])
            if seen != list(range(len(seen))):
                self.faults.append(f"read {seen[-5:]}")
                return
            time.sleep(self.draw.uniform(0, 0.02))


def writer_and_readers(num_kills: int, num_readers: int, folder: Path, seed: int = 0) -> Figures:
    """A writer at 500 events/s, killed again and again, with readers and without."""
    result = Figures("L2", "Live readers never see garbage and never block the writer")
    latencies: dict[int, list[float]] = {}
    lags: list[float] = []
    num_events = 0
    for readers_here in (0, num_readers):
        run, draw = create_run(folder, "grpo", f"with-{readers_here}"), random.Random(seed)
        is_over = threading.Event()
        readers = [_Reader(run, number, is_over) for number in range(readers_here)]
        for reader in readers:
            reader.start()
        for kill in range(num_kills + 1):
            child = fork(lambda: _write_for_ever(run, ATTEMPT_S), folder / "log")  # noqa: B023
            if kill < num_kills:
                _wait_for_growth(child, run)
                time.sleep(draw.uniform(0, ATTEMPT_S / 2))
                child.send(signal.SIGKILL)
            code = child.wait()
            result.check(code in (0, -signal.SIGKILL), f"the writer ended with {code}")
        time.sleep(0.2)
        is_over.set()
        for reader in readers:
            reader.join(20)
            result.check(not reader.faults and not reader.is_alive(), f"{reader.faults}")
            lags += reader.lags
        steps = [each for each in EventTail(run.events).poll() if each["type"] == "step"]
        num_events += len(steps)
        latencies[readers_here] = [each["metrics"]["perf/write_s"] for each in steps]
    result.check(len(lags) > 100, "the readers read too little")
    without, with_them = (quantile(latencies[n], 0.99) * 1e3 for n in (0, num_readers))
    result.count = (
        f"{num_events} events, the writer killed {2 * num_kills} times, {num_readers} readers"
    )
    result.figures = [
        f"0 of {len(lags)} readings of new events wrong, doubled or out of order",
        f"99 % of writes took less than {with_them:.2f} ms, {without:.2f} ms without readers",
        f"95 % of new events read within {1e3 * quantile(lags, 0.95):.0f} ms of being written; "
        "a reader sleeps up to 20 ms",
    ]
    return result


def _wait_for_growth(child: Child, run: RunPaths) -> None:
    def size() -> int:
        return run.events.stat().st_size if run.events.exists() else 0

    before = size()
    wait_for(child, lambda: size() > before)


def states_are_told(num_each: int, folder: Path) -> Figures:
    """Six states, each made for real: processes are killed, stopped and end."""
    result = Figures("L6", "Crash state is told truthfully")
    told: dict[str, int] = {}
    for number in range(num_each):
        for wanted, (run, follower) in _states(folder / str(number)).items():
            found = follower.poll().status if follower is not None else read_state(run).status
            told[wanted] = told.get(wanted, 0) + (found == wanted.split(":")[0])
            result.check(found == wanted.split(":")[0], f"{wanted}: told as {found}")
    result.count = f"{num_each} runs in each of {len(told)} states"
    result.figures = [f"{wanted}: {count} of {num_each}" for wanted, count in told.items()]
    return result


def _states(folder: Path) -> dict[str, tuple[RunPaths, RunFollower | None]]:
    runs = {
        name: create_run(folder, "grpo", name)
        for name in ("killed", "reused", "ended", "elsewhere", "stalled", "alive")
    }
    for name in ("killed", "reused"):
        run = runs[name]
        child = fork(lambda: _write_for_ever(run, 60), folder / "log")  # noqa: B023
        wait_for(child, lambda: run.events.exists() and run.events.read_bytes().count(b"\n") > 3)  # noqa: B023
        child.send(signal.SIGKILL)
        child.wait()
    dead = Owner.read(runs["reused"])
    assert dead is not None
    write_owner(runs["reused"], Owner(**(dead.to_dict() | {"pid": os.getpid()})))
    for name in ("ended", "elsewhere"):
        with EventWriter(runs[name]) as writer:
            writer.step(1, {})
            if name == "ended":
                writer.finish("finished")
    write_owner(runs["elsewhere"], Owner("another-host", "another-boot", None, 1, None))
    for name in ("stalled", "alive"):
        EventWriter(runs[name], heartbeat_interval_s=3600).__enter__()
    late_s = time.monotonic() + STALE_AFTER_S + 5
    stalled = RunFollower(runs["stalled"], monotonic=lambda: late_s)
    late = time.time() + STALE_AFTER_S + 5
    return {
        "lost: killed": (runs["killed"], None),
        "lost: its pid is another process's now": (runs["reused"], None),
        "finished: ended": (runs["ended"], None),
        "running: on another machine, fresh": (runs["elsewhere"], None),
        "lost: on another machine, silent": (
            runs["elsewhere"], RunFollower(runs["elsewhere"], now=lambda: late),
        ),
        "lost: alive but silent": (runs["stalled"], stalled),
        "running: alive": (runs["alive"], None),
    }  # fmt: skip
