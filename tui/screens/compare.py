"""A screen with the run beside others of its folder."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.dom import DOMNode
from textual.widget import Widget
from typing_extensions import override

from tui.compare.facts import Moment
from tui.compare.pane import ComparePane
from tui.keys import Where
from tui.screens.run_screen import RunScreen
from tui.source import Snapshot
from vtk.runs.store import RunPaths


class CompareScreen(RunScreen):
    """Shows the run beside others of its folder, whichever run the dashboard follows.

    Args:
        beside: Runs that are chosen first; none is the newest trainings.
    """

    screen_name: ClassVar[str] = "compare"
    places: ClassVar[tuple[Where, ...]] = ("compare", "charts")

    def __init__(self, beside: Sequence[RunPaths] = ()) -> None:
        super().__init__()
        self.beside = beside

    @property
    @override
    def actor(self) -> DOMNode:
        return self.query_one(ComparePane)

    @override
    def body(self) -> Iterable[Widget]:
        yield ComparePane(beside=self.beside, ascii_only=self.dashboard.ascii_only)

    @override
    def show_body(self, snapshot: Snapshot) -> None:
        pane = self.query_one(ComparePane)
        pane.show_curves(self.viewport)
        paths, played = snapshot.paths, snapshot.playback
        if paths is not None:
            moment = (
                None
                if played is None
                else Moment(
                    paths.root.resolve().name, played.last_seq, snapshot.now, snapshot.state
                )
            )
            pane.follow(paths, moment)
