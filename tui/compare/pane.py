"""Runs side by side: statuses, accuracies, metrics, and the settings in which they differ."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Container, ScrollableContainer
from textual.content import Content
from textual.widgets import SelectionList, Static
from textual.widgets.selection_list import Selection
from textual.worker import get_current_worker

from tui import keys
from tui.compare.drawing import drawn
from tui.compare.facts import Listed, Moment, RunFacts, RunSet
from tui.compare.table import Reading, comparison
from vtk.format import visible_text
from vtk.runs.store import RunPaths

POLL_INTERVAL_S: Final = 2.0
WIDE_FROM_CELLS: Final = 110
_NUM_CHOSEN_FIRST: Final = 3


class ComparePane(Container):
    """Compares runs of one folder, live ones too.

    Args:
        paths: The run that the user comes from, the first baseline; None until `follow` names it.
        runs_dir: The folder of all runs; the run's own by default.
        ascii_only: Draw with ASCII characters only.
    """

    BINDINGS = keys.bindings("compare")
    DEFAULT_CSS = """
    ComparePane { height: 1fr; }
    ComparePane #both { layout: vertical; height: 1fr; }
    ComparePane.-wide #both { layout: horizontal; }
    ComparePane SelectionList { height: auto; max-height: 8; width: 100%; border: round $primary; }
    ComparePane.-wide SelectionList { height: 100%; max-height: 100%; width: 28; }
    ComparePane #table-box { height: 1fr; width: 1fr; }
    ComparePane #table-box:focus { border-left: tall $accent; }
    ComparePane #table { width: auto; height: auto; padding: 0 1; }
    """

    def __init__(
        self,
        paths: RunPaths | None = None,
        runs_dir: Path | None = None,
        *,
        ascii_only: bool = False,
    ) -> None:
        super().__init__()
        self.ascii_only = ascii_only
        self.reading: Reading = "latest"
        self._moment: Moment | None = None
        self._begin(paths, runs_dir)

    def compose(self) -> ComposeResult:
        """The runs to choose from, and the table."""
        with Container(id="both"):
            yield SelectionList[str](id="runs")
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
            self._begin(paths, None)
        self.look()

    def look(self) -> None:
        """Look for what the runs have added."""
        if self.runs is not None and self.screen.is_current:
            self._read(self.runs)

    def _begin(self, paths: RunPaths | None, runs_dir: Path | None) -> None:
        self.paths = paths
        self._listed: list[Listed] | None = None
        self._facts: tuple[RunFacts, ...] = ()
        root = Path() if paths is None else paths.root.absolute()
        self.runs = None if paths is None else RunSet(runs_dir or root.parent)
        self.baseline = root.name
        self._chosen: tuple[str, ...] = (root.name,)

    def on_resize(self, event: events.Resize) -> None:
        """A wide screen has the runs beside the table."""
        self.set_class(event.size.width >= WIDE_FROM_CELLS, "-wide")
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
        """The user's run, and the newest other trainings."""
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
        first = [facts for facts in self._facts if facts.run_id == self.baseline]
        runs = [*first, *(facts for facts in self._facts if facts.run_id != self.baseline)]
        sections = comparison(runs, self.reading, ascii_only=self.ascii_only)
        max_name_cells = self.size.width // (4 if self.has_class("-wide") else 3)
        table.update(drawn(sections, [facts.run_id for facts in runs], max_name_cells))

    @on(SelectionList.SelectedChanged)
    def _on_chosen(self) -> None:
        selected = set(self.query_one(SelectionList).selected)
        kept = [name for name in self._chosen if name in selected]
        self._chosen = (*kept, *sorted(selected - set(kept)))
        self._facts = tuple(f for f in self._facts if f.run_id in self._chosen)
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

    def action_next_reading(self) -> None:
        """Show the latest values, or means of the last steps."""
        self.reading = "mean" if self.reading == "latest" else "latest"
        self.draw()
