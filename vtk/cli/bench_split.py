"""`vtk bench split`: what splitting a set as large as CLEVRER takes."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from vtk.cli.console import Console
from vtk.cli.options import Json
from vtk.format import format_bytes, format_count, format_duration_s


def split(
    share: Annotated[
        list[float] | None,
        typer.Option("--share", min=0.001, max=1.0, help="Of CLEVRER's size; may be repeated."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            metavar="DIR",
            help="Where it is written: 3 GB; the folder for temporary files.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a set of CLEVRER's size in its own files, split it and read it, in own processes.

    It has no clips. Two sizes tell whether memory grows with the set.
    """
    from vtk.bench.splitting import measure_split

    console = Console(as_json)
    found = []
    for each in share or [0.1, 1.0]:
        with TemporaryDirectory(prefix="vtk-bench-", dir=folder) as name:
            console.note(f"Writing {each:.1%} of CLEVRER's size.")
            found.append(measure_split(Path(name), each))
    rows = [
        (
            f"{cost.share:g}",
            format_count(cost.num_questions),
            format_bytes(cost.num_bytes),
            what,
            format_duration_s(took.processor_s),
            format_duration_s(took.wall_s),
            format_bytes(took.peak_bytes),
        )
        for cost in found
        for what, took in (
            ("vtk split clevrer", cost.split),
            ("question files, scene by scene", cost.questions),
            ("train.jsonl, as a run reads it", cost.rows),
        )
    ]
    console.table(("share", "questions", "files", "what", "processor", "wall", "peak memory"), rows)
    console.document([cost.as_json() for cost in found])
