"""`vtk data check`: which clips of a data set cannot be used, found out before a run meets them."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vtk.cli.completion import complete_suite
from vtk.cli.console import Console
from vtk.cli.options import DataDir, Json
from vtk.cli.progress import show_progress
from vtk.errors import DataError
from vtk.format import format_count, format_duration_s
from vtk.hints import DEFAULT_DATA_DIR

if TYPE_CHECKING:
    from vtk.data.check import CheckResult

_NUM_SHOWN: Final = 20
_GIB: Final = 2**30


def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A data set or benchmark.",
            autocompletion=complete_suite,
        ),
    ],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that probe.", show_default="one per core")
    ] = None,
    max_cpu_s: Annotated[
        int, typer.Option("--max-cpu-s", min=1, help="Seconds of processor time a clip may take.")
    ] = 60,
    max_memory_gib: Annotated[
        float,
        typer.Option("--max-memory-gib", min=0.5, help="GiB of address space a clip may take."),
    ] = 4.0,
    restart: Annotated[
        bool, typer.Option("--restart", help="Probe again what has a verdict.")
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> int:
    """Decode every clip in child processes with limits; exit code 4 when one is bad.

    The verdicts go to DATA/NAME/clips.json. Evaluation counts the questions of a bad clip as wrong,
    training skips them, both by name. Stopped, the check goes on where it was.
    """
    from vtk.data.check import check_clips, list_clips
    from vtk.mini.processes import num_cores
    from vtk.video.prober import ProbeLimits

    console = Console(as_json)
    root, clips = list_clips(data_dir, name)
    limits = ProbeLimits(max_cpu_s, 5.0 * max_cpu_s, int(max_memory_gib * _GIB))
    with show_progress(console, f"Checking {name}", unit="clips") as progress:
        bad = 0

        def note(_: str, found: Any) -> None:
            nonlocal bad
            bad += found.probe.problem is not None
            progress.advance()
            progress.update(note=f"{bad} bad")

        result = check_clips(
            root,
            clips,
            limits,
            workers or num_cores(),
            is_restart=restart,
            on_start=lambda num_clips: progress.update(total=num_clips),
            on_clip=note,
        )
    _show(console, name, result)
    return DataError.exit_code if result.bad else 0


def _show(console: Console, name: str, result: "CheckResult") -> None:
    from vtk.data.verdicts import MANIFEST

    num_clips, num_bad = len(result.verdicts), len(result.bad)
    length_s = sum(found.probe.duration_s or 0.0 for found in result.verdicts.values())
    console.say(
        f"{name}: {format_count(num_clips)} clips, {format_duration_s(length_s)} in all, "
        f"{format_count(num_bad)} bad; {format_count(result.num_probed)} probed now"
    )
    for clip, problem in list(result.bad.items())[:_NUM_SHOWN]:
        console.warn(f"{clip}: {problem}")
    if num_bad > _NUM_SHOWN:
        console.warn(f"and {format_count(num_bad - _NUM_SHOWN)} more")
    console.say(f"Verdicts: {result.root / MANIFEST}")
    console.document(
        {
            "name": name,
            "manifest": str(result.root / MANIFEST),
            "num_clips": num_clips,
            "num_probed": result.num_probed,
            "num_bad": num_bad,
            "bad": result.bad,
            "clips": {clip: asdict(found) for clip, found in result.verdicts.items()},
        }
    )
