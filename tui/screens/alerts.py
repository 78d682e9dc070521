"""Every alert with its step, its evidence and what to do about it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from textual import work
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option
from typing_extensions import override

from tui.advice import advice_on, command_for
from tui.alerts import times
from tui.curves import marks_of
from tui.episodes import Episode, episodes_of, key_of
from tui.evidence import BASELINE_STEPS, Worst, baseline_sentence, worst_completions
from tui.legend import Curve
from tui.literal import joined, literal
from tui.plot_parts import extent
from tui.screens.run_screen import RunScreen
from tui.series import ColumnView
from tui.source import Snapshot
from tui.viewport import Viewport
from tui.widgets.chart import Chart
from vtk.format import MISSING, format_age_s, format_number
from vtk.runs.events import METRICS, is_finite
from vtk.runs.snapshot import Alert

_NUM_LISTED: Final = 200
_NOTHING: Final = (
    "No alert. Guards watch every step; which ones and how strictly is in [guards] of the run's "
    "configuration: vtk runs show"
)


class AlertsScreen(RunScreen):
    """A list of alerts, newest first, and the evidence of the one that is chosen."""

    screen_name: ClassVar[str] = "alerts"

    def __init__(self) -> None:
        super().__init__()
        self._listed: tuple[Episode, ...] = ()
        self._rows: list[Content] = []
        self._chosen: Episode | None = None
        self._worst: tuple[Alert, Worst] | None = None

    @property
    @override
    def viewport(self) -> Viewport:
        """The steps around the chosen alert, whatever the other screens show."""
        return self._own

    @override
    def body(self) -> Iterable[Widget]:
        """The list on the left, the evidence on the right."""
        yield Horizontal(
            OptionList(id="alert-list", markup=False),
            Vertical(
                Chart("", nothing="no point around this step", id="evidence-chart"),
                VerticalScroll(Static("", id="evidence", markup=False)),
                id="evidence-cell",
            ),
            id="alerts-body",
        )

    @override
    def show_body(self, snapshot: Snapshot) -> None:
        """List the alerts anew where there are new ones, and show the chosen one's evidence."""
        episodes = tuple(reversed(episodes_of(snapshot)[-_NUM_LISTED:]))
        if [each.key for each in episodes] != [each.key for each in self._listed]:
            self._list(episodes, snapshot)
        else:
            self._renew(episodes, snapshot)
        if self._chosen is None:
            self.query_one("#evidence", Static).update(literal(_NOTHING, "$foreground-muted"))
            self.query_one(Chart).display = False
        else:
            self._show_chosen(self._chosen, snapshot)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Another alert is looked at."""
        if event.option_index < len(self._listed):  # there may be fewer since
            self._choose(self._listed[event.option_index])

    @override
    def _change(self, viewport: Viewport) -> None:
        self._own = viewport
        self.show(self.snapshot)

    def _list(self, episodes: tuple[Episode, ...], snapshot: Snapshot) -> None:
        keys = [episode.key for episode in episodes]
        chosen, self._listed = self._chosen, episodes
        self._rows = [_row(each, snapshot.now) for each in episodes]
        listing = self.query_one("#alert-list", OptionList)
        listing.clear_options()
        listing.add_options([Option(row) for row in self._rows])
        if episodes:
            is_there = chosen is not None and chosen.key in keys
            listing.highlighted = keys.index(chosen.key) if chosen and is_there else 0
            self._choose(episodes[listing.highlighted])
        else:
            self._chosen = None

    def _renew(self, episodes: tuple[Episode, ...], snapshot: Snapshot) -> None:
        """The same episodes, of which time has passed or more is known."""
        self._listed = episodes
        listing = self.query_one("#alert-list", OptionList)
        for place, episode in enumerate(episodes):
            row = _row(episode, snapshot.now)
            if row != self._rows[place]:
                self._rows[place] = row
                listing.replace_option_prompt_at_index(place, row)
        if self._chosen is not None:
            self._choose(next(each for each in episodes if each.key == self._chosen.key))

    def _choose(self, episode: Episode) -> None:
        before, self._chosen = self._chosen, episode
        worst = episode.worst
        if before is None or before.key != episode.key:
            self._own = replace(self._own, cursor=worst.step, window=_around(episode))
        if before is None or key_of(before.worst) != key_of(worst):
            self._worst = None
            self._read_worst(worst)
        self._show_chosen(episode, self.snapshot)

    @work(thread=True, exclusive=True)
    def _read_worst(self, alert: Alert) -> None:
        """Look through the step's completions, off the screen's thread."""
        paths = self.snapshot.paths
        if paths is not None:
            found = (alert, worst_completions(paths, alert.step))
            self.app.call_from_thread(self._take_worst, found)

    def _take_worst(self, found: tuple[Alert, Worst]) -> None:
        if self._chosen is not None and key_of(found[0]) == key_of(self._chosen.worst):
            self._worst = found
            self._show_chosen(self._chosen, self.snapshot)

    def _show_chosen(self, episode: Episode, snapshot: Snapshot) -> None:
        metric = advice_on(episode.first).metric
        name, chart = metric or "", self.query_one(Chart)
        view = snapshot.state.history.get(name)
        chart.display, chart.title = metric is not None, name
        unit = METRICS[name].unit if name in METRICS else ""
        curves = [Curve("", view, unit)] if isinstance(view, ColumnView) else []
        marks = marks_of(snapshot)
        viewport = self.viewport.ended(extent(curve.view for curve in curves)[1])
        chart.show(curves, marks, viewport, self.dashboard.ascii_only)
        self.query_one("#evidence", Static).update(self._evidence(episode, snapshot))

    def _evidence(self, episode: Episode, snapshot: Snapshot) -> Content:
        alert = episode.worst
        rule = literal(f"{alert.rule}{times(episode)}", "bold $error")
        rows = [
            joined(literal(f"step {episode.steps}  ", "bold"), rule),
            literal(alert.message),
            literal(f"{advice_on(alert).meaning}.", "$foreground-muted"),
            literal(baseline_sentence(alert, snapshot.state)),
            joined(literal("do: ", "bold"), literal(command_for(alert, snapshot), "$primary")),
            Content(""),
        ]
        worst = self._worst[1] if self._worst is not None else None
        if worst is None:
            return Content("\n").join([*rows, literal("reading its completions ...")])
        rows.append(literal(f"worst completions of step {alert.step}", "bold"))
        rows += [_completion(row) for row in worst.rows]
        if worst.problem is not None:
            rows.append(literal(worst.problem, "$warning"))
        return Content("\n").join(rows)


def _around(episode: Episode) -> tuple[float, float] | None:
    """The baseline window before it, all of it, and a little after."""
    first, last = episode.first.step, episode.last.step
    if first is None or last is None:
        return None
    return max(0.0, first - 1.5 * BASELINE_STEPS), last + 0.5 * BASELINE_STEPS


def _row(episode: Episode, now: float) -> Content:
    return joined(
        literal(f"{episode.steps:>7} ", "bold"),
        literal(f"{episode.first.rule}{times(episode)} ", max_chars=40),
        literal(f"{format_age_s(now - episode.last.time)} ago", "$foreground-muted"),
    )


def _completion(row: Mapping[str, Any]) -> Content:
    numbers = "  ".join(
        f"{label} {format_number(row[name], 3) if is_finite(row.get(name)) else MISSING}"
        for label, name in (("reward", "reward"), ("signed KL", "signed_kl"))
    )
    label = row.get("label", "")
    return joined(
        literal(f"- {numbers}  ", "bold"),
        literal(f"{label}  ", "$foreground-muted", 40),
        literal(row.get("completion", "")),
    )
