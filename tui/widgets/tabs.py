"""The names of the screens, each with its key; a click opens one."""

from collections.abc import Sequence

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from typing_extensions import override

from tui.literal import joined, literal

_NARROWEST = 6


class Tabs(Widget):
    """One line of screens.

    Args:
        entries: Key, name and title of each screen.
        active: The name of the one that is open.
    """

    class Chosen(Message):
        """A screen was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, entries: Sequence[tuple[str, str, str]], active: str) -> None:
        super().__init__()
        self.entries, self.active = entries, active
        self._ends: list[tuple[int, str]] = []

    @override
    def render(self) -> Content:
        parts, self._ends = list[Content](), []
        room = self.size.width - sum(len(key) + 3 for key, _, _ in self.entries)
        is_room = sum(len(title) for _, _, title in self.entries) <= room
        per_title = room if is_room else max(_NARROWEST, room // max(1, len(self.entries)))
        end = 0
        for key, name, title in self.entries:
            shown = title[:per_title]
            style = "reverse bold" if name == self.active else "$foreground-muted"
            text = literal(f" {key} {shown} ", style)
            parts.append(text)
            end += text.cell_length
            self._ends.append((end, name))
        return joined(*parts)

    def on_click(self, event: events.Click) -> None:
        """Open what was clicked."""
        for end, name in self._ends:
            if event.x < end:
                self.post_message(self.Chosen(name))
                return
