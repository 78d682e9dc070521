"""`vtk bench dashboard`: what the dashboard costs on this machine."""

from typing import Annotated, Any

import typer

from vtk.cli.console import Console
from vtk.cli.options import Json
from vtk.format import format_bytes, format_count, format_number, format_percent


def dashboard(
    points: Annotated[
        int, typer.Option("--points", min=1000, help="Points of the large log.")
    ] = 1_000_000,
    watch_s: Annotated[
        float, typer.Option("--watch", min=1, help="Seconds of each idling.")
    ] = 20.0,
    as_json: Json = False,
) -> None:
    """Time the dashboard: its start, a redraw and an append, idling, and the writer of the log.

    It runs in a terminal of its own of 120 x 40 cells. Times of charts are of the processor; the
    start is by the clock, so other programs count.
    """
    from tui.measure import measure_chart  # measured where it is drawn
    from vtk.bench.dashboard import bench_dashboard

    console = Console(as_json)
    document = bench_dashboard(
        points, watch_s, measure_chart, lambda what: console.note(f"{what} ...")
    )
    machine, found = document["machine"], document["measured"]
    console.say(
        f"{machine['processor']}, {machine['num_cpus']} cores, Python {machine['python']}; "
        f"{format_count(points)} points"
    )
    rows = [(what, shown, _verdict(document, name)) for what, name, shown in _rows(found)]
    console.table(("what", "measured", "target"), rows)
    console.document(document)


def _rows(found: dict[str, float]) -> list[tuple[str, str, str]]:
    def seconds(name: str) -> str:
        return f"{format_number(found[name], 3)} s"

    def milliseconds(name: str) -> str:
        return f"{format_number(found[name], 3)} ms"

    def idling(name: str) -> str:
        share, rate = found[f"{name}_core_share"], found[f"{name}_bytes_per_s"]
        return f"{format_percent(share)} of a core, {format_bytes(rate)}/s"

    return [
        ("first paint, empty run", "empty_first_paint_s", seconds("empty_first_paint_s")),
        ("processor until then", "empty_cpu_s", seconds("empty_cpu_s")),
        ("first paint, large log", "large_first_paint_s", seconds("large_first_paint_s")),
        ("all of the large log shown", "large_whole_s", seconds("large_whole_s")),
        ("processor until then", "large_cpu_s", seconds("large_cpu_s")),
        ("memory then", "large_memory_bytes", format_bytes(found["large_memory_bytes"])),
        ("redraw of a chart", "redraw_ms", milliseconds("redraw_ms")),
        ("append of ten points", "append_ms", milliseconds("append_ms")),
        ("the same, smoothed", "append_smoothed_ms", milliseconds("append_smoothed_ms")),
        ("nothing new, 2 looks a second", "idle_core_share", idling("idle")),
        ("a step a second", "live_core_share", idling("live")),
        ("writer, a step in the mean", "writer_mean_ms", milliseconds("writer_mean_ms")),
        ("writer, 99 of 100 steps under", "writer_p99_ms", milliseconds("writer_p99_ms")),
    ]


def _verdict(document: dict[str, Any], name: str) -> str:
    if name not in document["targets"]:
        return ""
    target = format_number(document["targets"][name], 3)
    return f"{target}: {'met' if document['met'][name] else 'missed'}"
