"""A screen with the completions of the run."""

from collections.abc import Iterable
from typing import ClassVar

from textual.dom import DOMNode
from textual.widget import Widget
from typing_extensions import override

from tui.keys import Where
from tui.samples.pane import SamplesPane
from tui.screens.run_screen import RunScreen
from tui.source import Snapshot


class SamplesScreen(RunScreen):
    """Shows the completions of the run, whichever run the dashboard follows."""

    screen_name: ClassVar[str] = "samples"
    places: ClassVar[tuple[Where, ...]] = ("samples",)

    @property
    @override
    def actor(self) -> DOMNode:
        return self.query_one(SamplesPane)

    @override
    def body(self) -> Iterable[Widget]:
        yield SamplesPane(ascii_only=self.dashboard.ascii_only)

    @override
    def show_body(self, snapshot: Snapshot) -> None:
        if snapshot.paths is not None:
            playback = snapshot.playback
            last_seq = None if playback is None else playback.last_seq
            self.query_one(SamplesPane).follow(snapshot.paths, last_seq)
