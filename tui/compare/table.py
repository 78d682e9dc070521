"""Runs side by side as rows of text: numbers with their difference from a baseline.

A difference of accuracies has an interval, from the intervals of both, as if the runs had been
asked different questions: where it holds 0 it is unresolved. `vtk compare` pairs the questions and
sees smaller differences. A difference of means over steps is unresolved within twice its standard
error, steps taken as independent.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from tui.accuracy import interval_words
from tui.compare.facts import RunFacts
from tui.compare.overlay import metrics_of
from tui.compare.reading import MEAN_STEPS, Measured, Reading, Signs, measured, steps_meant
from vtk.format import (
    MISSING,
    format_age_s,
    format_count,
    format_percent,
    format_value,
    visible_text,
)
from vtk.runs.events import METRICS, QUESTION_TYPES
from vtk.runs.snapshot import RunState, TypeAccuracy

Tone = Literal["plain", "good", "bad", "faint", "warn"]
_STATUS_TONES: Final[dict[str, Tone]] = {
    "running": "good",
    "finished": "good",
    "stopped": "warn",
    "failed": "bad",
    "lost": "bad",
    "created": "faint",
}


_SPOKEN_UNITS: Final = ("fraction", "s", "count")
"""Units that a value is shown with; the others stand once, behind the metric's name."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands for one run in one row: a value, and its difference from the baseline."""

    value: str
    difference: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One name with a cell for each run."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Rows that belong together; `note` stands below them."""

    title: str
    rows: tuple[TableRow, ...]
    note: str = ""


def comparison(runs: Sequence[RunFacts], reading: Reading, *, ascii_only: bool) -> list[Section]:
    """Everything that is compared.

    Args:
        runs: At least one; the others are measured against the first.
        reading: A metric's latest value, or its mean over the last `MEAN_STEPS` recorded steps.
        ascii_only: Mark differences with ASCII signs.
    """
    is_mean = reading == "mean"
    words = f"mean of the last {MEAN_STEPS} steps" if is_mean else "latest value"
    metrics = tuple(_metric_rows(runs, reading, ascii_only))
    accuracies = tuple(_accuracy_rows(runs, ascii_only))
    settings = tuple(_setting_rows(runs))
    sign = Signs.of(ascii_only).about
    pairing = (
        f"{sign} unresolved: the 95 % interval holds 0\n"
        "differences as between unpaired questions; `vtk compare` pairs them"
    )
    noise = f"{sign} within twice its standard error, steps taken as independent" if is_mean else ""
    return [
        Section("runs", tuple(_status_rows(runs)), _problems(runs)),
        Section(
            "accuracy, last evaluation",
            accuracies,
            pairing if accuracies and len(runs) > 1 else "",
        ),
        Section(
            f"metrics, {words}",
            metrics,
            (noise if len(runs) > 1 else "") if metrics else "no step has been recorded yet",
        ),
        Section(
            "settings that differ",
            settings,
            "" if settings or len(runs) < 2 else "none: the runs have the same settings",
        ),
    ]


def _status_rows(runs: Sequence[RunFacts]) -> Iterator[TableRow]:
    states = [run.state for run in runs]
    yield TableRow("status", tuple(map(_status, states)))
    yield TableRow("stage", tuple(_told(state.stage if state else None) for state in states))
    yield TableRow("step", tuple(_step(state) for state in states))
    yield TableRow("worked", tuple(_worked(state) for state in states))
    alerts = (
        Cell(format_count(len(s.alerts)), tone="warn" if s.alerts else "plain")
        if s
        else Cell(MISSING)
        for s in states
    )
    yield TableRow("alerts", tuple(alerts))


def _status(state: RunState | None) -> Cell:
    if state is None:
        return Cell("unreadable", tone="bad")
    return Cell(state.status, tone=_STATUS_TONES[state.status])


def _told(text: str | None) -> Cell:
    return Cell(MISSING if text is None else visible_text(text, 20))


def _step(state: RunState | None) -> Cell:
    if state is None or state.stage == "eval":
        return Cell(MISSING)
    of = "" if state.num_steps is None else f" of {format_count(state.num_steps)}"
    return Cell(format_count(state.step) + of)


def _worked(state: RunState | None) -> Cell:
    return Cell(MISSING if state is None else format_age_s(state.elapsed_s))


def _problems(runs: Sequence[RunFacts]) -> str:
    said = [f"{run.run_id}: {problem}" for run in runs for problem in run.problems]
    for run in runs:
        if run.state is not None and run.state.num_unreadable_lines:
            number = format_count(run.state.num_unreadable_lines)
            said.append(f"{run.run_id}: {number} lines of its log could not be read")
    return "\n".join(said)


def _metric_rows(
    runs: Sequence[RunFacts], reading: Reading, ascii_only: bool
) -> Iterator[TableRow]:
    names = metrics_of(runs)
    if names and reading == "mean":
        yield TableRow("of steps", tuple(Cell(steps_meant(run.state, names)) for run in runs))
    for name in names:
        unit = METRICS[name].unit if name in METRICS else ""
        told_unit = unit if unit in _SPOKEN_UNITS else ""
        base, *others = (measured(run.state, name, reading) for run in runs)
        cells = [_metric_cell(base, None, told_unit, ascii_only)]
        cells += [_metric_cell(own, base, told_unit, ascii_only) for own in others]
        shown_unit = f" ({unit})" if unit and not told_unit else ""
        yield TableRow(visible_text(name, 30) + shown_unit, tuple(cells))


def _metric_cell(own: Measured | None, base: Measured | None, unit: str, ascii_only: bool) -> Cell:
    if own is None:
        return Cell(MISSING)
    value = format_value(own.value, unit)
    if base is None or not math.isfinite(own.value - base.value):
        return Cell(value)
    difference = own.value - base.value
    if difference == 0:
        return Cell(value, "= 0")
    is_clear = own.differs_from(base)
    sign = Signs.of(ascii_only).sign(difference, is_clear)
    if unit == "fraction":
        told = f"{100 * difference:+.1f} pts"
    else:
        told = f"{'+' if difference > 0 else '-'}{format_value(abs(difference), unit)}"
    return Cell(value, f"{sign} {told}", "plain" if is_clear else "faint")


def _accuracy_rows(runs: Sequence[RunFacts], ascii_only: bool) -> Iterator[TableRow]:
    evals = [run.state.evals if run.state is not None else {} for run in runs]
    for suite in sorted({suite for found in evals for suite in found}):
        results = [found.get(suite) for found in evals]
        names = {name for result in results if result for name in result.per_type}
        for name in sorted(names, key=_type_order):
            accuracies = [result.per_type.get(name) if result else None for result in results]
            cells = (
                _accuracy_cell(own, None if place == 0 else accuracies[0], ascii_only)
                for place, own in enumerate(accuracies)
            )
            yield TableRow(f"{visible_text(suite, 20)} {visible_text(name, 16)}", tuple(cells))


def _accuracy_cell(own: TypeAccuracy | None, base: TypeAccuracy | None, ascii_only: bool) -> Cell:
    if own is None or own.accuracy is None:
        return Cell(MISSING)
    interval = "" if own.ci95 is None else f" {interval_words(own, 0)}"
    value = f"{format_percent(own.accuracy)}{interval} n {format_count(own.n)}"
    if base is None or base.accuracy is None:
        return Cell(value)
    difference = own.accuracy - base.accuracy
    told = f"{100 * difference:+.1f} pts"
    half = _half_width(own, base)
    if half is None:
        return Cell(value, told)
    told = f"{100 * difference:+.1f} ±{100 * half:.1f} pts"
    is_clear = abs(difference) > half
    told = f"{Signs.of(ascii_only).sign(difference, is_clear)} {told}"
    if not is_clear:
        return Cell(value, told, "faint")
    return Cell(value, told, "good" if difference > 0 else "bad")


def _half_width(own: TypeAccuracy, base: TypeAccuracy) -> float | None:
    """Half of the difference's 95 % interval: errors of independent means add in squares."""
    if own.ci95 is None or base.ci95 is None:
        return None
    halves = [(high - low) / 2 for low, high in (own.ci95, base.ci95)]
    return math.hypot(*halves) if all(map(math.isfinite, halves)) else None


def _setting_rows(runs: Sequence[RunFacts]) -> Iterator[TableRow]:
    if len(runs) < 2:
        return
    for name in sorted({name for run in runs for name in run.settings}):
        values = [run.settings.get(name, MISSING) for run in runs]
        if len(set(values)) > 1:
            yield TableRow(name, tuple(Cell(value) for value in values))


def _type_order(name: str) -> tuple[int, str]:
    known = QUESTION_TYPES.index(name) if name in QUESTION_TYPES else len(QUESTION_TYPES)
    return known, name
