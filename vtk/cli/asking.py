"""How `vtk eval` asks: one process or several, suite after suite, stopped and told of."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtk.cli.console import Console
from vtk.cli.order import Order, read_order
from vtk.cli.progress import show_progress
from vtk.cli.questions import known_bad_clips, show_leaks
from vtk.cli.scores import Tracker, show_results
from vtk.errors import ConfigError, Interrupted, VtkError
from vtk.system.signals import handle_signals

if TYPE_CHECKING:
    from vtk.evals.backends import Backend
    from vtk.evals.peers import Peers
    from vtk.evals.session import Inquiry
    from vtk.runs.store import RunPaths
    from vtk.video.cache import ClipCache

_HINT = "What was answered is kept: repeat the command, with any number of processes."


def ask_together(console: Console, num_processes: int | None) -> bool:
    """Run this very command in several processes, if that is asked for and not under way yet.

    Args:
        console: The command's console.
        num_processes: How many; None leaves it to the launcher, or is one.

    Returns:
        Whether it is done.

    Raises:
        ConfigError: A launcher has started another number.
        VtkError: A process failed or was killed.
    """
    from vtk.evals.peers import num_peers
    from vtk.system.together import Spoken, run_together, this_command

    launched = num_peers()
    if num_processes is None or num_processes == launched:
        return False
    if launched > 1:
        raise ConfigError(
            f"--num-processes {num_processes} contradicts the launcher, which started {launched}",
            "Leave --num-processes away under torchrun or accelerate.",
        )
    console.note(f"Asking with {num_processes} processes")
    try:
        said = run_together(this_command(sys.argv[1:]), num_processes, _HINT, console.is_json)
    except Spoken as failure:
        console.forward(failure.captured)
        raise SystemExit(failure.code) from None
    console.forward(said)
    return True


@contextmanager
def joined_peers(console: Console) -> "Iterator[tuple[Peers, Console]]":
    """This process among those that share the evaluation, and the console that it may use.

    Only process 0 speaks. Where `ask_together` started the processes, that process tells of stops
    and of one that died.
    """
    from vtk.evals.peers import PeerGone, meet_peers, take_own_gpu
    from vtk.system.launchers import visible_gpus
    from vtk.system.together import LEFT_WITH_OTHERS, is_started_together

    gpus = visible_gpus(os.environ)
    take_own_gpu(os.environ, gpus)
    try:
        with meet_peers() as peers, _voice_of(peers, console) as voice:
            if peers.count == 1 and len(gpus) > 1:
                voice.note(f"One GPU is used; --num-processes {len(gpus)} uses all that are here")
            yield peers, voice
    except (PeerGone, Interrupted) as leaving:
        if not is_started_together():
            raise
        code = LEFT_WITH_OTHERS if isinstance(leaving, PeerGone) else leaving.exit_code
        raise SystemExit(code) from None


@contextmanager
def _voice_of(peers: "Peers", console: Console) -> Iterator[Console]:
    if peers.is_main:
        yield console
        return
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        yield Console(console.is_json, nowhere, nowhere)


class Session:
    """Carries an order out in one of the processes that share it, and reports on each suite.

    Args:
        console: Where it reports.
        peers: The processes that share the questions.
        is_retry: Ask the questions that ended in an error again.
        is_restart: Set earlier results aside and start anew.
    """

    def __init__(
        self, console: Console, peers: "Peers", *, is_retry: bool, is_restart: bool
    ) -> None:
        self.console = console
        self.peers = peers
        self.is_retry = is_retry
        self.is_restart = is_restart

    def run(self, order: Order) -> dict[str, Any]:
        """Ask all that was ordered; the command's document."""
        from vtk.evals.runner import MAX_CACHE_BYTES
        from vtk.evals.session import placed_in
        from vtk.video.cache import open_clips

        with self.peers.main_first():
            read = read_order(self.console, order)
        self.console.note(f"Loading {order.model} from {read.target.path}")
        backend, identity = read.open_backend()
        inquiries = read.inquiries(identity)
        run = self.peers.told_by_main(read.find_run(inquiries) if self.peers.is_main else None)
        assert run is not None
        clips = open_clips(MAX_CACHE_BYTES, read.target.config.video.cache_gib)
        clips.refuse(known_bad_clips(self.console, read.suites, order.data_dir))
        leaks = show_leaks(self.console, read.target.run, read.asked) if self.peers.is_main else {}
        results = self._ask_all(run, placed_in(run, inquiries), backend, clips)
        return {"run_id": run.run_id, "run_dir": str(run.root), "leaks": leaks, "suites": results}

    def _ask_all(
        self,
        run: "RunPaths",
        inquiries: "Sequence[Inquiry]",
        backend: "Backend",
        clips: "ClipCache",
    ) -> dict[str, Any]:
        """Results by suite; a run of stage "eval" also gets its events."""
        from vtk.evals.target import is_eval_run

        has_events = self.peers.is_main and is_eval_run(run)
        with _stop_when_asked() as should_stop, _events_of(run, has_events) as emit:
            results = {}
            for number, one in enumerate(inquiries, start=1):
                what = f"{one.name} ({number} of {len(inquiries)})" if inquiries[1:] else one.name
                num_later = sum(len(later.plan) for later in inquiries[number:])
                found = self._ask(one, what, num_later, backend, clips, should_stop)
                results[one.name] = found
                emit(one.name, found)
        return results

    def _ask(
        self,
        inquiry: "Inquiry",
        what: str,
        num_later: int,
        backend: "Backend",
        clips: "ClipCache",
        should_stop: Callable[[], bool],
    ) -> dict[str, Any]:
        from vtk.evals.session import run_inquiry

        num_rows = len(inquiry.plan)
        with show_progress(self.console, f"Asking {what}", num_rows, "answers") as progress:
            score = "strict" if inquiry.protocol is None else "score"
            tracker = Tracker(self.console, progress, score, num_later)
            results = run_inquiry(
                inquiry,
                backend,
                on_start=tracker.start,
                on_row=tracker.add,
                should_stop=should_stop,
                clips=clips,
                is_retry=self.is_retry,
                is_restart=self.is_restart,
                peers=self.peers,
            )
        if notice := clips.take_notice():
            self.console.warn(notice)
        if inquiry.judge is not None:
            results = self._judge(inquiry, what, should_stop)
        show_results(self.console, results)
        if results["outcomes"]["error"] == results["num_completions"]:
            raise VtkError(
                f"{inquiry.name}: its {results['num_questions']} questions all failed "
                f"({', '.join(results['errors'])})",
                f"See {inquiry.folder}/samples.jsonl; then repeat with --retry-errors.",
            )
        return results

    def _judge(
        self, inquiry: "Inquiry", what: str, should_stop: Callable[[], bool]
    ) -> dict[str, Any]:
        """Have the kept answers scored that only a judge can score."""
        from vtk.evals.judging import judge_inquiry

        with show_progress(self.console, f"Judging {what}", None, "judgements") as progress:
            return judge_inquiry(
                inquiry,
                on_start=lambda num_rows: progress.update(total=num_rows),
                on_judged=progress.advance,
                should_stop=should_stop,
                peers=self.peers,
            )


@contextmanager
def _events_of(
    run: "RunPaths", has_events: bool
) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """Yields what notes one suite's results in the run's log; for a run of `vtk eval` only."""
    if not has_events:
        yield lambda *_: None
        return
    from vtk.evals.results import event_per_type
    from vtk.runs.writer import EventWriter

    with EventWriter(run) as writer:

        def emit(name: str, results: dict[str, Any]) -> None:
            per_type = event_per_type(results, results["headline"])
            writer.emit("eval_result", step=None, suite=name, per_type=per_type)

        writer.phase("eval")
        yield emit
        writer.finish("finished")


@contextmanager
def _stop_when_asked() -> Iterator[Callable[[], bool]]:
    """Turn SIGTERM into a stop between tokens: what was answered is kept, the exit code is 75.

    A process whose starter is gone stops too: nobody could end it any more.
    """
    from vtk.system.together import has_lost_starter

    asked = False

    def note_request(*_: object) -> None:
        nonlocal asked
        asked = True

    with handle_signals([signal.SIGTERM], note_request):
        yield lambda: asked or has_lost_starter()
