"""One metric of several runs as curves of one chart; a run keeps its colour and marker."""

from collections.abc import Iterable, Sequence
from typing import Final

from tui.compare.facts import RunFacts
from tui.curves import marks_of
from tui.legend import Curve
from tui.plot_parts import Lane
from tui.series import ColumnView
from tui.source import Snapshot
from vtk.runs.events import METRICS

FIRST_METRIC: Final = "reward/mean"
_SIGNED: Final = ("kl/signed",)


class RunNumbers:
    """Gives each chosen run the lowest number that is free, and leaves it that number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def choose(self, run_ids: Sequence[str]) -> None:
        """These are chosen now; the numbers of the others are free again."""
        kept = {name: number for name, number in self._numbers.items() if name in run_ids}
        for name in run_ids:
            if name not in kept:
                kept[name] = next(n for n in range(len(run_ids)) if n not in kept.values())
        self._numbers = kept

    def __getitem__(self, run_id: str) -> int:
        return self._numbers.get(run_id, 0)


def metrics_of(runs: Iterable[RunFacts]) -> list[str]:
    """Every metric that one of the runs has: the known ones in their order, then the others.

    How many completions stand behind a share (`NAME_n`) is no metric of its own.
    """
    found = {name for run in runs if run.state for name in run.state.history}
    shown = {name for name in found if not (name.endswith("_n") and name[:-2] in found)}
    known = [name for name in METRICS if name in shown]
    return [*known, *sorted(shown - set(known))]


def overlay(runs: Sequence[RunFacts], metric: str, numbers: RunNumbers) -> list[Curve]:
    """A curve for each run that has the metric."""
    unit = METRICS[metric].unit if metric in METRICS else ""
    views = ((run, run.state.history.get(metric)) for run in runs if run.state is not None)
    return [
        Curve(run.run_id, view, unit, numbers[run.name])
        for run, view in views
        if isinstance(view, ColumnView) and len(view)
    ]


def lanes_of(runs: Sequence[RunFacts], numbers: RunNumbers) -> tuple[Lane, ...]:
    """What happened in each run that can be read, in the order of the runs."""
    return tuple(
        Lane(numbers[run.name], tuple(marks_of(Snapshot(state=run.state))))
        for run in runs
        if run.state is not None
    )


def keeps_zero(metric: str) -> bool:
    """Whether zero says something of the metric, so that it stays in sight."""
    return metric in _SIGNED
