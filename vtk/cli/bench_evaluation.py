"""`vtk bench eval`: how fast questions are answered."""

from typing import Annotated

import typer

from vtk.cli.console import Console
from vtk.cli.options import Json
from vtk.cli.progress import show_progress
from vtk.format import format_number

_NUM_PRESETS = 2


def evaluation(
    questions: Annotated[int, typer.Option("--questions", min=1, help="Asked each round.")] = 48,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Measured rounds.")] = 5,
    as_json: Json = False,
) -> None:
    """Time vtk's evaluation against the library's generation, and without each of its savings.

    The shipped model is asked about clips that are rendered here, greedily; all ways have to give
    the same answers. Seconds are of the wall clock, since reading ahead uses a second core.
    """
    from vtk.bench.evaluation import SHARED, bench_evaluation

    console = Console(as_json)
    with show_progress(console, "Asking", _NUM_PRESETS * (rounds + 1), "rounds") as progress:
        document = bench_evaluation(questions, rounds, on_round=progress.advance)
    machine = document["machine"]
    console.say(
        f"{machine['device']}, {machine['num_threads']} torch thread(s); "
        f"{document['num_questions']} questions about {document['num_clips']} clips"
    )
    for preset, found in document["presets"].items():
        rows = [
            (way, format_number(speed, 3), _times(found["ratio"].get(way)))
            for way, speed in found["answers_per_s"].items()
        ]
        header = ("way", "answers a second", f"{SHARED} is as fast, times")
        console.table(header, rows, title=f"{found['frames']} frames as preset {preset} reads them")
    console.document(document)


def _times(ratio: dict[str, float] | None) -> str:
    if ratio is None:
        return ""
    median, least, most = (format_number(ratio[name], 3) for name in ("median", "min", "max"))
    return f"{median} [{least}, {most}]"
