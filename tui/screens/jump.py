"""A letter on every panel of a screen; pressing or clicking it goes to the panel."""

from collections.abc import Sequence
from typing import ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Static

from tui.literal import literal
from tui.widgets.panels import Panel

LETTERS: Final = "asdfghjklwertzuivbnm"


class JumpScreen(ModalScreen[Widget | None]):
    """Gives the widget whose letter was chosen.

    Args:
        targets: What can be gone to, in the order of the letters.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Stay here")]
    DEFAULT_CSS = """
    JumpScreen { background: $background 30%; align: left top; }
    JumpScreen Static {
        position: absolute; width: 3; height: 1; background: $accent; color: $background;
        text-style: bold;
    }
    """

    def __init__(self, targets: Sequence[Widget]) -> None:
        super().__init__()
        self.targets = dict(zip(LETTERS, targets, strict=False))
        self._made_for = self.app.size

    def compose(self) -> ComposeResult:
        """The letters, each at the upper left of its widget."""
        for letter, target in self.targets.items():
            label = Static(literal(f" {letter} "), id=f"to-{letter}", markup=False)
            label.styles.offset = target.region.offset
            yield label

    def on_key(self, event: events.Key) -> None:
        """Go there, or stay where no panel has the letter."""
        if event.key != "escape":
            event.stop()
            self.dismiss(self.targets.get(event.key))

    def on_click(self, event: events.Click) -> None:
        """Go to the letter that was clicked; stay for a click elsewhere."""
        name = event.widget.id if event.widget is not None else None
        self.dismiss(self.targets.get(name.removeprefix("to-")) if name else None)

    def on_resize(self) -> None:
        """Letters that stand in the wrong place would mislead."""
        if self.app.size != self._made_for:
            self.dismiss(None)


def targets_of(screen: Screen[object]) -> list[Widget]:
    """What can be focused or clicked on a screen, from top to bottom and left to right."""
    focusable = screen.focus_chain
    clickable = [panel for panel in screen.query(Panel) if panel.is_clickable]
    found = [*(node for node in focusable if isinstance(node, Widget)), *clickable]
    in_sight = [widget for widget in found if widget.display and widget.region]
    return sorted(in_sight, key=lambda widget: (widget.region.y, widget.region.x))


def go_to(widget: Widget | None) -> None:
    """Do what going there is: focus it, or do what a click on it does."""
    if isinstance(widget, Panel):
        widget.on_click()
    elif widget is not None:
        widget.focus()
