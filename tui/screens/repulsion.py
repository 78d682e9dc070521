"""Is CDPO working: reward against distance from the bias model, as a trail over the steps."""

import math
from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import ClassVar, Final

from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from typing_extensions import override

from tui.agreement import agreement_content
from tui.literal import joined, lines, literal
from tui.screens.run_screen import RunScreen
from tui.series import ColumnView
from tui.source import Snapshot
from tui.trail import Trail, Verdict, trail_of, verdict
from tui.trail_plot import ASCII_CURSOR, CURSOR
from tui.widgets.panels import Panel
from tui.widgets.trail_view import TrailView
from vtk.format import format_count, format_number
from vtk.runs.series import Point

_LEGENDS: Final = (
    "S {}   {} {}   line: average over steps, numbers: its steps   dots: single steps",
    "S {}   {} {}   line: average, with steps   dots: single steps",
    "S {}   {} {}   line: average   dots: single steps",
)
"""From the longest to the shortest; the first that fits is shown."""


class RepulsionScreen(RunScreen):
    """The trail with its four quarters, and beside it what it means."""

    screen_name: ClassVar[str] = "repulsion"

    def __init__(self) -> None:
        super().__init__()
        self._trail: Trail | None = None
        self._reward: Sequence[Point] | None = None

    @override
    def body(self) -> Iterable[Widget]:
        """The picture over a few lines."""
        yield Vertical(
            Panel(self._verdict_lines, id="verdict"),
            TrailView(id="trail"),
            Panel(_agreement, id="agreement"),
            id="repulsion-body",
        )

    @override
    def show_body(self, snapshot: Snapshot) -> None:
        """Draw the trail anew where there are new steps."""
        reward = snapshot.state.history.get("reward/mean")
        if reward is not self._reward or self._trail is None:
            self._reward, self._trail = reward, trail_of(snapshot.state)
        ascii_only = self.dashboard.ascii_only
        self.query_one(TrailView).show(self._trail, self.viewport, ascii_only)
        for panel_id in ("verdict", "agreement"):
            self.query_one(f"#{panel_id}", Panel).show(snapshot, ascii_only)

    @override
    def _views(self) -> Sequence[ColumnView]:
        history = self.snapshot.state.history
        found = (history.get(name) for name in ("kl/signed", "reward/mean"))
        return [view for view in found if isinstance(view, ColumnView)]

    @override
    def _num_columns(self) -> int:
        return self.query_one(TrailView).size.width

    def _verdict_lines(
        self, snapshot: Snapshot, width: int, height: int, ascii_only: bool
    ) -> Content:
        del snapshot
        viewport = self.viewport
        found = None if self._trail is None else verdict(self._trail)
        told = _verdict(found, width)
        if self._trail is not None and viewport.cursor is not None:
            read = readout(self._trail, viewport.cursor, width, ascii_only)
            return lines([*told[: height - 1], literal(read, "bold $accent")], width)
        return lines([*told, _legend(viewport.window, width, ascii_only)][:height], width)


def readout(trail: Trail, step: int, width: int, ascii_only: bool) -> str:
    """What the crosshair is on, in as many words as fit: the step's average and its own numbers."""
    index = trail.index_at(step)
    if index is None:
        return f"step {format_count(step)}: no signed KL yet"
    own, average = ASCII_CURSOR if ascii_only else CURSOR
    at = int(trail.steps_T[index])
    where = f"step {format_count(step)}" + (f" (at {format_count(at)})" if at != step else "")
    columns = (trail.smooth_reward_T, trail.smooth_distance_T, trail.reward_T, trail.distance_T)
    reward, distance, own_reward, own_distance = (
        format_number(float(column[index]), 3) for column in columns
    )
    quarter = trail.quarter_at(index)
    forms = (
        f"{where}  {average} average: reward {reward}, signed KL {distance}: {quarter}  "
        f"{own} this step: {own_reward}, {own_distance}",
        f"{where}  {average} reward {reward}, signed KL {distance}: {quarter}  "
        f"{own} {own_reward}, {own_distance}",
        f"{where}  {average} reward {reward}, signed KL {distance}: {quarter}",
        f"{where} {average} reward {reward}, KL {distance}: {quarter}",
    )
    return next((form for form in forms if len(form) <= width), forms[-1])


def _legend(window: tuple[float, float] | None, width: int, ascii_only: bool) -> Content:
    """What the shapes are; of a part of the steps both ends are named by their steps."""
    first, last = ("start", "now")
    if window is not None:
        first, last = (format_count(math.ceil(each)) for each in (window[0], window[1] - 1))
    forms = [form.format(first, "@" if ascii_only else "●", last) for form in _LEGENDS]
    fitting = next((form for form in forms if len(form) <= width), forms[-1])
    return literal(fitting, "$foreground-muted")


def _verdict(found: Verdict | None, width: int) -> list[Content]:
    """What the trail says, in as many lines as it needs, and its figures."""
    if found is None:
        return [literal("too few steps to compare the last with the first")]
    name = found.quarter or "undecided"
    is_good = found.quarter == "learning away"
    style = "bold $success" if is_good else "bold $warning" if found.quarter else "bold"
    first, *others = wrap(f"{name}: {found.meaning}", max(width, len(name) + 2))
    meaning = joined(literal(name, style), literal(first.removeprefix(name)))
    return [meaning, *map(literal, others), literal(found.figures)]


def _agreement(snapshot: Snapshot, width: int, height: int, ascii_only: bool) -> Content:
    del ascii_only
    return agreement_content(snapshot.state, width, height)
