"""Runs side by side: one metric as curves, statuses, accuracies, metrics, differing settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Container, ScrollableContainer, Vertical
from textual.content import Content
from textual.widgets import SelectionList, Static
from textual.widgets.selection_list import Selection
from textual.worker import get_current_worker

from tui import keys
from tui.compare.drawing import Head, drawn
from tui.compare.facts import Listed, Moment, RunFacts, RunSet, name_in
from tui.compare.overlay import FIRST_METRIC, RunNumbers, keeps_zero, lanes_of, metrics_of, overlay
from tui.compare.reading import Reading
from tui.compare.table import comparison
from tui.plot_parts import Lane, marker
from tui.viewport import Viewport
from tui.widgets.chart import Chart
from vtk.format import visible_text
from vtk.runs.store import RunPaths

POLL_INTERVAL_S: Final = 2.0
WIDE_FROM_CELLS: Final = 110
TALL_FROM_ROWS: Final = 28
"""From this height on chart and table share the screen; below, one of them has it."""
_NUM_CHOSEN_FIRST: Final = 3
_LIST_CELLS: Final = 26
_NARROWEST_TABLE: Final = 20
_AROUND_TABLE: Final = 5
"""Cells of its padding, its scroll bar and the line that shows where the focus is."""
_DIVISIONS: Final = ("", "-chart", "-table")


class ComparePane(Container):
    """Compares runs of one folder, live ones too, and others that were named.

    Args:
        paths: The run that the user comes from, the first baseline; None until `follow` names it.
        beside: Runs that are chosen first; none is the run and the newest other trainings.
        ascii_only: Draw with ASCII characters only.
    """

    BINDINGS = keys.bindings("compare")
    DEFAULT_CSS = """
    ComparePane { height: 1fr; }
    ComparePane #both { layout: vertical; height: 1fr; }
    ComparePane.-wide #both { layout: horizontal; }
    ComparePane SelectionList { height: auto; max-height: 8; width: 100%; border: round $primary; }
    ComparePane.-wide SelectionList { height: 100%; max-height: 100%; width: 26; }
    ComparePane #shown { height: 1fr; width: 1fr; }
    ComparePane #overlay { height: 2fr; display: none; }
    ComparePane.-tall #overlay, ComparePane.-chart #overlay { display: block; }
    ComparePane #table-box { height: 3fr; width: 1fr; }
    ComparePane.-chart #table-box { display: none; }
    ComparePane.-table #overlay { display: none; }
    ComparePane #table-box:focus { border-left: tall $accent; }
    ComparePane #table { width: auto; height: auto; padding: 0 1; }
    """

    def __init__(
        self,
        paths: RunPaths | None = None,
        *,
        beside: Sequence[RunPaths] = (),
        ascii_only: bool = False,
    ) -> None:
        super().__init__()
        self.ascii_only, self.beside = ascii_only, beside
        self.reading: Reading = "mean"
        self.metric, self.viewport, self.numbers = FIRST_METRIC, Viewport(), RunNumbers()
        self._moment: Moment | None = None
        self._begin(paths)

    def compose(self) -> ComposeResult:
        """The runs to choose from, and the table."""
        with Container(id="both"):
            yield SelectionList[str](id="runs")
            with Vertical(id="shown"):
                yield Chart("", nothing="no chosen run has this metric", id="overlay")
                with ScrollableContainer(id="table-box"):
                    yield Static(Content("reading the runs …"), id="table", markup=False)

    def on_mount(self) -> None:
        """Begin to follow the runs."""
        self.query_one(SelectionList).border_title = "runs: space chooses"
        self.set_interval(POLL_INTERVAL_S, self.look)
        self.look()

    def follow(self, paths: RunPaths, moment: Moment | None = None) -> None:
        """Begin with a run, in a replay at a moment; the choice stays if the run is the same."""
        is_same = self.paths == paths
        if is_same and moment == self._moment:
            return
        self._moment = moment
        if not is_same:
            self._begin(paths)
        self.look()

    def look(self) -> None:
        """Look for what the runs have added."""
        if self.runs is not None and self.screen.is_current:
            self._read(self.runs)

    def _begin(self, paths: RunPaths | None) -> None:
        self.paths = paths
        self._listed: list[Listed] | None = None
        self._facts: tuple[RunFacts, ...] = ()
        self._lanes: tuple[Lane, ...] = ()
        self._chosen: tuple[str, ...] = ()
        self.runs, self.baseline = None, ""
        if paths is not None:
            runs_dir = paths.root.resolve().parent
            names = [name_in(runs_dir, run) for run in (paths, *self.beside)]
            self._chosen = tuple(dict.fromkeys(names))
            self.baseline = self._chosen[0]
            elsewhere = [name for name in self._chosen if Path(name).is_absolute()]
            self.runs = RunSet(runs_dir, elsewhere)

    def on_resize(self, event: events.Resize) -> None:
        """A wide screen has the runs beside the rest, a tall one chart and table at once."""
        self.set_class(event.size.width >= WIDE_FROM_CELLS, "-wide")
        self.set_class(event.size.height >= TALL_FROM_ROWS, "-tall")
        self.draw()

    @work(thread=True, exclusive=True, group="compare")
    def _read(self, runs: RunSet) -> None:
        moment, chosen = self._moment, self._chosen
        listed = runs.listed(moment)
        if self._listed is None:
            chosen = self._first_choice(listed)
        facts = runs.poll(chosen, moment)
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._show, runs, listed, chosen, facts)

    def _first_choice(self, listed: Sequence[Listed]) -> tuple[str, ...]:
        """The runs that the user named, else theirs and the newest other trainings."""
        if self.beside:
            return self._chosen
        others = [r.run_id for r in listed if r.run_id != self.baseline and r.stage != "eval"]
        return (self.baseline, *others[: _NUM_CHOSEN_FIRST - 1])

    def _show(
        self,
        runs: RunSet,
        listed: list[Listed],
        chosen: tuple[str, ...],
        facts: tuple[RunFacts, ...],
    ) -> None:
        if not self.is_running or not self.query(SelectionList) or runs is not self.runs:
            return  # the screen was left, or shows another run, meanwhile
        is_first = self._listed is None
        if is_first:
            self._chosen = chosen
        if listed != self._listed:
            self._list(listed)
        if chosen == self._chosen:
            self._facts = facts
            self.draw()

    def _list(self, listed: list[Listed]) -> None:
        self._listed = listed
        runs = self.query_one(SelectionList)
        highlighted = runs.highlighted
        with runs.prevent(SelectionList.SelectedChanged):
            runs.clear_options()
            runs.add_options(
                Selection(
                    Content(f"{visible_text(run.run_id, 60)} {run.stage}"),
                    run.run_id,
                    run.run_id in self._chosen,
                )
                for run in listed
            )
        runs.highlighted = 0 if highlighted is None and listed else highlighted

    def draw(self) -> None:
        """Draw the table anew."""
        table = self.query_one("#table", Static)
        if self._listed is None:
            return
        if not self._facts:
            table.update(Content("Choose runs with the space bar."))
            return
        self.numbers.choose(self._chosen)
        runs = self._ordered()
        self._lanes = lanes_of(runs, self.numbers)
        sections = comparison(runs, self.reading, ascii_only=self.ascii_only)
        heads = [Head(marker(self.numbers[r.name], self.ascii_only), r.run_id) for r in runs]
        taken = _AROUND_TABLE + (_LIST_CELLS if self.has_class("-wide") else 0)
        table.update(drawn(sections, heads, max(_NARROWEST_TABLE, self.size.width - taken)))
        self.show_curves(self.viewport)

    def show_curves(self, viewport: Viewport) -> None:
        """Draw the chosen metric of the chosen runs."""
        self.viewport = viewport
        self.numbers.choose(self._chosen)
        chart = self.query_one(Chart)
        chart.title, chart.zero = visible_text(self.metric, 40), keeps_zero(self.metric)
        chart.own_scale = "symlog" if chart.zero else "linear"
        curves = overlay(self._ordered(), self.metric, self.numbers)
        chart.show(curves, (), viewport, self.ascii_only, self._lanes)

    def _ordered(self) -> list[RunFacts]:
        """The runs, the baseline first."""
        first = [facts for facts in self._facts if facts.name == self.baseline]
        return [*first, *(facts for facts in self._facts if facts.name != self.baseline)]

    @on(SelectionList.SelectedChanged)
    def _on_chosen(self) -> None:
        selected = set(self.query_one(SelectionList).selected)
        kept = [name for name in self._chosen if name in selected]
        self._chosen = (*kept, *sorted(selected - set(kept)))
        self._facts = tuple(f for f in self._facts if f.name in self._chosen)
        self.look()

    def action_pin(self) -> None:
        """Measure the others against the highlighted run."""
        runs = self.query_one(SelectionList)
        if runs.highlighted is None:
            return
        name = str(runs.get_option_at_index(runs.highlighted).value)
        self.baseline = name
        if name not in self._chosen:
            runs.select(name)
        self.draw()

    def action_next_metric(self, by: int) -> None:
        """Show another metric in the chart."""
        found = metrics_of(self._facts)
        if found:
            place = found.index(self.metric) + by if self.metric in found else 0
            self.metric = found[place % len(found)]
            self.show_curves(self.viewport)

    def action_next_division(self) -> None:
        """Show chart and table as they fit, the chart alone, or the table alone."""
        now = next((name for name in _DIVISIONS if name and self.has_class(name)), "")
        then = _DIVISIONS[(_DIVISIONS.index(now) + 1) % len(_DIVISIONS)]
        self.remove_class("-chart", "-table")
        if then:
            self.add_class(then)

    def action_next_reading(self) -> None:
        """Show the latest values, or means of the last steps."""
        self.reading = "mean" if self.reading == "latest" else "latest"
        self.draw()
