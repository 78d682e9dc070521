"""`vtk bench samples`: how long the completions of a long run take to open."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from vtk.cli.console import Console
from vtk.cli.options import Json
from vtk.cli.progress import show_progress
from vtk.format import format_count, format_duration_s

_TARGET_S = 1.0


def samples(
    completions: Annotated[
        int, typer.Option("--completions", min=64, help="Completions of the run.")
    ] = 100_000,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Measured rounds.")] = 3,
    as_json: Json = False,
) -> None:
    """Write a run of 100,000 completions and time the dashboard's samples browser on it.

    The target is a second from an empty application to the newest completions on the screen. The
    best of the rounds counts, since other programs only slow it; work behind the screen is in
    seconds of the processor.
    """
    from tui.samples.measure import measure_opening
    from vtk.bench.completions import steps_for, write_completions

    console = Console(as_json)
    with TemporaryDirectory(prefix="vtk-bench-") as folder:
        with show_progress(console, "Writing", steps_for(completions), "steps") as progress:
            paths = write_completions(Path(folder), completions, on_step=progress.advance)
        found = [measure_opening(paths) for _ in range(rounds)]
    best = min(found, key=lambda one: one.screen_s)
    rows = [
        ("screen with list and completions, waiting", format_duration_s(best.screen_s)),
        ("index of all groups, processor", format_duration_s(best.index_s)),
        ("one page of groups, processor", format_duration_s(best.page_s)),
        ("sorted by signed KL, every file read, processor", format_duration_s(best.sort_s)),
        ("sorted by spread after that, processor", format_duration_s(best.sort_again_s)),
    ]
    console.table(
        ("what", "takes"), rows, title=f"{format_count(best.num_completions)} completions"
    )
    verdict = "met" if best.screen_s < _TARGET_S else "missed"
    console.say(f"Target for the screen: {format_duration_s(_TARGET_S)}; {verdict}.")
    console.document({"target_s": _TARGET_S, "rounds": [one.as_json() for one in found]})
