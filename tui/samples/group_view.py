"""One group: the question, the frames, and as many of its completions side by side as fit."""

from typing import Final

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from tui import keys
from tui.samples.frame_view import FrameView
from tui.samples.rows import Completion, Group
from tui.samples.text import bias_content, completion_content, completion_heading, question_content

MIN_COLUMN_CELLS: Final = 36
MAX_CHARS: Final = 4_000
"""Of one completion beside others; its own view shows more."""


class CompletionColumn(Static):
    """One completion beside others."""

    DEFAULT_CSS = """
    CompletionColumn { width: 1fr; height: auto; padding: 0 1; border-left: tall $surface; }
    CompletionColumn.-chosen { border-left: tall $accent; }
    """

    class Chosen(Message):
        """A column was clicked."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self.place = 0

    def on_click(self) -> None:
        """Choose this completion."""
        self.post_message(self.Chosen(self.place))


class GroupView(VerticalScroll, can_focus=True):
    """The chosen group; left and right choose among its completions.

    Args:
        ascii_only: Draw with ASCII characters only.
        id: The widget's.
    """

    BINDINGS = keys.bindings("group")
    DEFAULT_CSS = """
    GroupView { height: 1fr; }
    GroupView > Static { height: auto; padding: 0 1; }
    GroupView > Horizontal { height: auto; }
    GroupView > #position { color: $text-muted; }
    """

    class Opened(Message):
        """The chosen completion is wanted in full."""

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.ascii_only = ascii_only
        self.group: Group | None = None
        self.chosen = 0
        self.tint = "colour"
        self.said = ""

    def compose(self) -> ComposeResult:
        """The question, the frames, where we are, and the columns."""
        yield Static(id="question", markup=False)
        yield FrameView(ascii_only=self.ascii_only, id="frames")
        yield Static(id="position", markup=False)
        yield Horizontal(id="columns")
        yield Static(id="bias", markup=False)

    def on_mount(self) -> None:
        """Without colours, underlines say which tokens have left the bias model."""
        if self.app.no_color:
            self.tint = "marks"

    def show(self, group: Group | None, said: str = "") -> None:
        """Show another group, or say why there is none."""
        before, self.group, self.said = self.group, group, said
        if group is None or before is None or _place(group) != _place(before):
            self.chosen = 0
            self.scroll_home(animate=False)
        self.draw()

    @property
    def completion(self) -> Completion | None:
        """The chosen completion."""
        if self.group is None:
            return None
        return self.group.completions[min(self.chosen, len(self.group.completions) - 1)]

    def action_choose(self, by: int) -> None:
        """Choose the completion so many to the right."""
        if self.group is not None:
            self.choose(self.chosen + by)

    def choose(self, place: int) -> None:
        """Choose a completion."""
        if self.group is not None:
            self.chosen = max(0, min(place, len(self.group.completions) - 1))
            self.draw()

    def action_open(self) -> None:
        """Ask for the whole text of the chosen completion."""
        if self.completion is not None:
            self.post_message(self.Opened())

    def on_completion_column_chosen(self, message: CompletionColumn.Chosen) -> None:
        """A click chooses; on the chosen one it opens."""
        message.stop()
        if message.place == self.chosen:
            self.action_open()
        else:
            self.choose(message.place)

    def on_resize(self, _: events.Resize) -> None:
        """More or fewer columns may fit."""
        self.draw()

    def draw(self) -> None:
        """Draw everything anew."""
        question = self.query_one("#question", Static)
        if self.group is None:
            question.update(Content(self.said))
            for name in ("#position", "#bias"):
                self.query_one(name, Static).update(Content(""))
            self._fit_columns(0)
            return
        question.update(question_content(self.group, ascii_only=self.ascii_only))
        answer = self.group.bias_answer
        bias = (
            Content("")
            if answer is None
            else bias_content(answer, ascii_only=self.ascii_only, max_chars=MAX_CHARS)
        )
        self.query_one("#bias", Static).update(bias)
        self._draw_columns(self.group)

    def _draw_columns(self, group: Group) -> None:
        num_completions = len(group.completions)
        fitting = max(1, min(num_completions, self.size.width // MIN_COLUMN_CELLS))
        first = min(max(0, self.chosen - fitting // 2), num_completions - fitting)
        columns = self._fit_columns(fitting)
        for column, place in zip(columns, range(first, first + fitting), strict=True):
            completion = group.completions[place]
            column.place = place
            column.set_class(place == self.chosen, "-chosen")
            number = f"{'>' if place == self.chosen else ' '} {place + 1} of {num_completions}\n"
            column.update(
                Content.assemble(
                    (number, "bold"),
                    completion_heading(completion, ascii_only=self.ascii_only),
                    "\n\n",
                    completion_content(completion, self.tint, MAX_CHARS),
                )
            )
        shown = f"{first + 1}" if fitting == 1 else f"{first + 1} to {first + fitting}"
        where = f"completion{'s' if fitting > 1 else ''} {shown} of {num_completions}"
        self.query_one("#position", Static).update(Content(where))

    def _fit_columns(self, number: int) -> list[CompletionColumn]:
        """So many columns, those that stand kept."""
        box = self.query_one("#columns", Horizontal)
        columns = [c for c in box.query(CompletionColumn) if not c.has_class("-leaving")]
        for column in columns[number:]:
            column.add_class("-leaving")
            column.remove()
        new = [CompletionColumn() for _ in range(number - len(columns))]
        if new:
            box.mount(*new)
        return [*columns[:number], *new]


def _place(group: Group) -> tuple[int, int]:
    return group.step, group.number
