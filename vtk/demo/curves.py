"""What a run's event log and completions say over its steps."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vtk.demo.curve_chart import Points
from vtk.runs.reader import read_rollouts
from vtk.runs.state import read_state
from vtk.runs.store import RunPaths

TYPES: Final = ("observational", "inferential")


@dataclass(frozen=True, slots=True)
class RunCurves:
    """One training run over its steps.

    Attributes:
        metrics: Metric name -> (step, value) by rising step.
        reasoning: Question type -> (step, share of reasoning completions).
        num_steps: Optimizer steps done.
        num_unreadable_lines: Lines of the log and of the completions that do not parse.
    """

    metrics: Mapping[str, Points]
    reasoning: Mapping[str, Points]
    num_steps: int
    num_unreadable_lines: int


def read_curves(run: RunPaths) -> RunCurves:
    """Read a run's curves from disk.

    Raises:
        DataError: The log, or a file of completions that it names, cannot be read.
    """
    state = read_state(run)
    reasoning: dict[str, list[tuple[int, float]]] = defaultdict(list)
    num_unreadable = state.num_unreadable_lines
    for written in state.rollouts:
        rows, num_bad = read_rollouts(run.root / written.path)
        num_unreadable += num_bad
        for name in TYPES:
            asked = [row.get("strategy") == "reason" for row in rows if row.get("label") == name]
            if asked:
                reasoning[name].append((written.step, sum(asked) / len(asked)))
    return RunCurves(state.history, reasoning, state.step, num_unreadable)
