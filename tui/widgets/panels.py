"""Panels of text that are made anew from each snapshot, for the width they have."""

from collections.abc import Callable
from typing import Protocol

from textual.content import Content
from textual.widget import Widget
from typing_extensions import override

from tui.source import Snapshot


class MakesContent(Protocol):
    """What fills a panel."""

    def __call__(self, snapshot: Snapshot, width: int, height: int, ascii_only: bool) -> Content:
        """Return the panel's lines, in `width` cells and at best `height` lines."""


class Panel(Widget):
    """Shows what a function makes of the newest snapshot.

    Args:
        make: The function.
        id: Of the widget.
        on_click: Called when the panel is clicked.
    """

    def __init__(
        self,
        make: MakesContent,
        *,
        id: str | None = None,
        on_click: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(id=id)
        self.make, self._do_on_click = make, on_click
        self.snapshot = Snapshot()
        self.ascii_only = False
        self._content: Content | None = None

    @property
    def is_clickable(self) -> bool:
        """Whether a click does something."""
        return self._do_on_click is not None

    def show(self, snapshot: Snapshot, ascii_only: bool = False) -> None:
        """Take the newest snapshot; the screen changes only where the text does."""
        self.snapshot, self.ascii_only = snapshot, ascii_only
        content = self._made()
        if self._content is None or not _is_same(content, self._content):
            self._content = content
            self.refresh(layout=self.styles.is_auto_height)

    @override
    def render(self) -> Content:
        self._content = self._made()
        return self._content

    def on_click(self) -> None:
        """Do what a click is for here."""
        if self._do_on_click is not None:
            self._do_on_click()

    def _made(self) -> Content:
        width, height = self.content_size
        return self.make(self.snapshot, width or 80, height or 10, self.ascii_only)


def _is_same(one: Content, other: Content) -> bool:
    return one.plain == other.plain and one.spans == other.spans
