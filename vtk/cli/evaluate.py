"""`vtk eval`: judge a model on benchmarks."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vtk.cli.asking import Session, ask_together, joined_peers
from vtk.cli.config import ConfigFile
from vtk.cli.console import Console
from vtk.cli.options import (
    DEFAULT_DATA_DIR,
    DEFAULT_RUNS_DIR,
    DataDir,
    Json,
    RunsDir,
    folder_options,
)
from vtk.cli.order import Order, given_settings
from vtk.cli.questions import Words

SuiteNames = Annotated[list[str], typer.Argument(metavar="SUITE...", help="Suites, or all.")]
ModelRef = Annotated[
    str, typer.Option("--model", "-m", help='"tiny", a run, a folder or a hub id.')
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one value, e.g. video.num_frames=32."),
]


class Backend(StrEnum):
    """What makes the completions."""

    transformers = "transformers"
    vllm = "vllm"


def evaluate(
    suites: SuiteNames,
    model: ModelRef,
    part: Annotated[
        str, typer.Option(help="Questions to ask: validation, train or bias.")
    ] = "validation",
    num_samples: Annotated[
        int | None, typer.Option(min=1, help="Ask a fixed random subset of this size.")
    ] = None,
    samples_per_question: Annotated[
        int, typer.Option(min=1, help="Completions per question; needs a temperature.")
    ] = 1,
    protocol: Annotated[
        str,
        typer.Option(
            help="official: as the benchmark's authors ask and score; recipe: as the published "
            "evaluation did; or both."
        ),
    ] = "both",
    questions: Annotated[
        Path | None,
        typer.Option(help="Published evaluation file (eval_mmvu.json) to take the questions from."),
    ] = None,
    prompt_file: Annotated[
        Path | None,
        typer.Option(help="Ask a protocol's questions in these words: {question}, {options}."),
    ] = None,
    num_frames: Annotated[
        int | None, typer.Option(min=2, help="Frames of a clip; at most so many with --fps.")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second of clip.")] = None,
    max_pixels: Annotated[
        int | None, typer.Option(min=784, help="Greatest width times height of a frame.")
    ] = None,
    resolution_slip: Annotated[
        bool,
        typer.Option(
            "--resolution-slip", help="recipe: the 105,369 px that its scripts really show."
        ),
    ] = False,
    temperature: Annotated[
        float | None, typer.Option(min=0, help="Sampling temperature; 0 is greedy.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Questions at once.")] = None,
    max_completion_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest completion, in tokens.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of draws and subset.")] = None,
    preset: Annotated[str | None, typer.Option(help="Settings of a preset.")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    backend: Annotated[
        Backend | None, typer.Option(help="What makes the completions.", show_default=False)
    ] = None,
    judge_url: Annotated[
        str | None,
        typer.Option(
            help="OpenAI-compatible API (https://HOST/v1) of a judge for what no rule scores: "
            "TempCompass's captions, MMVU's open questions. Its key: VTK_JUDGE_KEY."
        ),
    ] = None,
    judge_model: Annotated[
        str | None, typer.Option(help="The judge, as its server calls it.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Keep these answers beside those of other settings, under this name: "
            "eval/mvbench.NAME."
        ),
    ] = None,
    num_processes: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that share the questions, each with a GPU of its own."),
    ] = None,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Ask again what ended in an error.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Set earlier results aside and start anew.")
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    as_json: Json = False,
) -> None:
    """Ask a model the questions of one or more suites; stopped, it goes on where it was."""
    console = Console(as_json)
    if ask_together(console, num_processes):
        return
    options = {
        "eval.num_samples": num_samples,
        "eval.backend": None if backend is None else backend.value,
        "eval.temperature": temperature,
        "eval.batch_size": batch_size,
        "eval.max_completion_tokens": max_completion_tokens,
        "eval.num_frames": num_frames,
        "eval.max_pixels_px": max_pixels,
        "eval.judge_url": judge_url,
        "eval.judge_model": judge_model,
        "video.fps": fps,
    }
    with joined_peers(console) as (peers, voice):
        order = Order(
            suites=suites,
            model=model,
            part=part,
            questions=questions,
            protocol=protocol,
            words=Words(prompt_file, resolution_slip),
            num_draws=samples_per_question,
            seed=seed,
            preset=preset,
            config=config,
            overrides=given_settings(assignments, options),
            name=name,
            is_new=restart,
            data_dir=data_dir,
            runs_dir=runs_dir,
        )
        session = Session(voice, peers, is_retry=retry_errors, is_restart=restart)
        document = session.run(order)
        voice.document(document)
        next_one = f"vtk compare {document['run_id']} OTHER_RUN"
        places = folder_options(runs_dir=runs_dir)
        voice.next_command(f"{next_one}{places}", "paired, on the same questions")
