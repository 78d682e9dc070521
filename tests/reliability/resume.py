"""T3: a run that was stopped and resumed is the run that was not, to the bit."""

import json
import signal
from pathlib import Path
from typing import Any

from tests.reliability.bench import Bench
from tests.reliability.figures import Figures
from tests.reliability.kills import numbers
from vtk.errors import Interrupted
from vtk.runs.store import RunPaths

PLACES = (("generate", 2), ("update", 1), ("update", 2))
"""Phase, and which of a step's two passes: while sampling, between passes, at the step's end."""


def stop_at_every_step(bench: Bench, num_steps: int) -> Figures:
    """Stop a run in each step; epochs end inside, and a question is skipped on the way."""
    result = Figures("T3", "Resume equals no interruption: metrics, completions, weights")
    questions = _few_questions(bench)
    straight = _new_run(bench, questions, num_steps)
    bench.attempt(straight)
    expected = numbers(bench, straight, num_steps)
    skipped = {event["step"] for event in bench.events(straight, "sample_skipped")}
    result.check(bool(skipped), "no question was skipped, so nothing was shown of that")
    num_stops = 0
    for step in range(1, num_steps + 1):
        for phase, place in PLACES:
            if step == num_steps and (phase, place) == ("update", 2):
                continue  # the last step's end is the run's
            found = _stopped_and_resumed(bench, questions, num_steps, (phase, 2 * step - 2 + place))
            differing = [name for name in expected if found[name] != expected[name]]
            result.check(not differing, f"stop in {phase} {place} of step {step}: {differing}")
            num_stops += 1
    result.count = f"{num_stops} stops in a run of {num_steps} steps of 2 passes over 5 questions"
    result.figures = [
        "largest difference 0 (bitwise)" if not result.broken else "they differ",
        f"epochs of 5 questions end inside it; a broken clip is met in steps {sorted(skipped)}",
    ]
    return result


def _few_questions(bench: Bench) -> Path:
    """Five questions, so that epochs end inside a run and inside a step; one has no clip."""
    path, _ = bench.damaged_questions(num_damaged=1)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("\n".join(json.dumps(row) for row in rows[:5]))
    return path


def _new_run(bench: Bench, questions: Path, num_steps: int) -> RunPaths:
    return bench.new_run(
        "cdpo",
        reference__path=str(bench.world.bias),
        data__train=str(questions),
        data__max_skipped_frac=1.0,
        optim__num_steps=num_steps,
        optim__prompts_per_device=1,
        optim__accumulation_steps=2,
    )


def _stopped_and_resumed(
    bench: Bench, questions: Path, num_steps: int, stop_in: tuple[str, int]
) -> dict[str, Any]:
    phase, wanted = stop_in
    begun = {"decode": 0}

    def stop(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type != "phase":
            return
        begun["decode"] += payload["name"] == "decode"  # each pass decodes, also a skipped one
        if payload["name"] == phase and begun["decode"] == wanted:
            stop.received = signal.SIGTERM

    paths = _new_run(bench, questions, num_steps)
    try:
        bench.attempt(paths, stop)
    except Interrupted:
        bench.attempt(paths)
    return numbers(bench, paths, num_steps)
