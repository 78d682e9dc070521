"""Where a replay is: a line that a click seeks in; hidden while a run is followed."""

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from typing_extensions import override

from tui.literal import joined, literal
from tui.source import Playback, Snapshot
from vtk.format import format_duration_s

_LABEL_CHARS = 36


class PlayBar(Widget):
    """One line: playing or held, the place, the speed."""

    class Sought(Message):
        """Go to a share of the recording."""

        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

    class Toggled(Message):
        """Play or hold."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.playback: Playback | None = None
        self.ascii_only = False

    def show(self, snapshot: Snapshot, ascii_only: bool) -> None:
        """Take the newest place."""
        if snapshot.playback != self.playback or ascii_only != self.ascii_only:
            self.playback, self.ascii_only = snapshot.playback, ascii_only
            self.display = self.playback is not None
            self.refresh()

    @override
    def render(self) -> Content:
        if self.playback is None:
            return Content("")
        play = self.playback
        signs = (">", "=") if self.ascii_only else ("▶", "‖")
        words = (
            f" {signs[0] if play.is_playing else signs[1]} {format_duration_s(play.position_s)} of "
            f"{format_duration_s(play.duration_s)}  x{play.speed:g}"
        )
        width = max(1, self.size.width - _LABEL_CHARS - 1)
        done = round(width * play.position_s / play.duration_s) if play.duration_s else width
        bars = ("=", "-") if self.ascii_only else ("━", "─")
        return joined(
            literal(words.ljust(_LABEL_CHARS)[:_LABEL_CHARS] + " ", "bold $primary"),
            literal(bars[0] * done, "$primary", width),
            literal(bars[1] * (width - done), "$foreground-muted", width),
        )

    def on_click(self, event: events.Click) -> None:
        """Seek, or play and hold on the words."""
        width = self.size.width - _LABEL_CHARS - 1
        if event.x <= _LABEL_CHARS or width < 2:
            self.post_message(self.Toggled())
        else:
            self.post_message(self.Sought((event.x - _LABEL_CHARS - 1) / (width - 1)))
