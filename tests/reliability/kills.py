"""T1: a crash costs at most the steps since the last save, and never the last good checkpoint."""

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.reliability.bench import Bench
from tests.reliability.figures import Figures
from tests.reliability.process import PhaseWatch, fork, start_worker, wait_for
from vtk.models.sources import MANIFEST_NAME
from vtk.runs.state import read_state
from vtk.runs.store import RunPaths
from vtk.train.checkpoint import CheckpointStore

PROMISE = "A crash costs at most the steps since the last save, never the last good checkpoint"
NUM_STEPS, SAVE_EVERY = 8, 2
ATTEMPT_S, SAVE_S = 2.5, 0.15
"""Spans over which kills are spread: an attempt with its loading, and a save."""


def numbers(bench: Bench, paths: RunPaths, num_steps: int = NUM_STEPS) -> dict[str, Any]:
    """All that a run's stops must not change."""
    return {
        "metrics": bench.numbers(paths),
        "rows": bench.rows(paths, range(1, num_steps + 1)),
        "weights": bench.model_hash(paths, num_steps),
    }


def _new_run(bench: Bench) -> RunPaths:
    return bench.new_run(
        "cdpo",
        reference__path=str(bench.world.bias),
        optim__num_steps=NUM_STEPS,
        checkpoint__every_steps=SAVE_EVERY,
        checkpoint__keep=2,
    )


def kill_at_random(bench: Bench, num_kills: int, seed: int = 0) -> Figures:
    """SIGKILL workers at random moments, every second one inside a save, and go on each time."""
    result, draw = Figures("T1", PROMISE), random.Random(seed)
    straight = _new_run(bench)
    assert start_worker(straight).wait() == 0
    expected = numbers(bench, straight)
    lost: list[int] = []
    num_killed, num_in_save, num_runs = 0, 0, 0
    while num_killed < num_kills:
        paths, num_runs = _new_run(bench), num_runs + 1
        while True:
            watch, worker = PhaseWatch(paths), start_worker(paths)
            is_in_save = draw.random() < 0.5
            if num_killed < num_kills:
                wanted = draw.randint(1, 2) if is_in_save else 0
                wait_for(worker, lambda watch=watch, n=wanted: watch.count("save") >= n)  # type: ignore[misc]
                time.sleep(draw.uniform(0, SAVE_S if is_in_save else ATTEMPT_S))
                worker.send(signal.SIGKILL)
            code = worker.wait()
            if code == 0:
                break
            result.check(code == -signal.SIGKILL, f"a worker ended with {code}")
            if code != -signal.SIGKILL:
                return result
            num_killed, num_in_save = num_killed + 1, num_in_save + is_in_save
            lost.append(_lost_steps(paths, result))
        result.check(numbers(bench, paths) == expected, f"{paths.run_id} ends with other numbers")
        leftovers = [p.name for p in paths.checkpoints_dir.iterdir() if p.name[:5] != "step_"]
        result.check(not leftovers, f"{paths.run_id} keeps {leftovers}")
    result.count = f"{num_killed} SIGKILLs ({num_in_save} aimed at a save), {num_runs} runs"
    result.figures = [
        f"all {num_runs} runs resumed to the bit",
        f"steps lost: at most {max(lost)} of {SAVE_EVERY}, {sum(lost) / len(lost):.2f} in the mean",
        "0 checkpoints unloadable",
    ]
    return result


def _lost_steps(paths: RunPaths, result: Figures) -> int:
    """Steps that the next attempt will make again; checks what is on the disk."""
    state = read_state(paths) if paths.events.exists() else None
    done = state.step if state is not None else 0
    told = state.checkpoints[-1].step if state is not None and state.checkpoints else 0
    step, damaged = CheckpointStore(paths, num_kept=2).newest_good()
    result.check(not damaged, f"unloadable: {damaged}")
    result.check((step or 0) >= told, f"the checkpoint of step {told} is gone")
    lost = max(0, done - (step or 0))
    result.check(lost <= SAVE_EVERY, f"{lost} steps lost")
    return lost


def kill_before_each_write(bench: Bench) -> Figures:
    """End a process before the n-th change it makes to the checkpoints' folder, for every n."""
    result = Figures("T1", "Each prefix of a save's writes and renames leaves a good checkpoint")
    place, num_loaded = 0, 0
    while True:
        place += 1
        paths = bench.new_run(
            "grpo", optim__num_steps=3, checkpoint__every_steps=1, checkpoint__keep=1
        )
        worker = fork(
            lambda paths=paths, place=place: _die_in_save(bench, paths, place),  # type: ignore[misc]
            paths.root.parent / f"{paths.run_id}.log",
        )
        code = worker.wait()
        if code == 0:
            break
        result.check(code == -signal.SIGKILL, f"place {place}: ended with {code}")
        step, damaged = CheckpointStore(paths, num_kept=1).newest_good()
        is_good = step in (2, 3) and not damaged
        result.check(is_good, f"place {place}: newest good is {step}, damaged {damaged}")
        num_loaded += is_good
        if place % 5 == 1:
            result.check(start_worker(paths).wait() == 0, f"place {place}: does not resume")
    result.count = f"{place - 1} places in a save (opens, renames, deletions of its files)"
    result.figures = [f"{num_loaded} of {place - 1} leave a good newest checkpoint"]
    return result


def _die_in_save(bench: Bench, paths: RunPaths, place: int) -> int:
    from vtk.worker import main

    def kill(seen: int) -> None:
        if seen == place:
            os.kill(os.getpid(), signal.SIGKILL)

    watch_changes(paths, step=3, on_change=kill)
    return main([str(paths.root)])


def watch_changes(
    paths: RunPaths, on_change: Callable[[int], None], step: int | None = None
) -> None:
    """Call `on_change` with a running number before each change in the checkpoints' folder.

    An audit hook cannot be taken away again, so this is for a process of its own.

    Args:
        paths: The run.
        on_change: May raise OSError, which the change then fails with.
        step: Count only once the folder holds the checkpoint of the step before.
    """
    seen, root = 0, str(paths.checkpoints_dir)
    begins = None if step is None else paths.checkpoint_dir(step - 1) / MANIFEST_NAME
    changes = {"os.rename", "os.remove", "os.mkdir", "os.rmdir"}

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen, begins
        is_write = name == "open" and isinstance(arguments[2], int) and arguments[2] & 3 != 0
        if not (is_write or name in changes) or not _touched(arguments).startswith(root):
            return
        if begins is None or begins.exists():
            begins, seen = None, seen + 1
            on_change(seen)

    sys.addaudithook(hook)


def _touched(arguments: tuple[Any, ...]) -> str:
    """The path of an audited call; names given relative to an open folder are looked up."""
    path, descriptor = os.fsdecode(arguments[0]), arguments[-1]
    if path.startswith("/") or not isinstance(descriptor, int) or descriptor < 0:
        return path
    return str(Path(f"/proc/self/fd/{descriptor}").readlink() / path)
