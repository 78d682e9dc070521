"""`vtk eval` and `vtk compare`: judge a model, and set runs side by side."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from vtk.cli.questions import Words, chosen_suites, known_bad_clips, read_questions, show_leaks
from vtk.cli.scores import Tracker, show_comparison, show_published, show_results
from vtk.errors import VtkError
from vtk.system.signals import handle_signals

if TYPE_CHECKING:
    from vtk.evals.session import Inquiry
    from vtk.runs.store import RunPaths
    from vtk.video.cache import ClipCache

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
    from vtk.evals.suites import choose_protocols

    console = Console(as_json)
    chosen = chosen_suites(suites, data_dir, part, console)
    words = Words(prompt_file, resolution_slip)
    jobs = [(s, words.applied(p)) for s in chosen for p in choose_protocols(s, protocol)]
    asked = read_questions(console, chosen, data_dir, part, questions)
    from vtk.evals.runner import MAX_CACHE_BYTES
    from vtk.evals.session import Inquiry
    from vtk.evals.suites import draw_subset
    from vtk.evals.target import evaluation_settings, find_target, load_target, place_inquiries
    from vtk.video.cache import open_clips

    overrides = parse_assignments(assignments) | {
        "eval.temperature": temperature,
        "eval.batch_size": batch_size,
        "eval.max_completion_tokens": max_completion_tokens,
        "eval.num_frames": num_frames,
        "eval.max_pixels_px": max_pixels,
        "video.fps": fps,
    }
    target = find_target(model, runs_dir, preset, config, overrides)
    given = [key for key, value in overrides.items() if value is not None]
    console.note(f"Loading {model} from {target.path}")
    policy, processor, identity = load_target(target)
    draw_seed = target.config.seed if seed is None else seed
    inquiries = [
        Inquiry(
            suite=suite,
            samples=draw_subset(asked[suite.name].samples, num_samples, draw_seed),
            settings=evaluation_settings(
                target.config, suite, samples_per_question, seed, wanted, given
            ),
            model_identity=identity,
            folder=Path(),
            origin=target.origin,
            not_asked=asked[suite.name].not_asked,
        )
        for suite, wanted in jobs
    ]
    run, placed = place_inquiries(target, inquiries, runs_dir, sys.argv, is_new=restart)
    clips = open_clips(MAX_CACHE_BYTES, target.config.video.cache_gib)
    clips.refuse(known_bad_clips(console, chosen, data_dir))
    session = _Session(console, policy, processor, clips, retry_errors, restart)
    leaks = show_leaks(console, target.run, asked)
    results = session.run(run, placed)
    found = {"run_id": run.run_id, "run_dir": str(run.root), "leaks": leaks, "suites": results}
    console.document(found)
    next_one = f"vtk compare {run.run_id} OTHER_RUN{folder_options(runs_dir=runs_dir)}"
    console.next_command(next_one, "paired, on the same questions")


def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN RUN...", help="The first is the baseline.")
    ],
    suite: Annotated[str | None, typer.Option(help="Suite to compare.")] = None,
    common: Annotated[
        bool, typer.Option("--common", help="Compare only questions that all runs answered.")
    ] = False,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="Accuracy to show: strict, partial, per_option, lenient, or the protocol's own."
        ),
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Show what others published of this suite.")
    ] = False,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    as_json: Json = False,
) -> None:
    """Set runs side by side on the same questions: paired difference, interval, p-value."""
    from vtk.evals.compare import choose_suite, compare_runs, load_graded_run, require_protocol
    from vtk.runs.store import resolve_run

    console = Console(as_json)
    found = [resolve_run(runs_dir, ref) for ref in runs]
    name = choose_suite(found, suite)
    document = compare_runs(name, [load_graded_run(run, name) for run in found], common)
    show_comparison(console, document, require_protocol(document, protocol))
    if published:
        document |= {"published": show_published(console, name)}
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
                return {one.name: self._ask(one, should_stop) for one in inquiries}
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
                results[one.name] = found
                per_type = event_per_type(found, found["headline"])
                writer.emit("eval_result", step=None, suite=one.name, per_type=per_type)
            writer.finish("finished")
        return results

    def _ask(self, inquiry: "Inquiry", should_stop: Callable[[], bool]) -> dict[str, Any]:
        from vtk.evals.session import run_inquiry

        what = f"Asking {inquiry.name}"
        with show_progress(self.console, what, len(inquiry.plan), "answers") as progress:
            score = "strict" if inquiry.protocol is None else "score"
            tracker = Tracker(self.console, progress, score)
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
                f"every question of {inquiry.name} ended in an error",
                f"See {inquiry.folder}/samples.jsonl; then repeat with --retry-errors.",
            )
        return results


@contextmanager
def _stop_on_sigterm() -> Iterator[Callable[[], bool]]:
    """Turn SIGTERM into a stop between tokens: what was answered is kept, the exit code is 75."""
    asked = False

    def note_request(*_: object) -> None:
        nonlocal asked
        asked = True

    with handle_signals([signal.SIGTERM], note_request):
        yield lambda: asked
