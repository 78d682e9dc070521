"""`vtk mini`: how the tiny model that is shipped with vtk is made, and what it can do."""

import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from vtk.cli.console import Console
from vtk.cli.help import Menu
from vtk.cli.options import Json, RunsDir
from vtk.cli.progress import Progress, show_progress
from vtk.format import (
    format_bytes,
    format_count,
    format_duration_s,
    format_interval,
    format_percent,
)
from vtk.hints import DEFAULT_RUNS_DIR

mini_app = Menu(help="Make the tiny model anew, or measure one.")

STAGES = {
    "render": ("Rendering scenes", "scenes"),
    "vision": ("Training the vision tower", "steps"),
    "language": ("Training the language model", "steps"),
    "measure": ("Measuring on held-out scenes", "questions"),
}


@mini_app.command("pretrain")
def pretrain_tiny(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the model.")] = Path(
        "tiny-model"
    ),
    scenes: Annotated[int, typer.Option("--scenes", help="Scenes to learn from.")] = 12_000,
    vision_steps: Annotated[
        int, typer.Option("--vision-steps", help="Steps of the vision tower.")
    ] = 2_800,
    language_steps: Annotated[
        int, typer.Option("--language-steps", help="Steps of the language model.")
    ] = 8_000,
    held_out_scenes: Annotated[
        int, typer.Option("--held-out-scenes", help="Scenes to measure the result on.")
    ] = 150,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, help="Processes that render.", show_default="one per core"
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides everything.")] = 0,
    as_json: Json = False,
) -> None:
    """Make the tiny model's weights from nothing; about two hours on two cores.

    Stopped and repeated, it goes on from the last 200 steps that were done.
    """
    from vtk.mini.processes import num_cores
    from vtk.train.pretrain.run import PretrainSettings, pretrain

    console = Console(as_json)
    settings = PretrainSettings(
        num_scenes=scenes,
        vision_steps=vision_steps,
        language_steps=language_steps,
        num_held_out_scenes=held_out_scenes,
        seed=seed,
    )
    with _Stages(console) as stages:
        report = pretrain(out, settings, workers=workers or num_cores(), on_progress=stages.show)
    console.say(
        f"{out}: {format_count(report['num_parameters'])} parameters, "
        f"{format_bytes(report['weights_bytes'])}, made in "
        f"{format_duration_s(report['wall_time_s'])}."
    )
    _show_rows(console, report["strategies"])
    console.document({"path": str(out), **report})
    console.next_command(f"vtk mini report --model {shlex.quote(str(out))}")


@mini_app.command("report")
def report_tiny(
    model: Annotated[
        str,
        typer.Option(
            "--model", metavar="MODEL", help='"tiny", a run, or a folder; of the tiny architecture.'
        ),
    ] = "tiny",
    scenes: Annotated[int, typer.Option("--scenes", min=1, help="Held-out scenes.")] = 150,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    as_json: Json = False,
) -> None:
    """Show how often a tiny model describes and reasons, and how often each is right."""
    from vtk.train.pretrain.report import measure_model

    console = Console(as_json)
    with _Stages(console) as stages:
        measured = measure_model(
            model,
            runs_dir,
            scenes,
            on_progress=lambda done, total: stages.show("measure", done, total, ""),
        )
    console.say(f"{measured['path']} on {format_count(scenes)} held-out scenes, temperature 1:")
    _show_rows(console, measured["strategies"])
    console.document({"model": model, **measured})


class _Stages:
    """One progress display after another, as the stages come."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""
        self._open = ExitStack()
        self._progress: Progress | None = None

    def __enter__(self) -> "_Stages":
        return self

    def __exit__(self, *fault: object) -> None:
        self._open.close()

    def show(self, stage: str, done: int, total: int, note: str) -> None:
        """Report what is done and what there is to do in a stage, and a remark."""
        if stage != self._stage or self._progress is None:
            self._open.close()
            what, unit = STAGES[stage]
            self._stage = stage
            self._progress = self._open.enter_context(
                show_progress(self._console, what, total, unit)
            )
        self._progress.update(done=done, total=total, note=note)


def _show_rows(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    columns = ("strategy", "questions", "share", "completions", "right", "95 % interval", "chance")
    cells = [
        (
            row["strategy"],
            row["label"],
            format_percent(row["share"]),
            format_count(row["num_completions"]),
            format_percent(row["accuracy"]),
            format_interval(row["low"], row["high"]),
            format_percent(row["chance"]),
        )
        for row in rows
    ]
    console.table(columns, cells)
    console.note("Intervals by scene; chance is a guesser who knows how many options are right.")
