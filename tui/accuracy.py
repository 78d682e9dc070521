"""Accuracy per question type with its number of questions and its interval.

From the newest evaluation on held-out questions, which brings its intervals. Without one, from
the rollouts of the last steps: completions of one step share their prompts, so the interval is that
of a ratio over steps (Cochran 1977, Sampling Techniques, section 6.3, one step a cluster), which is
wider than one that counts completions as independent.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from textual.content import Content

from tui.literal import joined, lines, literal
from vtk.format import MISSING, format_count, format_percent
from vtk.runs.events import QUESTION_TYPES
from vtk.runs.series import Point
from vtk.runs.snapshot import RunState, TypeAccuracy

_NUM_STEPS: Final = 20
_FEWEST_CLUSTERS: Final = 5
_Z95: Final = 1.96
_SHORT: Final = {"observational": "observ.", "inferential": "inferent."}
_WIDE, _MIDDLE = 56, 46
_NARROW_NAME = 9


@dataclass(frozen=True, slots=True)
class Accuracies:
    """Accuracy of each type, and where it comes from in a few words, or fewer."""

    origin: str
    short_origin: str
    per_type: Mapping[str, TypeAccuracy]


def accuracies(state: RunState) -> Accuracies | None:
    """The newest evaluation, else the rollouts of the last steps; None where there is neither."""
    result = state.latest_eval
    if result is not None:
        step = "" if result.step is None else f" at step {result.step}"
        return Accuracies(f"{result.suite}{step}", f"evaluation{step}", result.per_type)
    found = rollout_accuracies(state)
    recent = f"last {_NUM_STEPS} steps"
    return None if not found else Accuracies(f"rollouts, {recent}", recent, found)


def rollout_accuracies(state: RunState, num_steps: int = _NUM_STEPS) -> dict[str, TypeAccuracy]:
    """Accuracy of each type among the completions of the last steps."""
    return rollout_shares(state, "acc", state.step - num_steps + 1, state.step)


def rollout_shares(
    state: RunState, prefix: str, first_step: int, last_step: int
) -> dict[str, TypeAccuracy]:
    """A share by question type, of the completions of these steps, with n and interval.

    Args:
        state: The run.
        prefix: `acc` or `bias_agreement`; each type has a metric, and its number with `_n`.
        first_step: The first that counts.
        last_step: The last that does.
    """
    found: dict[str, TypeAccuracy] = {}
    for name in QUESTION_TYPES:
        share, counts = (state.history.get(f"{prefix}/{name}{end}") for end in ("", "_n"))
        if share and counts:
            pooled = _pooled(
                _between(share, first_step, last_step),
                dict(_between(counts, first_step, last_step)),
            )
            if pooled.n:
                found[name] = pooled
    return found


def _between(points: Sequence[Point], first_step: int, last_step: int) -> Sequence[Point]:
    start = bisect_left(points, first_step, key=itemgetter(0))
    return points[start : bisect_right(points, last_step, lo=start, key=itemgetter(0))]


def accuracy_content(found: Accuracies | None, width: int, ascii_only: bool) -> Content:
    """The panel: a line a type, with a bar where there is room."""
    if found is None:
        return lines([literal("accuracy", "bold"), literal("no answer has been graded yet")], width)
    origin = found.origin if len(found.origin) + 9 <= width else found.short_origin
    title = joined(literal("accuracy ", "bold"), literal(origin, "$foreground-muted", 60))
    names = sorted(found.per_type, key=_order)
    rows = [_line(name, found.per_type[name], width, ascii_only) for name in names]
    return lines([title, *rows], width)


def _line(name: str, accuracy: TypeAccuracy, width: int, ascii_only: bool) -> Content:
    shown = format_percent(accuracy.accuracy, 1 if width >= _MIDDLE else 0)
    count = f"n {format_count(accuracy.n)}"
    if width < _MIDDLE:
        short = literal(_SHORT.get(name, name), max_chars=_NARROW_NAME)
        interval = interval_words(accuracy, 0)
        return joined(_padded(short, _NARROW_NAME), literal(f" {shown:>4} {interval} {count}"))
    label = _padded(literal(name, max_chars=14), 14)
    figures = literal(f" {shown:>6} {interval_words(accuracy, 1):<14} {count:<8}")
    if width < _WIDE:
        return joined(label, figures)
    return joined(label, figures, " ", _bar(accuracy, width - 48, ascii_only))


def _bar(accuracy: TypeAccuracy, width: int, ascii_only: bool) -> Content:
    """The share as a bar, and its interval as a lighter stretch around the end of it."""
    if accuracy.accuracy is None or not math.isfinite(accuracy.accuracy):
        return Content("")
    low, high = accuracy.ci95 or (accuracy.accuracy, accuracy.accuracy)
    cells = [round(min(1.0, max(0.0, share)) * width) for share in (low, accuracy.accuracy, high)]
    full, part, rest = ("#", "-", " ") if ascii_only else ("█", "▒", " ")
    chars = full * cells[0] + part * (cells[2] - cells[0]) + rest * (width - cells[2])
    middle = min(width - 1, max(0, cells[1] - 1))
    chars = chars[:middle] + ("|" if ascii_only else "┃") + chars[middle + 1 :]
    return literal(chars, "$primary", width)


def interval_words(accuracy: TypeAccuracy, decimals: int) -> str:
    """The 95 % interval in percent, short."""
    if accuracy.ci95 is None:
        return "[" + MISSING + "]"
    low, high = (f"{100 * bound:.{decimals}f}" for bound in accuracy.ci95)
    return f"[{low}, {high}]" if decimals else f"[{low},{high}]"


def _pooled(points: Sequence[Point], counts: Mapping[int, float]) -> TypeAccuracy:
    """The share of right answers over steps, with its interval where there are steps enough."""
    clusters = [(value, counts.get(step, 0.0)) for step, value in points]
    clusters = [(share, n) for share, n in clusters if math.isfinite(share) and n > 0]
    total = sum(n for _, n in clusters)
    if not total:
        return TypeAccuracy(0, None, None)
    mean = sum(share * n for share, n in clusters) / total
    m = len(clusters)
    if m < _FEWEST_CLUSTERS:
        return TypeAccuracy(round(total), mean, None)
    spread = sum((n * (share - mean)) ** 2 for share, n in clusters)
    error = math.sqrt(m / (m - 1) * spread) / total
    bounds = (max(0.0, mean - _Z95 * error), min(1.0, mean + _Z95 * error))
    return TypeAccuracy(round(total), mean, bounds)


def _padded(content: Content, width: int) -> Content:
    return content.pad_right(max(0, width - content.cell_length))


def _order(name: str) -> tuple[int, str]:
    known = QUESTION_TYPES.index(name) if name in QUESTION_TYPES else len(QUESTION_TYPES)
    return known, name
