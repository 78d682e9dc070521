"""`vtk eval`: judge a model on benchmarks."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from vtk.cli.asking import Session, ask_together, joined_peers
from vtk.cli.completion import complete_model, complete_preset, complete_suite
from vtk.cli.console import Console
from vtk.cli.options import DataDir, Json, RunsDir
from vtk.cli.order import Order, given_settings
from vtk.cli.questions import Words, require_suites
from vtk.hints import DEFAULT_DATA_DIR, DEFAULT_RUNS_DIR, folder_options

ASKED: Final = "What is asked"
MODEL: Final = "Who is asked"
HOW: Final = "How it is asked"
JUDGE: Final = "Who judges what no rule scores"
COURSE: Final = "Where it runs, and what is kept"

SuiteNames = Annotated[
    list[str],
    typer.Argument(
        metavar="SUITE...",
        help="clevrer-mini, mvbench or another of vtk download --list; or all.",
        autocompletion=complete_suite,
    ),
]
ModelRef = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help='"tiny", a run, a folder or a hub id.',
        rich_help_panel=MODEL,
        autocompletion=complete_model,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Settings of a preset of vtk config ls.",
        rich_help_panel=MODEL,
        autocompletion=complete_preset,
    ),
]
EvalConfig = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Your own TOML, or a run's config.json.", rich_help_panel=MODEL
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set one value, e.g. video.num_frames=32; repeatable.",
        rich_help_panel=MODEL,
    ),
]


class Backend(StrEnum):
    """What makes the completions."""

    transformers = "transformers"
    vllm = "vllm"


def evaluate(
    suites: SuiteNames,
    model: ModelRef,
    preset: Preset = None,
    config: EvalConfig = None,
    assignments: Assignments = None,
    backend: Annotated[
        Backend | None,
        typer.Option(
            metavar="NAME",
            help="transformers, or vllm (needs a GPU); else as eval.backend says.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    part: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="validation, train or bias questions.", rich_help_panel=ASKED
        ),
    ] = "validation",
    num_samples: Annotated[
        int | None,
        typer.Option(min=1, help="Ask a fixed random subset of N.", rich_help_panel=ASKED),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="official: as the benchmark's authors ask and score; recipe: as the published "
            "evaluation did; or both.",
            rich_help_panel=ASKED,
        ),
    ] = "both",
    questions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Published evaluation file (eval_mmvu.json) to take the questions from.",
            rich_help_panel=ASKED,
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(min=0, help="Sampling temperature; 0 is greedy.", rich_help_panel=HOW),
    ] = None,
    samples_per_question: Annotated[
        int,
        typer.Option(
            min=1, help="Completions per question; needs a temperature.", rich_help_panel=HOW
        ),
    ] = 1,
    num_frames: Annotated[
        int | None,
        typer.Option(
            min=2, help="Frames of a clip; at most so many with --fps.", rich_help_panel=HOW
        ),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames per second of clip.", rich_help_panel=HOW)
    ] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(min=784, help="Largest frame, width times height in px.", rich_help_panel=HOW),
    ] = None,
    max_completion_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest completion, in tokens.", rich_help_panel=HOW)
    ] = None,
    prompt_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Ask a protocol's questions in these words: {question}, {options}.",
            rich_help_panel=HOW,
        ),
    ] = None,
    resolution_slip: Annotated[
        bool,
        typer.Option(
            "--resolution-slip",
            help="recipe: the 105,369 px that its scripts really show.",
            rich_help_panel=HOW,
        ),
    ] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of draws and subset.", rich_help_panel=HOW)
    ] = None,
    judge_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="OpenAI-compatible API (https://HOST/v1), for what no rule scores: TempCompass's "
            "captions, MMVU's open questions. Its key: VTK_JUDGE_KEY.",
            rich_help_panel=JUDGE,
        ),
    ] = None,
    judge_model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The judge, as its server calls it.", rich_help_panel=JUDGE
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Questions at once.", rich_help_panel=COURSE)
    ] = None,
    num_processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that share the questions, each with a GPU of its own.",
            rich_help_panel=COURSE,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Keep these answers beside those of other settings, in eval/SUITE.NAME.",
            rich_help_panel=COURSE,
        ),
    ] = None,
    retry_errors: Annotated[
        bool,
        typer.Option(
            "--retry-errors", help="Ask again what ended in an error.", rich_help_panel=COURSE
        ),
    ] = False,
    restart: Annotated[
        bool,
        typer.Option(
            "--restart", help="Set earlier results aside and start anew.", rich_help_panel=COURSE
        ),
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    as_json: Json = False,
) -> None:
    """Ask a model the questions of benchmarks; stopped, it goes on.

    Answers are kept as they come. docs/evaluation.md says how each benchmark is asked and scored.
    """
    console = Console(as_json)
    require_suites(suites)
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
