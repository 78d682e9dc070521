"""Is CDPO working: reward against distance from the bias model, as a trail over the steps."""

from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import ClassVar, Final

from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from typing_extensions import override

from tui.agreement import agreement_content
from tui.literal import joined, lines, literal
from tui.plot import Cells
from tui.screens.run_screen import RunScreen
from tui.source import Snapshot
from tui.trail import Trail, Verdict, trail_of, verdict
from tui.trail_plot import draw_trail
from tui.widgets.panels import Panel
from tui.widgets.picture import Picture
from vtk.runs.series import Point

_NOTHING = "no step with a signed KL yet: only a run with a bias model (train-cdpo) has one"

_LEGEND: Final = (
    "S start   {} now   line: average over steps, numbers: its steps   dots: single steps"
)


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
            Picture(self._picture, id="trail"),
            Panel(_agreement, id="agreement"),
            id="repulsion-body",
        )

    @override
    def show_body(self, snapshot: Snapshot) -> None:
        """Draw the trail anew where there are new steps."""
        reward = snapshot.state.history.get("reward/mean")
        if reward is not self._reward or self._trail is None:
            self._reward, self._trail = reward, trail_of(snapshot.state)
            self.query_one("#trail", Picture).redraw()
        for panel_id in ("verdict", "agreement"):
            self.query_one(f"#{panel_id}", Panel).show(snapshot, self.dashboard.ascii_only)

    def _picture(self, width: int, height: int) -> Cells:
        if self._trail is not None:
            return draw_trail(self._trail, width, height, self.dashboard.ascii_only)
        cells = Cells(width, height)
        cells.put(height // 2, 2, _NOTHING[: max(0, width - 2)], "note")
        return cells

    def _verdict_lines(
        self, snapshot: Snapshot, width: int, height: int, ascii_only: bool
    ) -> Content:
        del snapshot
        found = None if self._trail is None else verdict(self._trail)
        told = _verdict(found, width)
        legend = literal(_LEGEND.format("@" if ascii_only else "●"), "$foreground-muted")
        return lines([*told, legend][:height], width)


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
