"""`vtk compare`: set runs side by side, as tables or as a page to look through."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vtk.cli.completion import complete_run
from vtk.cli.console import Console
from vtk.cli.options import DataDir, Json, RunsDir
from vtk.cli.progress import show_progress
from vtk.cli.scores import show_comparison, show_published
from vtk.errors import ConfigError
from vtk.hints import DEFAULT_DATA_DIR, DEFAULT_RUNS_DIR

if TYPE_CHECKING:
    from vtk.evals.compare import GradedRun

ALL_SUITES = "all"
DEFAULT_NUM_CLIPS = 300
Graded = Mapping[str, "Sequence[GradedRun]"]


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN...",
            help="The first is the baseline; RUN:RESULTS is one set of a run's answers.",
            autocompletion=complete_run,
        ),
    ],
    suite: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Results to compare: clevrer, mvbench-recipe, ..., or all."
        ),
    ] = None,
    common: Annotated[
        bool, typer.Option("--common", help="Compare only questions that all runs answered.")
    ] = False,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Accuracy to show: strict, partial, per_option, lenient, or the protocol's own.",
        ),
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Show what others published, beside ours.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write a page with the questions on which the runs part ways.",
        ),
    ] = None,
    html_clips: Annotated[
        int, typer.Option(min=0, help="Clips of which the page shows frames, at most.")
    ] = DEFAULT_NUM_CLIPS,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    as_json: Json = False,
) -> None:
    """Set runs side by side on the same questions.

    The difference is paired, with its interval and p-value.
    """
    from vtk.evals.compare import compare_runs, require_protocol

    console = Console(as_json)
    graded = _graded(runs, runs_dir, suite, is_page=html is not None)
    documents = {name: compare_runs(name, each, common) for name, each in graded.items()}
    for name, document in documents.items():
        accuracy = require_protocol(document, protocol)
        show_comparison(console, document, accuracy)
        if published:
            document["published"] = show_published(console, name, document, accuracy)
    made = (
        {} if html is None else _write_page(console, html, documents, graded, data_dir, html_clips)
    )
    is_one = suite != ALL_SUITES and len(documents) == 1
    whole = next(iter(documents.values())) if is_one else {"suites": documents}
    console.document({**whole, **made})


def _graded(
    refs: Sequence[str], runs_dir: Path, wanted: str | None, is_page: bool
) -> "dict[str, list[GradedRun]]":
    """Name of results -> every run's; all that the runs share for "all" and for a page."""
    from vtk.evals.compare import choose_suite, load_graded_run, shared_suites, split_reference
    from vtk.runs.store import resolve_run

    split = [split_reference(ref) for ref in refs]
    runs = [resolve_run(runs_dir, ref) for ref, _ in split]
    named = [results for _, results in split if results is not None]
    if named:
        name = named[0] if wanted in (None, ALL_SUITES) else str(wanted)
        own = [results or name for _, results in split]
        pairs = zip(runs, own, strict=True)
        return {name: [load_graded_run(run, results, is_named=True) for run, results in pairs]}
    is_all = wanted == ALL_SUITES or (wanted is None and is_page)
    names = shared_suites(runs) if is_all else [choose_suite(runs, wanted)]
    return {name: [load_graded_run(run, name) for run in runs] for name in names}


def _write_page(
    console: Console,
    path: Path,
    documents: Mapping[str, dict[str, Any]],
    graded: Graded,
    data_dir: Path,
    max_clips: int,
) -> dict[str, Any]:
    """Write the page, say what is on it, and return what the document says of it."""
    from vtk.evals.page.build import PageFacts, write_page
    from vtk.evals.page.differing import differing_questions
    from vtk.evals.page.frames import add_strips

    if path.is_dir():
        raise ConfigError(f"{path} is a folder", "Name a file: --html compare.html")
    questions = {name: differing_questions(name, runs) for name, runs in graded.items()}
    settings = {name: runs[0].settings for name, runs in graded.items()}
    with show_progress(console, "Reading clips", None, "clips") as progress:
        strips = add_strips(questions, settings, data_dir, max_clips, progress.advance)
    write_page(path, PageFacts(documents, questions, strips))
    for problem in strips.problems:
        console.warn(problem)
    num_questions = sum(map(len, questions.values()))
    console.say(
        f"{path}: {num_questions} questions on which the runs part ways, frames of "
        f"{len(strips.by_key)} clips"
    )
    return {
        "html": str(path),
        "num_differing": num_questions,
        "num_clips_shown": len(strips.by_key),
    }
