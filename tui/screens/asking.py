"""One line of input over a screen: what to search for, which step to go to."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static


class AskingScreen(ModalScreen[str | None]):
    """Asks for one line; Escape gives None.

    Args:
        question: What is asked, in words of ours.
        value: What stands there already.
        is_count: Only digits can be typed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave")]
    DEFAULT_CSS = """
    AskingScreen { align: center bottom; background: $background 40%; }
    AskingScreen Static { width: 100%; padding: 0 1; background: $panel; }
    """

    def __init__(self, question: str, value: str = "", *, is_count: bool = False) -> None:
        super().__init__()
        self.question, self.value, self.is_count = question, value, is_count

    def compose(self) -> ComposeResult:
        """The question and a line to write in."""
        yield Static(Content(self.question), markup=False)
        yield Input(self.value, type="integer" if self.is_count else "text")

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Give what was written."""
        self.dismiss(message.value)

    def action_leave(self) -> None:
        """Give nothing."""
        self.dismiss(None)
