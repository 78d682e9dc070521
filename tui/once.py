"""One run on one screen of text: printed once by `vtk dashboard --once`, else again and again.

Everything that comes from files passes `visible_text` and stands in `rich.text.Text`, which knows
no markup: a completion, a path or an error message cannot colour, move or hide anything.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vtk.format import (
    MISSING,
    format_age_s,
    format_count,
    format_duration_s,
    format_interval,
    format_number,
    format_percent,
    format_value,
    sparkline,
    visible_text,
)
from vtk.runs.events import METRICS, QUESTION_TYPES
from vtk.runs.snapshot import EvalResult, GpuReport, RunState

STATUS_STYLES: Final[Mapping[str, str]] = {
    "created": "dim",
    "running": "bold green",
    "finished": "bold green",
    "stopped": "bold yellow",
    "failed": "bold red",
    "lost": "bold red",
}
_NUM_ALERTS: Final = 4
_MAX_SPARK_CHARS: Final = 60
_NAME_CHARS: Final = 30
_VALUE_CHARS: Final = 24


def run_view(
    state: RunState, *, now: float, width: int = 100, ascii_only: bool = False
) -> RenderableType:
    """Return the run's picture as a rich renderable.

    Args:
        state: The run.
        now: UTC seconds, for ages.
        width: Columns to fill.
        ascii_only: Draw with ASCII characters only.
    """
    sections = [
        _header(state, now),
        _notices(state),
        _alerts(state, now),
        _accuracy(state.latest_eval),
        *([] if _is_evaluation(state) else [_gpu(state.gpu), _metrics(state, width, ascii_only)]),
        _footer(state, now),
    ]
    shown = [section for section in sections if section is not None]
    spaced = [part for section in shown for part in (section, Text(""))]
    return Group(*spaced[:-1])


def _is_evaluation(state: RunState) -> bool:
    """Whether the run asks questions and trains nothing: it has no steps and no metrics."""
    return state.stage == "eval"


def _header(state: RunState, now: float) -> RenderableType:
    first = Text.assemble(
        (visible_text(state.run_id), "bold"),
        f"  {visible_text(state.stage or 'unknown stage')}  ",
        (state.status, STATUS_STYLES[state.status]),
        (f"  {visible_text(state.status_reason)}", "dim"),
    )
    return Group(first, Text("  ".join(_progress_parts(state, now))))


def _progress_parts(state: RunState, now: float) -> Iterable[str]:
    if not _is_evaluation(state):
        yield _step_part(state)
    if state.phase is not None and state.is_live:
        age = "" if state.phase_started is None else _age(now, state.phase_started)
        yield f"now {visible_text(state.phase, 40)} ({age})"
    yield f"worked {format_duration_s(state.elapsed_s)}"
    if state.eta_s is not None:
        yield f"about {format_duration_s(state.eta_s)} left"
    if len(state.attempts) > 1:
        latest = state.attempts[-1]
        yield f"attempt {latest.number}, resumed from step {latest.resumed_from_step or 0}"


def _step_part(state: RunState) -> str:
    if not state.num_steps:
        return f"step {format_count(state.step)}"
    done = format_percent(state.step / state.num_steps, 0)
    return f"step {format_count(state.step)} of {format_count(state.num_steps)} ({done})"


def _notices(state: RunState) -> RenderableType | None:
    notices = [Text(visible_text(problem), style="yellow") for problem in state.problems]
    if state.num_unreadable_lines:
        count = format_count(state.num_unreadable_lines)
        notices.append(Text(f"{count} lines of the event log could not be read:", style="yellow"))
        notices += [
            Text(visible_text(f"  line {bad.line}: {bad.reason}: {bad.preview}"), style="dim")
            for bad in state.last_unreadable_lines[-2:]
        ]
    if state.unknown_types:
        names = ", ".join(f"{name} ({number})" for name, number in state.unknown_types.items())
        notices.append(Text(f"events of unknown types: {visible_text(names)}", style="dim"))
    if state.num_unreadable_requests:
        notices.append(Text(f"{state.num_unreadable_requests} damaged files in control/", "yellow"))
    return Group(*notices) if notices else None


def _alerts(state: RunState, now: float) -> RenderableType | None:
    if not state.alerts:
        return None
    lines = [Text(f"alerts: {len(state.alerts)}", style="bold red")]
    for alert in reversed(state.alerts[-_NUM_ALERTS:]):
        line = Text(f"  step {MISSING if alert.step is None else alert.step}  ")
        line.append(visible_text(alert.rule, 40), style="red")
        line.append(f"  {visible_text(alert.message)}")
        if alert.value is not None or alert.threshold is not None:
            value, limit = format_number(alert.value), format_number(alert.threshold)
            line.append(f" (value {value}, threshold {limit})", style="dim")
        line.append(f"  {_age(now, alert.time)} ago", style="dim")
        lines.append(line)
    return Group(*lines)


def _accuracy(result: EvalResult | None) -> RenderableType | None:
    if result is None:
        return Text("accuracy by question type: no evaluation yet", style="dim")
    table = _grid("left", "right", "right", "left")
    step = "" if result.step is None else f", step {result.step}"
    where = f"{visible_text(result.suite, 40)}{step}"
    table.add_row(*_head(f"accuracy ({where})", "n", "correct", "95 % interval"))
    for name in sorted(result.per_type, key=_type_order):
        accuracy = result.per_type[name]
        interval = MISSING if accuracy.ci95 is None else format_interval(*accuracy.ci95)
        table.add_row(
            Text(visible_text(name, _NAME_CHARS)),
            Text(format_count(accuracy.n)),
            Text(format_percent(accuracy.accuracy)),
            Text(interval),
        )
    return table


def _gpu(report: GpuReport) -> RenderableType:
    lines = [_device(device) for device in report.devices]
    if not lines:
        lines = [Text(f"no GPU: {visible_text(report.absent_reason or 'no reason given')}")]
    if report.process_memory_gib is not None:
        lines[-1].append(f"; process memory {format_number(report.process_memory_gib, 3)} GiB")
    return Group(*lines)


def _device(device: Mapping[str, Any]) -> Text:
    used, total = _reading(device, "memory_used_gib"), _reading(device, "memory_total_gib")
    name = visible_text(device.get("name", ""), 60)
    parts = [
        f"GPU {visible_text(device.get('index', ''), 8)} {name}",
        f"{used} of {total} GiB",
        f"{_reading(device, 'utilization_pct')}% busy",
        f"{_reading(device, 'power_w')} W",
        f"{_reading(device, 'temperature_c')} °C",
    ]
    return Text(", ".join(parts))


def _reading(device: Mapping[str, Any], name: str) -> str:
    value = device.get(name)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return format_number(value, 3) if is_number else MISSING


def _metrics(state: RunState, width: int, ascii_only: bool) -> RenderableType:
    if not state.history:
        return Text("metrics: no step has been recorded yet", style="dim")
    known = [name for name in METRICS if name in state.history]
    names = known + sorted(set(state.history) - set(known))
    spark_chars = max(8, min(_MAX_SPARK_CHARS, width - _NAME_CHARS - _VALUE_CHARS - 4))
    table = _grid("left", "right", "left")
    table.add_row(*_head("metric", "latest", "over steps"))
    for name in names:
        if name.endswith("_n") and name[:-2] in state.history:
            continue  # shown beside the fraction that it belongs to
        values = [value for _, value in state.history[name]]
        table.add_row(
            Text(visible_text(name, _NAME_CHARS)),
            _latest(state, name),
            Text(sparkline(values, spark_chars, ascii_only), style="cyan"),
        )
    return table


def _latest(state: RunState, name: str) -> Text:
    step, value = state.history[name][-1]
    shown = Text(format_value(value, METRICS[name].unit if name in METRICS else ""))
    if f"{name}_n" in state.metrics:
        shown.append(f" n {format_number(state.metrics[f'{name}_n'])}", style="dim")
    if step != state.step:
        shown.append(f" at {step}", style="dim")
    return shown


def _footer(state: RunState, now: float) -> RenderableType | None:
    lines = [
        f"asked, not yet done: {request.action} by {request.who}, {_age(now, request.time)} ago"
        for request in state.pending_requests
    ]
    for record in state.controls[-2:]:
        lines.append(f"{record.action} by {record.who}: {record.result}")
    if state.checkpoints:
        newest = state.checkpoints[-1]
        lines.append(f"checkpoints: {len(state.checkpoints)}, newest {newest.path}")
    if state.rollouts:
        lines.append(f"completions: {state.rollouts[-1].path} ({state.rollouts[-1].count} rows)")
    if state.num_samples_skipped:
        newest_skipped = state.last_samples_skipped[-1]
        lines.append(
            f"samples skipped: {state.num_samples_skipped}, newest {newest_skipped.path}:"
            f" {newest_skipped.reason}"
        )
    return Group(*(Text(visible_text(line), style="dim") for line in lines)) if lines else None


def _grid(*justify: Any) -> Table:
    table = Table.grid(padding=(0, 2))
    for side in justify:
        table.add_column(justify=side, no_wrap=True)
    return table


def _head(*names: str) -> list[Text]:
    return [Text(name, style="bold") for name in names]


def _type_order(name: str) -> tuple[int, str]:
    known = QUESTION_TYPES.index(name) if name in QUESTION_TYPES else len(QUESTION_TYPES)
    return known, name


def _age(now: float, then: float) -> str:
    return format_age_s(now - then)
