"""T4: a stop from outside is saved in time, wherever it comes; a second one ends at once."""

import random
import signal
import time

from tests.reliability.bench import Bench
from tests.reliability.figures import Figures, quantile
from tests.reliability.process import Child, PhaseWatch, start_worker, wait_for
from vtk.errors import Interrupted
from vtk.runs.state import read_state
from vtk.runs.store import RunPaths
from vtk.train.checkpoint import CheckpointStore

PLACES = ("load", "decode", "generate", "update", "save", "eval")
NUM_STEPS, PHASE_S = 40, 0.1


def stop_everywhere(bench: Bench, num_each: int, seed: int = 0) -> Figures:
    """SIGTERM workers in each phase of a run."""
    result = Figures("T4", "SIGTERM anywhere saves the last step done and exits with 75")
    draw, spans_s = random.Random(seed), list[float]()
    for place in PLACES:
        for _ in range(num_each):
            paths = _new_run(bench)
            worker = _stop_in(paths, place, draw)
            sent_s = time.monotonic()
            code = worker.wait()
            spans_s.append(time.monotonic() - sent_s)
            result.check(code == Interrupted.exit_code, f"{place}: exit code {code}")
            _check_saved(paths, place, result)
    num_second = max(1, num_each // 2)
    ended = [_second_signal(bench) for _ in range(num_second)]
    result.check(all(code == -signal.SIGTERM for code, _ in ended), f"second signals: {ended}")
    result.count = f"{len(PLACES)} places x {num_each} SIGTERMs, {num_second} second signals"
    slowest_s = max(span_s for _, span_s in ended)
    result.figures = [
        f"{len(spans_s)} of {len(spans_s)} saved, exit 75" if not result.broken else "see below",
        f"95 % gone within {quantile(spans_s, 0.95):.2f} s, all within {max(spans_s):.2f} s",
        f"a second signal ends it within {slowest_s:.2f} s",
    ]
    return result


def _new_run(bench: Bench) -> RunPaths:
    return bench.new_run(
        "grpo", optim__num_steps=NUM_STEPS, checkpoint__every_steps=2, eval__every_steps=2
    )


def _stop_in(paths: RunPaths, place: str, draw: random.Random) -> Child:
    """A worker that was sent SIGTERM at a random moment of a random one of such phases."""
    watch, worker = PhaseWatch(paths), start_worker(paths)
    wanted = 1 if place == "load" else draw.randint(1, 3)
    assert wait_for(worker, lambda: watch.count(place) >= wanted)
    time.sleep(draw.uniform(0, PHASE_S))
    worker.send(signal.SIGTERM)
    return worker


def _check_saved(paths: RunPaths, place: str, result: Figures) -> None:
    state = read_state(paths)
    saved, damaged = CheckpointStore(paths, num_kept=2).newest_good()
    is_all = (saved or 0) == state.step and not damaged
    result.check(is_all, f"{place}: step {state.step} was done, {saved} is saved, {damaged}")
    result.check(state.status == "stopped", f"{place}: the run is called {state.status}")


def _second_signal(bench: Bench) -> tuple[int, float]:
    """Exit code and seconds after a second SIGTERM, in a step that takes long."""
    paths = bench.new_run(
        "grpo",
        optim__prompts_per_device=16,
        rollout__num_generations=8,
        video__num_frames=16,
        video__min_pixels_px=9_408,
        video__max_pixels_px=9_408,
        prompt__max_prompt_tokens=4096,
    )
    watch, worker = PhaseWatch(paths), start_worker(paths)
    assert wait_for(worker, lambda: watch.count("update") >= 1)
    worker.send(signal.SIGTERM)
    time.sleep(0.3)  # two signals of one kind that are pending at once are delivered as one
    worker.send(signal.SIGTERM)
    sent_s = time.monotonic()
    return worker.wait(), time.monotonic() - sent_s
