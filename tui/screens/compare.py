"""A screen with the run beside others of its folder."""

from collections.abc import Iterable
from typing import ClassVar

from textual.dom import DOMNode
from textual.widget import Widget
from typing_extensions import override

from tui.compare.facts import Moment
from tui.compare.pane import ComparePane
from tui.keys import Where
from tui.screens.run_screen import RunScreen
from tui.source import Snapshot


class CompareScreen(RunScreen):
    """Shows the run beside others of its folder, whichever run the dashboard follows."""

    screen_name: ClassVar[str] = "compare"
    where: ClassVar[Where] = "compare"

    @property
    @override
    def actor(self) -> DOMNode:
        return self.query_one(ComparePane)

    @override
    def body(self) -> Iterable[Widget]:
        yield ComparePane(ascii_only=self.dashboard.ascii_only)

    @override
    def show_body(self, snapshot: Snapshot) -> None:
        paths, played = snapshot.paths, snapshot.playback
        if paths is not None:
            moment = (
                None
                if played is None
                else Moment(paths.run_id, played.last_seq, snapshot.now, snapshot.state)
            )
            self.query_one(ComparePane).follow(paths, moment)
