"""`vtk bench growth`: how a step's cost grows with clip, completions and their length."""

from pathlib import Path
from typing import Annotated

import typer

from vtk.cli.bench_step import Threads, TrainedTower, Workload, show_head, times
from vtk.cli.console import Console
from vtk.cli.options import Json
from vtk.format import format_number


def growth(
    workload: Workload = "short",
    train_vision: TrainedTower = False,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Measured rounds.")] = 3,
    threads: Threads = 1,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Draw it into this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Time a step of the published and the shared way while one size at a time is changed."""
    from vtk.bench.growth import bench_growth
    from vtk.bench.growth_chart import draw_growth
    from vtk.bench.step import StepSettings

    console = Console(as_json)
    settings = StepSettings(workload, ("published",), train_vision, rounds, threads)
    document = bench_growth(settings, on_progress=lambda what: console.note(f"{what} ..."))
    show_head(console, document)
    for axis in document["axes"]:
        rows = [
            (
                str(point["value"]),
                str(point["prompt_tokens"]),
                format_number(point["seconds"]["published"], 3),
                format_number(point["seconds"]["shared"], 3),
                times(point["ratio"]["published"]),
            )
            for point in axis["points"]
        ]
        header = (axis["name"], "prompt tokens", "published, s", "shared, s", "times as fast")
        console.table(header, rows)
    if svg is not None:
        svg.write_text(draw_growth(document), encoding="utf-8")
        console.say(f"Drawn into {svg}.")
    console.document(document)
