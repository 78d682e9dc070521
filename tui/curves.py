"""Which metrics stand in which chart, and what happened at which step."""

from collections.abc import Iterable, Sequence
from typing import Final

from tui.episodes import episodes_of
from tui.legend import Curve
from tui.plot_parts import PlotMark
from tui.series import ColumnView
from tui.source import Snapshot
from vtk.runs.events import METRICS
from vtk.runs.snapshot import RunState

CHARTS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "reward": (("", "reward/mean"), ("accuracy", "reward/accuracy"), ("format", "reward/format")),
    "kl": (("", "kl/signed"),),
    "memory": (("now", "gpu/memory_gib"), ("peak", "gpu/peak_memory_gib")),
    "entropy": (("", "entropy/mean"),),
    "length": (("", "completion/length_tokens"),),
    "loss": (("", "loss/total"), ("policy", "loss/policy"), ("repulsion", "loss/repulsion")),
    "accuracy": (("observ.", "acc/observational"), ("inferent.", "acc/inferential")),
    "gradient": (("", "optim/grad_norm"),),
}
"""Chart to the labels and names of its metrics; the first has the chart's own name."""

MARK_LETTERS: Final = {
    "c": "checkpoint",
    "e": "evaluation",
    "!": "an alert, or the first of several",
    "u": "control: you or somebody asked for something",
    "r": "the run was resumed",
}
"""Letter on a chart to what happened there."""


def curves_of(state: RunState, chart: str) -> list[Curve]:
    """The curves of one chart that the run has points for."""
    if chart == "memory" and "gpu/memory_gib" not in state.history:
        views = [("process", state.process_memory)]
        return [Curve(label, v, "GiB") for label, v in views if isinstance(v, ColumnView) and v]
    found = ((label, name, state.history.get(name)) for label, name in CHARTS[chart])
    return [
        Curve(label, view, METRICS[name].unit)
        for label, name, view in found
        if isinstance(view, ColumnView)
    ]


def marks_of(snapshot: Snapshot) -> list[PlotMark]:
    """Everything that happened at a step; later kinds cover earlier ones on the same step."""
    return [*_marks(snapshot)]


def _marks(snapshot: Snapshot) -> Iterable[PlotMark]:
    state = snapshot.state
    for attempt in state.attempts[1:]:
        yield PlotMark(attempt.resumed_from_step or 0, "r")
    yield from (PlotMark(step, "u") for step in control_steps(state))
    yield from (PlotMark(checkpoint.step, "c") for checkpoint in state.checkpoints)
    yield from (PlotMark(r.step, "e") for r in state.eval_history if r.step is not None)
    for episode in episodes_of(snapshot):
        if episode.first.step is not None:
            yield PlotMark(episode.first.step, "!", "alert")


def control_steps(state: RunState) -> Sequence[int]:
    """The step at which each request was acted on."""
    return [record.step for record in state.controls if record.step is not None]
