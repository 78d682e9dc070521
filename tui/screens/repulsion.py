"""Is CDPO working: reward against distance from the bias model, as a trail over the steps."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget

from tui.accuracy import rollout_accuracies
from tui.facts import beta_in_words
from tui.literal import joined, lines, literal
from tui.plot import Cells
from tui.screens.run_screen import RunScreen
from tui.source import Snapshot
from tui.trail import Trail, Verdict, trail_of, verdict
from tui.trail_plot import draw_trail
from tui.widgets.panels import Panel
from tui.widgets.picture import Picture
from vtk.format import MISSING, format_number, format_percent
from vtk.runs.series import Point
from vtk.runs.snapshot import RunState

_NOTHING = "no step with a signed KL yet: only a run with a bias model (train-cdpo) has one"
AGREEMENT = "bias_agreement/"
"""Metrics of the share of completions that answer as the bias model does, by question type."""


class RepulsionScreen(RunScreen):
    """The trail with its four quarters, and beside it what it means."""

    screen_name: ClassVar[str] = "repulsion"

    def __init__(self) -> None:
        super().__init__()
        self._trail: Trail | None = None
        self._reward: Sequence[Point] | None = None

    def body(self) -> Iterable[Widget]:
        """The picture over a few lines."""
        yield Vertical(
            Panel(self._verdict_lines, id="verdict"),
            Picture(self._picture, id="trail"),
            Panel(_agreement_lines, id="agreement"),
            id="repulsion-body",
        )

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
        del height, ascii_only
        found = None if self._trail is None else verdict(self._trail)
        beta = literal(beta_in_words(snapshot), "$foreground-muted")
        return lines([*_verdict(found), beta], width)


def _verdict(found: Verdict | None) -> list[Content]:
    if found is None:
        return [literal("too few steps to compare the last with the first")]
    name = "not told apart from the start" if found.quarter is None else found.quarter
    is_good = found.quarter == "learning away"
    style = "bold $success" if is_good else "bold $warning" if found.quarter else "bold"
    return [joined(literal(name, style), literal(f": {found.meaning}")), literal(found.figures)]


def _agreement_lines(snapshot: Snapshot, width: int, height: int, ascii_only: bool) -> Content:
    """Agreement with the bias model by type where it is recorded, and accuracy of rollouts."""
    del height, ascii_only
    state = snapshot.state
    return lines([_agreement(state), _rollouts(state)], width)


def _agreement(state: RunState) -> Content:
    recorded = {
        name.removeprefix(AGREEMENT): value
        for name, value in state.metrics.items()
        if name.startswith(AGREEMENT) and not name.endswith("_n")
    }
    if not recorded:
        return literal(
            "agreement with the bias model: this run does not record it", "$foreground-muted"
        )
    shown = "   ".join(
        f"{name} {format_percent(value)} n "
        f"{format_number(state.metrics.get(f'{AGREEMENT}{name}_n'))}"
        for name, value in recorded.items()
    )
    return joined(literal("answers as the bias model does: ", "bold"), literal(shown))


def _rollouts(state: RunState) -> Content:
    found = rollout_accuracies(state)
    shown = "   ".join(
        f"{name} {format_percent(each.accuracy)} n {each.n}" for name, each in found.items()
    )
    return joined(literal("right in the last steps: ", "bold"), literal(shown or MISSING))
