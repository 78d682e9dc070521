"""The samples of one run: groups in a list, and the completions of one prompt side by side.

All files are read in worker threads; what comes back is immutable and is shown as literal text.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from textual import events, on, work
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static
from textual.worker import get_current_worker

from tui import keys
from tui.samples.browser import Loaded, SampleBrowser
from tui.samples.copying import reproduce_command, sample_text
from tui.samples.frame_view import FRAME_SIZES, FrameView
from tui.samples.group_list import GroupList, heading
from tui.samples.group_view import CompletionColumn, GroupView
from tui.samples.query import ANSWER_FILTERS, ORDERS, QUESTION_FILTERS, GroupRef, Listing, Query
from tui.samples.rows import Group
from tui.samples.text import TINTS, listing_status, tint_legend
from tui.screens.asking import AskingScreen
from tui.screens.detail import DetailScreen
from vtk.errors import DataError
from vtk.format import visible_text
from vtk.runs.frame_strip import FrameStrip
from vtk.runs.store import RunPaths

POLL_INTERVAL_S: Final = 1.0
TALL_FROM_ROWS: Final = 26
"""From this height on the list and the group share the screen; below, one of them has it."""
_MAX_DIGITS: Final = 18
"""Of a step that is typed: later than any, and Python reads no number of any length."""

ChoiceT = TypeVar("ChoiceT")


class SamplesPane(Vertical):
    """Browses the completions of a run, while it grows or afterwards.

    Args:
        paths: The run; None until `follow` names one.
        ascii_only: Draw with ASCII characters only and without pictures in colour.
    """

    BINDINGS = keys.bindings("samples")
    DEFAULT_CSS = """
    SamplesPane { height: 1fr; }
    SamplesPane #status, SamplesPane #heading {
        height: 1; padding: 0 1; text-overflow: ellipsis; text-wrap: nowrap;
    }
    SamplesPane #heading { color: $text-muted; padding: 0; }
    SamplesPane #notice { color: $warning; display: none; padding: 0 1; }
    SamplesPane #notice { height: auto; max-height: 3; }
    SamplesPane #notice.-said { display: block; }
    SamplesPane #list-box { height: 1fr; }
    SamplesPane GroupView { display: none; }
    SamplesPane.-group #list-box { display: none; }
    SamplesPane.-group GroupView { display: block; }
    SamplesPane.-tall #list-box { display: block; height: 1fr; max-height: 33%; }
    SamplesPane.-tall GroupView { display: block; height: 2fr; border-top: solid $primary; }
    """

    def __init__(self, paths: RunPaths | None = None, *, ascii_only: bool = False) -> None:
        super().__init__()
        self.ascii_only = ascii_only
        self.browser = None if paths is None else SampleBrowser(paths)
        self.query_now = Query()
        self._groups: dict[GroupRef, Group | None] = {}
        self._notices: dict[int, str] = {}
        self._fault = ""
        self._strip_name: str | None = None
        self._last_seq: int | None = None

    def compose(self) -> ComposeResult:
        """The list above, the group below."""
        yield Static(Content("reading the completions …"), id="status", markup=False)
        yield Static(id="notice", markup=False)
        with Vertical(id="list-box"):
            yield Static(id="heading", markup=False)
            yield GroupList(id="groups")
        yield GroupView(ascii_only=self.ascii_only, id="group")

    def on_mount(self) -> None:
        """Begin to follow the run."""
        self.query_one(GroupList).focus()
        self.set_interval(POLL_INTERVAL_S, self.look)
        if self.browser is not None:
            self._read(self.browser, is_first=True)

    def on_resize(self, event: events.Resize) -> None:
        """A tall screen shows list and group at once, a narrow one fewer columns."""
        self.query_one("#heading", Static).update(Content(heading(event.size.width)))
        self.set_class(event.size.height >= TALL_FROM_ROWS, "-tall")

    def follow(self, paths: RunPaths, last_seq: int | None = None) -> None:
        """Show a run, in a replay as it was after the event `last_seq`."""
        is_same = self.browser is not None and self.browser.paths == paths
        if is_same and last_seq == self._last_seq:
            return
        self._last_seq = last_seq
        if is_same:
            self.look()
            return
        self.browser = SampleBrowser(paths)
        self._groups, self._notices, self._fault = {}, {}, ""
        self.query_one("#status", Static).update(Content("reading the completions …"))
        self._read(self.browser, is_first=True)

    def look(self) -> None:
        """Look for what the run has added."""
        if self.browser is not None and self.screen.is_current:
            self._read(self.browser)

    # What is read, in threads.

    @work(thread=True, exclusive=True, group="listing")
    def _search(self, browser: SampleBrowser, query: Query) -> None:
        worker = get_current_worker()

        def tell(listing: Listing) -> None:
            self._deliver(browser, self._show_listing, listing, query, browser.num_completions)

        tell(browser.listing(query, tell, lambda: worker.is_cancelled))

    @work(thread=True, group="poll")
    def _read(self, browser: SampleBrowser, is_first: bool = False) -> None:
        try:
            changed, fault = browser.poll(self._last_seq), ""
        except DataError as error:
            changed, fault = set(), visible_text(error.message)
        if is_first or changed or fault != self._fault:
            self._deliver(browser, self._show_changes, changed, fault)

    @work(thread=True, group="rows")
    def _load(self, browser: SampleBrowser, refs: list[GroupRef]) -> None:
        self._deliver(browser, self._show_loaded, browser.load(refs))

    @work(thread=True, exclusive=True, group="frames")
    def _load_strip(self, browser: SampleBrowser, name: str) -> None:
        try:
            strip, said = browser.strip(name), ""
        except DataError as error:
            strip, said = None, error.message
        self._deliver(browser, self._show_strip, name, strip, said)

    def _deliver(self, browser: SampleBrowser, show: Callable[..., None], *found: Any) -> None:
        """Call a method where the screen lives, unless it has gone, or to another run, by then."""

        def show_if_there() -> None:
            if self.is_running and self.query(GroupList) and browser is self.browser:
                show(*found)

        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(show_if_there)

    # What came back.

    def _show_changes(self, changed: set[int], fault: str) -> None:
        self._fault = fault
        self._groups = {ref: g for ref, g in self._groups.items() if ref[0] not in changed}
        self.query_one(GroupList).forget(changed)
        self._look_up()
        self._say()

    def _show_listing(self, listing: Listing, query: Query, num_completions: int) -> None:
        if query != self.query_now:
            return
        status = listing_status(listing, query, num_completions)
        self.query_one("#status", Static).update(Content(status))
        self.query_one(GroupList).show(listing)
        self._show_group()

    def _show_loaded(self, loaded: Loaded) -> None:
        self._groups |= loaded.groups
        self._notices |= loaded.notices
        self.query_one(GroupList).fill(loaded.groups)
        if self.query_one(GroupList).ref in loaded.groups:
            self._show_group()
        self._say()

    def _show_strip(self, name: str, strip: FrameStrip | None, said: str) -> None:
        if name == self._strip_name:
            self.query_one(FrameView).show(strip, said)

    def _show_group(self) -> None:
        ref, view = self.query_one(GroupList).ref, self.query_one(GroupView)
        if ref is None:
            has_groups = self.query_one(GroupList).listing.num_groups > 0
            said = "No group fits." if has_groups else "There are no completions here yet."
            view.show(None, said)
            self.query_one(FrameView).show(None)
            return
        if ref not in self._groups:
            if self.browser is not None:
                self._load(self.browser, [ref])
            return
        group = self._groups[ref]
        if group is None or group is not view.group:
            view.show(group, "This group is not in its file.")
        self._show_frames(group)

    def _show_frames(self, group: Group | None) -> None:
        name = None if group is None else group.frames
        if name is None:
            self._strip_name = None
            said = "no pictures were kept (record.frames_per_clip)" if group is not None else ""
            self.query_one(FrameView).show(None, said)
        elif name != self._strip_name:
            self._strip_name = name
            if self.browser is not None:
                self._load_strip(self.browser, name)

    def _say(self) -> None:
        """Say what could not be read: of the log, and of the files that were looked at."""
        said = [self._fault] if self._fault else []
        said += [f"step {step}: {self._notices[step]}" for step in sorted(self._notices)[-3:]]
        notice = self.query_one("#notice", Static)
        notice.update(Content("; ".join(said)))
        notice.set_class(bool(said), "-said")

    # What is asked for.

    @on(GroupList.Wanted)
    def _on_wanted(self, message: GroupList.Wanted) -> None:
        if self.browser is not None:
            self._load(self.browser, message.refs)

    @on(GroupList.Highlighted)
    def _on_highlighted(self) -> None:
        self._show_group()

    @on(GroupList.Opened)
    def _on_group_opened(self) -> None:
        self.add_class("-group")
        self.query_one(GroupView).focus()

    @on(GroupView.Opened)
    def _on_completion_opened(self) -> None:
        view = self.query_one(GroupView)
        if view.group is not None and view.completion is not None:
            self.app.push_screen(
                DetailScreen(view.group, view.completion, view.tint, ascii_only=self.ascii_only)
            )

    @on(CompletionColumn.Chosen)
    def _on_column_chosen(self) -> None:
        self.query_one(GroupView).focus()

    def action_back(self) -> None:
        """From the group back to the list."""
        if self.query_one(GroupView).has_focus:
            self.remove_class("-group")
            self.query_one(GroupList).focus()
        else:
            raise SkipAction

    def action_step_group(self, lines: int) -> None:
        """Show the next group of the list."""
        self.query_one(GroupList).action_move(lines)

    def action_next_order(self) -> None:
        """Sort by the next order."""
        self._ask(replace(self.query_now, order=_after(self.query_now.order, tuple(ORDERS))))

    def action_next_type(self) -> None:
        """Show the next question type only."""
        types = tuple(QUESTION_FILTERS)
        self._ask(
            replace(self.query_now, question_type=_after(self.query_now.question_type, types))
        )

    def action_next_answers(self) -> None:
        """Show only groups with right answers, with wrong ones, or all."""
        answers = tuple(ANSWER_FILTERS)
        self._ask(replace(self.query_now, answers=_after(self.query_now.answers, answers)))

    def action_search(self) -> None:
        """Ask what to search for."""
        asking = AskingScreen("Search questions and completions (empty: all)", self.query_now.text)
        self.app.push_screen(asking, self._search_for)

    def action_jump(self) -> None:
        """Ask which step to go to."""
        self.app.push_screen(AskingScreen("Go to step", is_count=True), self._jump_to)

    def action_next_frames(self) -> None:
        """Show frames in a strip, larger, or not."""
        view = self.query_one(FrameView)
        view.frame_size = _after(view.frame_size, FRAME_SIZES)

    def action_next_tint(self) -> None:
        """Tint tokens by colour, by underlines, or not."""
        view = self.query_one(GroupView)
        view.tint = _after(view.tint, TINTS)
        view.draw()
        self.notify(tint_legend(view.tint), markup=False)

    def action_copy_sample(self) -> None:
        """Copy question, numbers and text of the chosen completion."""
        view = self.query_one(GroupView)
        if view.group is not None and view.completion is not None:
            self.app.copy_to_clipboard(sample_text(view.group, view.completion))
            self.notify("The sample was copied.", markup=False)

    def action_copy_command(self) -> None:
        """Copy the command that makes the run again, up to this sample."""
        group = self.query_one(GroupView).group
        if group is not None and self.browser is not None:
            self.app.copy_to_clipboard(reproduce_command(self.browser.paths, group))
            self.notify("The command that makes this sample again was copied.", markup=False)

    def _search_for(self, text: str | None) -> None:
        if text is not None:
            self._ask(replace(self.query_now, text=text))

    def _jump_to(self, text: str | None) -> None:
        groups = self.query_one(GroupList)
        is_count = text is not None and text.isdecimal()
        line = groups.listing.line_of_step(int(text[:_MAX_DIGITS])) if text and is_count else None
        if line is not None:
            groups.move_to_line(line)

    def _ask(self, query: Query) -> None:
        self.query_now = query
        self.query_one(GroupList).move_to_line(0)
        self.query_one("#status", Static).update(Content("looking …"))
        self._look_up()

    def _look_up(self) -> None:
        if self.browser is not None:
            self._search(self.browser, self.query_now)


def _after(now: ChoiceT, choices: tuple[ChoiceT, ...]) -> ChoiceT:
    return choices[(choices.index(now) + 1) % len(choices)]
