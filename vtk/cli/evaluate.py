"""`vtk eval` and `vtk compare`: judge a model, and set runs side by side."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vtk.cli.config import ConfigFile, parse_assignments
from vtk.cli.console import Console
from vtk.cli.options import (
    DEFAULT_DATA_DIR,
    DEFAULT_RUNS_DIR,
    DataDir,
    Json,
    RunsDir,
    folder_options,
)
from vtk.cli.progress import show_progress
from vtk.cli.scores import Tracker, show_comparison, show_results
from vtk.errors import DataError, VtkError
from vtk.system.signals import handle_signals

if TYPE_CHECKING:
    from vtk.evals.session import Inquiry
    from vtk.evals.suites import Suite
    from vtk.runs.store import RunPaths
    from vtk.video.cache import ClipCache

ALL_SUITES: Final = "all"

SuiteNames = Annotated[list[str], typer.Argument(metavar="SUITE...", help="Suites, or all.")]
ModelRef = Annotated[
    str, typer.Option("--model", "-m", help='"tiny", a run, a folder or a hub id.')
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one value, e.g. video.num_frames=32."),
]


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
    from vtk.evals.suites import draw_subset, load_questions

    console = Console(as_json)
    chosen = _chosen_suites(suites, data_dir, part, console)
    questions = {suite.name: load_questions(suite, data_dir, part) for suite in chosen}
    from vtk.evals.runner import MAX_CACHE_BYTES
    from vtk.evals.session import Inquiry
    from vtk.evals.target import evaluation_settings, find_target, load_target, place_inquiries
    from vtk.video.cache import open_clips

    overrides = parse_assignments(assignments) | {
        "eval.temperature": temperature,
        "eval.batch_size": batch_size,
        "eval.max_completion_tokens": max_completion_tokens,
    }
    target = find_target(model, runs_dir, preset, config, overrides)
    settings = {
        suite.name: evaluation_settings(target.config, suite, samples_per_question, seed)
        for suite in chosen
    }
    console.note(f"Loading {model} from {target.path}")
    policy, processor, identity = load_target(target)
    inquiries = [
        Inquiry(
            suite=suite,
            samples=draw_subset(
                questions[suite.name], num_samples, target.config.seed if seed is None else seed
            ),
            settings=settings[suite.name],
            model_identity=identity,
            folder=Path(),
            origin=target.origin,
        )
        for suite in chosen
    ]
    run, placed = place_inquiries(target, inquiries, runs_dir, sys.argv, is_new=restart)
    clips = open_clips(MAX_CACHE_BYTES, target.config.video.cache_gib)
    session = _Session(console, policy, processor, clips, retry_errors, restart)
    results = session.run(run, placed)
    console.document({"run_id": run.run_id, "run_dir": str(run.root), "suites": results})
    where = folder_options(runs_dir=runs_dir)
    console.next_command(
        f"vtk compare {run.run_id} OTHER_RUN{where}", "paired, on the same questions"
    )


def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN RUN...", help="The first is the baseline.")
    ],
    suite: Annotated[str | None, typer.Option(help="Suite to compare.")] = None,
    common: Annotated[
        bool, typer.Option("--common", help="Compare only questions that all runs answered.")
    ] = False,
    protocol: Annotated[
        str, typer.Option(help="strict, partial, per_option or lenient.")
    ] = "strict",
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    as_json: Json = False,
) -> None:
    """Set runs side by side on the same questions: paired difference, interval, p-value."""
    from vtk.evals.compare import choose_suite, compare_runs, load_graded_run, require_protocol
    from vtk.runs.store import resolve_run

    console = Console(as_json)
    require_protocol(protocol)
    found = [resolve_run(runs_dir, ref) for ref in runs]
    name = choose_suite(found, suite)
    document = compare_runs(name, [load_graded_run(run, name) for run in found], common)
    show_comparison(console, document, protocol)
    console.document(document)


class _Session:
    """Asks several suites of one loaded model and reports on each."""

    def __init__(
        self,
        console: Console,
        model: Any,
        processor: Any,
        clips: "ClipCache",
        is_retry: bool,
        is_restart: bool,
    ) -> None:
        self.console = console
        self.model = model
        self.processor = processor
        self.clips = clips
        self.is_retry = is_retry
        self.is_restart = is_restart

    def run(self, run: "RunPaths", inquiries: "Sequence[Inquiry]") -> dict[str, Any]:
        """Results by suite; a run of stage "eval" also gets its events."""
        from vtk.evals.target import is_eval_run

        with _stop_on_sigterm() as should_stop:
            if not is_eval_run(run):
                return {one.suite.name: self._ask(one, should_stop) for one in inquiries}
            return self._run_with_events(run, inquiries, should_stop)

    def _run_with_events(
        self, run: "RunPaths", inquiries: "Sequence[Inquiry]", should_stop: Callable[[], bool]
    ) -> dict[str, Any]:
        from vtk.evals.results import event_per_type
        from vtk.runs.writer import EventWriter

        results = {}
        with EventWriter(run) as writer:
            writer.phase("eval")
            for one in inquiries:
                found = self._ask(one, should_stop)
                results[one.suite.name] = found
                per_type = event_per_type(found)
                writer.emit("eval_result", step=None, suite=one.suite.name, per_type=per_type)
            writer.finish("finished")
        return results

    def _ask(self, inquiry: "Inquiry", should_stop: Callable[[], bool]) -> dict[str, Any]:
        from vtk.evals.session import run_inquiry

        what = f"Asking {inquiry.suite.name}"
        with show_progress(self.console, what, len(inquiry.plan), "answers") as progress:
            tracker = Tracker(self.console, progress)
            results = run_inquiry(
                inquiry,
                self.model,
                self.processor,
                on_start=tracker.start,
                on_row=tracker.add,
                should_stop=should_stop,
                clips=self.clips,
                is_retry=self.is_retry,
                is_restart=self.is_restart,
            )
        if notice := self.clips.take_notice():
            self.console.warn(notice)
        show_results(self.console, results)
        if results["outcomes"]["error"] == results["num_completions"]:
            raise VtkError(
                f"every question of {inquiry.suite.name} ended in an error",
                f"See {inquiry.folder}/samples.jsonl; then repeat with --retry-errors.",
            )
        return results


def _chosen_suites(
    names: Sequence[str], data_dir: Path, part: str, console: Console
) -> "list[Suite]":
    from vtk.data.registry import split_file
    from vtk.evals.suites import SUITES, find_suite

    if ALL_SUITES not in names:
        return [find_suite(name) for name in dict.fromkeys(names)]
    ready = [s for s in SUITES.values() if split_file(data_dir, s.dataset, part).is_file()]
    for suite in SUITES.values():
        if suite not in ready:
            console.warn(f"{suite.name} is left out: {data_dir} has no split of {suite.dataset}")
    if not ready:
        raise DataError(
            f"{data_dir} has no suite's questions",
            "Make some with: vtk download clevrer-mini && vtk split clevrer-mini",
        )
    return ready


@contextmanager
def _stop_on_sigterm() -> Iterator[Callable[[], bool]]:
    """Turn SIGTERM into a stop between tokens: what was answered is kept, the exit code is 75."""
    asked = False

    def note_request(*_: object) -> None:
        nonlocal asked
        asked = True

    with handle_signals([signal.SIGTERM], note_request):
        yield lambda: asked
