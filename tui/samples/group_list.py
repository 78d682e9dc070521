"""The list of groups: a line each, of which only those on the screen are ever drawn or loaded."""

from collections.abc import Collection, Mapping
from typing import ClassVar, Final

import numpy as np
from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui import keys
from tui.samples.query import GroupRef, Listing
from tui.samples.rows import Group
from vtk.format import MISSING, visible_text

_SPARE_LINES: Final = 20
_COLUMNS: Final = {"step": 8, "type": 14, "right": 6, "reward": 9, "spread": 9, "signed KL": 10}
_NARROW_COLUMNS: Final = {"step": 7, "type": 10, "right": 6, "reward": 8, "signed KL": 10}
_WIDE_FROM_CELLS: Final = 100


def heading(width: int) -> str:
    """The names of the columns of a list that is so many cells wide."""
    return "".join(name.ljust(cells) for name, cells in _columns(width).items()) + "question"


def _columns(width: int) -> dict[str, int]:
    return _COLUMNS if width >= _WIDE_FROM_CELLS else _NARROW_COLUMNS


class GroupList(ScrollView, can_focus=True):
    """Groups in order; the highlighted one is what the rest of the screen shows."""

    BINDINGS = keys.bindings("list")
    COMPONENT_CLASSES: ClassVar[set[str]] = {"group-list--cursor", "group-list--faint"}
    DEFAULT_CSS = """
    GroupList { height: 1fr; overflow-x: hidden; }
    GroupList > .group-list--cursor { background: $primary; color: $text; text-style: bold; }
    GroupList > .group-list--faint { color: $text-muted; }
    """

    cursor: reactive[int] = reactive(0)

    class Highlighted(Message):
        """Another group is highlighted; None where there is none."""

        def __init__(self, ref: GroupRef | None) -> None:
            super().__init__()
            self.ref = ref

    class Opened(Message):
        """A group is wanted on its own."""

    class Wanted(Message):
        """Groups that come onto the screen and are not loaded."""

        def __init__(self, refs: list[GroupRef]) -> None:
            super().__init__()
            self.refs = refs

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        nothing = np.zeros(0, dtype=np.int64)
        self.listing = Listing(nothing, nothing, 0, 0)
        self._groups: dict[GroupRef, Group | None] = {}
        self._asked: set[GroupRef] = set()

    def show(self, listing: Listing) -> None:
        """Show other groups; the highlighted one stays, unless it was the first, which follows."""
        ref = self.ref
        line = 0
        if ref is not None and self.cursor > 0:
            found = listing.line_of(ref)
            line = min(self.cursor, max(0, len(listing) - 1)) if found is None else found
        self.listing = listing
        self._asked.clear()
        self._fit()
        self.cursor = line
        self._keep_in_view()
        self.refresh()
        if self.ref != ref:
            self.post_message(self.Highlighted(self.ref))

    def fill(self, groups: Mapping[GroupRef, Group | None]) -> None:
        """Take in groups that were asked for."""
        near = set(self._near())
        self._groups = {ref: g for ref, g in self._groups.items() if ref in near} | dict(groups)
        self._asked -= set(groups)
        self.refresh()

    def forget(self, steps: Collection[int]) -> None:
        """Load the groups of these steps again: their files have changed."""
        self._groups = {ref: g for ref, g in self._groups.items() if ref[0] not in steps}
        self._asked = {ref for ref in self._asked if ref[0] not in steps}

    @property
    def ref(self) -> GroupRef | None:
        """The highlighted group; None where there is none."""
        return self.listing[self.cursor] if 0 <= self.cursor < len(self.listing) else None

    def move_to_line(self, line: int) -> None:
        """Highlight the group on a line."""
        self.cursor = max(0, min(line, len(self.listing) - 1))
        self._keep_in_view()

    def action_move(self, lines: int) -> None:
        """Highlight another group, so many lines below."""
        self.move_to_line(self.cursor + lines)

    def action_page(self, pages: int) -> None:
        """Highlight a group a screen further."""
        self.move_to_line(self.cursor + pages * max(1, self.size.height - 1))

    def action_move_to(self, line: int) -> None:
        """Highlight a line, counted from the end where negative."""
        self.move_to_line(line if line >= 0 else len(self.listing) + line)

    def action_open(self) -> None:
        """Ask for the highlighted group on its own."""
        if self.ref is not None:
            self.post_message(self.Opened())

    def watch_cursor(self, before: int, now: int) -> None:
        """Tell that another group is highlighted."""
        if before != now:
            self.refresh()
            self.post_message(self.Highlighted(self.ref))

    def on_resize(self) -> None:
        """Lines are as wide as the widget."""
        self._fit()
        self._keep_in_view()

    def on_click(self, event: events.Click) -> None:
        """Highlight what is clicked; a second click opens it."""
        line = event.y + self.scroll_offset.y
        if line < len(self.listing):
            is_same = line == self.cursor
            self.move_to_line(line)
            if is_same:
                self.action_open()

    def render_line(self, y: int) -> Strip:
        """One line of the list."""
        if y == 0:
            self._ask()
        width, line = self.size.width, y + self.scroll_offset.y
        base = self.rich_style
        if line >= len(self.listing):
            return Strip.blank(width, base)
        text = set_cell_size(self._line(self.listing[line]), width)
        style = base
        if line == self.cursor:
            style = base + self.get_component_rich_style("group-list--cursor")
            if not self.has_focus:
                style += Style(dim=True)
        return Strip([Segment(text, style)], width)

    def _line(self, ref: GroupRef) -> str:
        columns = _columns(self.size.width)
        if ref not in self._groups:
            return f"{ref[0]:<{columns['step']}}…"
        group = self._groups[ref]
        if group is None:
            return f"{ref[0]:<{columns['step']}}not in its file"
        kl = group.signed_kl
        values = {
            "step": str(group.step),
            "type": _cut(group.question_type, columns["type"] - 1),
            "right": f"{group.num_right}/{len(group.completions)}",
            "reward": _short(group.mean_reward),
            "spread": _short(group.reward_spread),
            "signed KL": MISSING if kl is None else _short(kl, "+.4f"),
        }
        told = "".join(values[name].ljust(cells) for name, cells in columns.items())
        return told + visible_text(group.problem, 200)

    def _near(self) -> list[GroupRef]:
        """Groups on the screen and just beyond it."""
        first = max(0, self.scroll_offset.y - _SPARE_LINES)
        last = min(len(self.listing), self.scroll_offset.y + self.size.height + _SPARE_LINES)
        return [self.listing[line] for line in range(first, last)]

    def _ask(self) -> None:
        top = self.scroll_offset.y
        seen = range(top, min(len(self.listing), top + self.size.height))
        if all(self.listing[line] in self._groups for line in seen):
            return
        refs = [ref for ref in self._near() if ref not in self._groups and ref not in self._asked]
        if refs:
            self._asked |= set(refs)
            self.post_message(self.Wanted(refs))

    def _fit(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.listing))

    def _keep_in_view(self) -> None:
        region = Region(0, self.cursor, max(1, self.size.width), 1)
        self.scroll_to_region(region, animate=False, force=True)


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 1]}."


def _short(value: float, form: str = ".2f") -> str:
    """A number of at most eight characters."""
    shown = format(value, form)
    return shown if len(shown) <= 8 else format(value, ".1e")
