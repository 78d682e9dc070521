"""One completion in full, as far as a screen can hold it."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from tui import keys
from tui.samples.copying import sample_text
from tui.samples.rows import MAX_TEXT_CHARS, Completion, Group
from tui.samples.text import (
    completion_content,
    completion_heading,
    question_content,
    tint_legend,
)
from tui.widgets.keys_footer import KeysFooter


class DetailScreen(Screen[None]):
    """A completion below its question, to be read and scrolled.

    Args:
        group: The group.
        completion: One of its completions.
        tint: How tokens show their signed KL, one of `tui.samples.text.TINTS`.
        ascii_only: Draw with ASCII characters only.
    """

    BINDINGS = keys.bindings("text")
    DEFAULT_CSS = """
    DetailScreen VerticalScroll > Static { height: auto; padding: 0 1; }
    DetailScreen #legend { color: $text-muted; }
    """

    def __init__(
        self, group: Group, completion: Completion, tint: str, *, ascii_only: bool = False
    ) -> None:
        super().__init__()
        self.group, self.completion = group, completion
        self.tint, self.ascii_only = tint, ascii_only

    def compose(self) -> ComposeResult:
        """The question, the numbers and the text."""
        heading = completion_heading(self.completion, ascii_only=self.ascii_only)
        text = completion_content(self.completion, self.tint, MAX_TEXT_CHARS)
        with VerticalScroll():
            yield Static(question_content(self.group, ascii_only=self.ascii_only), markup=False)
            yield Static(Content("\n").append(heading), markup=False)
            yield Static(Content(tint_legend(self.tint)), id="legend", markup=False)
            yield Static(Content("\n").append(text), id="whole", markup=False)
        yield KeysFooter()

    def action_copy(self) -> None:
        """Copy the sample as text."""
        self.app.copy_to_clipboard(sample_text(self.group, self.completion))
        self.notify("The sample was copied.", markup=False)
