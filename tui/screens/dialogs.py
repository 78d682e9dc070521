"""Dialogs over a screen: what to ask of the run, a question with yes and no, help."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Final

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from tui import keys
from tui.control import ASKS, Ask, is_waiting, listens_when, parse_beta
from tui.curves import MARK_LETTERS
from tui.literal import joined, literal
from tui.source import Snapshot
from vtk.format import format_number

_CLOSE: Final = [Binding("escape", "dismiss", "Close")]


class ControlMenu(ModalScreen[Ask | None]):
    """Lets the user choose a request; gives None where they choose none.

    Args:
        snapshot: The run as it stands.
    """

    BINDINGS = [  # noqa: RUF012
        Binding("escape,c", "dismiss", "Close"),
        *(Binding(ask.key, f"choose({number})", ask.title) for number, ask in enumerate(ASKS)),
    ]

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def compose(self) -> ComposeResult:
        """A title and the list."""
        with Vertical(classes="dialog"):
            title = f"Ask the run {self.snapshot.state.run_id}. {listens_when(self.snapshot)}"
            yield Static(literal(title, "bold"), markup=False)
            yield OptionList(*(Option(self._line(ask)) for ask in ASKS), markup=False)
            yield Static(literal("Enter or a letter chooses, Esc closes", "$foreground-muted"))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Chosen with Enter or the mouse."""
        self.action_choose(event.option_index)

    def action_choose(self, number: int) -> None:
        """Chosen with its letter."""
        self.dismiss(ASKS[number])

    def _line(self, ask: Ask) -> Content:
        waits = " (asked already)" if is_waiting(self.snapshot, ask.action) else ""
        return joined(
            literal(f"{ask.key} ", "bold $primary"),
            literal(f"{ask.title:<21}", "bold"),
            literal(ask.what + waits, "$foreground-muted"),
        )


class Confirm(ModalScreen[bool]):
    """A question; gives whether the answer was yes.

    Args:
        words: The question.
    """

    BINDINGS = [  # noqa: RUF012
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
    ]

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words

    def compose(self) -> ComposeResult:
        """The question over two buttons."""
        with Vertical(classes="dialog"):
            yield Static(literal(self.words), markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Yes (y)", id="yes", variant="primary", compact=True)
                yield Button("No (n)", id="no", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answered with the mouse or Enter."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, is_yes: bool) -> None:
        """Answered with a letter."""
        self.dismiss(is_yes)


class AskBeta(ModalScreen[float | None]):
    """Lets the user type a coefficient; gives None where they leave it.

    Args:
        old: The one in force, if it is known.
    """

    BINDINGS = _CLOSE  # type: ignore[assignment]

    def __init__(self, old: float | None) -> None:
        super().__init__()
        self.old = old

    def compose(self) -> ComposeResult:
        """A line to type in."""
        with Vertical(classes="dialog"):
            words = f"New beta (now {format_number(self.old)}): negative repels, 0 is off"
            yield Static(literal(words, "bold"), markup=False)
            yield Input(format_number(self.old) if self.old is not None else "", compact=True)
            yield Static("", id="fault", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it, or say what is wrong with it."""
        try:
            self.dismiss(parse_beta(event.value))
        except ValueError as error:
            self.query_one("#fault", Static).update(literal(str(error), "$error"))


_HELP_LEFT: Final = 12
_HELP_CELLS: Final = 200
_SCROLL_BAR_CELLS: Final = 2


class Help(ModalScreen[None]):
    """Every key, and what the letters on the charts mean; made from the table of keys.

    Args:
        all_keys: The table, with the user's keys.
        is_read_only: Actions that change the run are off.
    """

    BINDINGS = [Binding("escape,q,question_mark", "dismiss", "Close")]  # noqa: RUF012

    def __init__(self, all_keys: Sequence[keys.Key], is_read_only: bool) -> None:
        super().__init__()
        self.all_keys, self.is_read_only = all_keys, is_read_only

    def compose(self) -> ComposeResult:
        """A list that scrolls."""
        with VerticalScroll(classes="dialog help"):
            yield Static(markup=False)

    def on_resize(self) -> None:
        """Sentences are broken anew where their column is."""
        box, text = self.query_one(VerticalScroll), self.query_one(Static)
        width = box.size.width - _SCROLL_BAR_CELLS
        text.update(help_content(self.all_keys, self.is_read_only, width))


def help_content(
    all_keys: Sequence[keys.Key], is_read_only: bool, width: int = _HELP_CELLS
) -> Content:
    """The text of the help.

    Args:
        all_keys: The table.
        is_read_only: Actions that change the run are off.
        width: Cells across; a longer sentence goes on below its beginning.
    """
    rows = list[Content]()

    def tell(key: str, words: str) -> None:
        first, *others = wrap(words, max(_HELP_LEFT, width - _HELP_LEFT)) or [""]
        rows.append(joined(literal(f"{key:>{_HELP_LEFT - 2}}  ", "bold"), literal(first)))
        rows.extend(literal(" " * _HELP_LEFT + other) for other in others)

    for where, head in keys.HEADS.items():
        rows += [literal(head, "bold $primary")]
        for key in all_keys:
            if key.where == where:
                is_off = is_read_only and key.changes_run
                tell(key.shown, key.help + (" (off: read-only)" if is_off else ""))
        rows.append(Content(""))
    tell("mouse", "Move: crosshair. Wheel: zoom. Shift+wheel: values. Drag: pan.")
    rows += [Content(""), literal("Letters on the charts", "bold $primary")]
    for letter, what in MARK_LETTERS.items():
        tell(letter, what)
    tell("×", "a value that is not finite (NaN or infinity)")
    tell("↓", "a value that a logarithmic scale has no place for (zero or below)")
    return Content("\n").join(rows)
