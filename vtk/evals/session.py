"""One suite asked of one model, kept on disk: start, resume, retry, finish."""

import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vtk.data.sample import VideoSample
from vtk.errors import DataError, Interrupted
from vtk.evals.backends import Backend
from vtk.evals.failures import FailureWatch
from vtk.evals.folder import claim_settings, set_aside, settings_hash
from vtk.evals.judge import Judge
from vtk.evals.parts import (
    PartsFollower,
    part_log,
    put_in_order,
    remove_parts,
    take_in_parts,
    wait_for_rows,
)
from vtk.evals.peers import ALONE, Peers
from vtk.evals.record import SAMPLES_FILE, EvalRow, ReadRows, RowKey, SampleLog, read_rows
from vtk.evals.results import build_results, judge_results
from vtk.evals.runner import iter_rows
from vtk.evals.settings import EvaluationSettings, plan_rows
from vtk.evals.suites import Suite
from vtk.runs.files import write_json_atomic
from vtk.runs.results import RESULTS_FILE
from vtk.runs.store import RunPaths
from vtk.video.cache import ClipCache

_RECORDED_PACKAGES = ("torch", "transformers", "tokenizers", "av", "numpy")


@dataclass(frozen=True)
class Inquiry:
    """What is asked of which model, and where the answers go.

    Attributes:
        suite: The suite.
        samples: Its questions, in order; the denominator.
        settings: How they are asked.
        model_identity: What names the weights and how they are computed with: the hash of the
            weights, number format, attention kernel.
        folder: eval/<name> of a run.
        origin: Where the model came from, for people.
        not_asked: Reason -> number of the suite's questions that are left out for it.
        variant: What the user calls these settings, so that answers under others lie beside them.
        judge: Who scores the questions that no rule can (`vtk.evals.judging`); None where none is.
    """

    suite: Suite
    samples: Sequence[VideoSample]
    settings: EvaluationSettings
    model_identity: Mapping[str, Any]
    folder: Path
    origin: Mapping[str, str] = field(default_factory=dict)
    not_asked: Mapping[str, int] = field(default_factory=dict)
    variant: str | None = None
    judge: Judge | None = None

    @property
    def protocol(self) -> str | None:
        """The name of the protocol; None where the one grader alone scores."""
        return None if self.settings.protocol is None else self.settings.protocol.name

    @property
    def name(self) -> str:
        """How results and their folder are called: the suite, with a protocol that is not its own.

        The official protocol, and the one of suites that have no other, adds nothing. A variant is
        set off by a dot: mvbench-recipe.16-frames.
        """
        return result_name(self.suite.name, self.protocol, self.variant)

    @property
    def label(self) -> str:
        """What its numbers are called."""
        judged = None if self.judge is None else self.suite.judged_label
        return judged or self.suite.label or self.suite.name

    @property
    def plan(self) -> list[RowKey]:
        """Every question and draw, in order."""
        return plan_rows(self.samples, self.settings)

    def as_json(self) -> dict[str, Any]:
        """Everything that decides a completion and its score, as plain data."""
        return {
            "suite": self.suite.name,
            "model": dict(self.model_identity),
            "ask": self.settings.as_json(),
            "questions": {"num": len(self.samples), "sha256": questions_hash(self.samples)},
            **({} if self.judge is None else {"judge": self.judge.as_json()}),
        }


def result_name(suite: str, protocol: str | None, variant: str | None = None) -> str:
    """The name of a suite's results under a protocol, also that of their folder."""
    name = suite if protocol in (None, "official") else f"{suite}-{protocol}"
    return name if variant is None else f"{name}.{variant}"


def placed_in(run: RunPaths, inquiries: Sequence[Inquiry]) -> list[Inquiry]:
    """The inquiries with their folders in a run.

    Raises:
        ConfigError: A variant's name cannot be a folder's name.
    """
    return [replace(one, folder=run.eval_dir(one.name)) for one in inquiries]


def questions_hash(samples: Sequence[VideoSample]) -> str:
    """sha256 over what is asked and how it is counted: words, solutions, labels, in order."""
    digest = sha256()
    for sample in samples:
        words = (sample.sample_id, sample.clip_id, sample.problem, sample.solution)
        kinds = (str(sample.label), str(sample.polarity), str(sample.num_correct))
        shown = () if sample.span_s is None else (str(sample.span_s),)
        judged = () if sample.judging is None else (str(astuple(sample.judging)),)
        for part in (*words, *kinds, *shown, *judged):
            digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()


def run_inquiry(
    inquiry: Inquiry,
    backend: Backend,
    *,
    on_start: Callable[[ReadRows, int], None] | None = None,
    on_row: Callable[[EvalRow], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    clips: ClipCache | None = None,
    is_retry: bool = False,
    is_restart: bool = False,
    peers: Peers = ALONE,
) -> dict[str, Any]:
    """Ask what has not been answered yet and write results.json.

    Several processes share the questions out, and the rows and results are those of one.

    Args:
        inquiry: What is asked of which model, and where the answers go; the same in all processes.
        backend: What answers.
        on_start: Called with the rows that are kept from earlier attempts, those to be asked again
            left out, and the number of rows in all; in the main process only.
        on_row: Called with each new row of all processes; in the main process only, where there
            are several in another thread.
        should_stop: Asked often.
        clips: What clips are read through; a cache in memory when None.
        is_retry: Ask the questions that ended in an error again.
        is_restart: Set earlier results aside and start anew.
        peers: The processes that share the questions.

    Returns:
        The results document.

    Raises:
        ConfigError: Rows of other settings are there, or another process is writing.
        Interrupted: `should_stop` said yes; what was answered is kept.
        SystemExit: The main process failed, and this is another one.
        VtkError: Nothing works, the disk is full, or a process is gone; what was answered is kept.
    """
    ask = _Asking(inquiry, backend, should_stop, clips, peers)
    _claim_folder(inquiry, backend, is_restart, peers)
    if not peers.is_main:
        ask.into_part(peers.told_by_main(set()))
        return peers.told_by_main({})
    with SampleLog(inquiry.folder) as log:
        kept = _kept_rows(log, inquiry, is_retry)
        if on_start is not None:
            on_start(kept, len(inquiry.plan))
        try:
            ask.all_that_is_left(log, set(kept.rows), on_row)
        except Interrupted as stop:
            raise Interrupted(stop.message, "Repeat the command to go on.") from stop
        finally:
            take_in_parts(log, inquiry.folder, inquiry.plan)
            put_in_order(log.path, inquiry.plan)
            results = write_results(inquiry)
        remove_parts(inquiry.folder)
    return peers.told_by_main(results)


def _claim_folder(inquiry: Inquiry, backend: Backend, is_restart: bool, peers: Peers) -> None:
    """Make sure that the folder's rows, if any, are of the same settings in all processes."""
    with peers.main_first():
        if peers.is_main:
            if is_restart:
                set_aside(inquiry.folder)
            environment = describe_environment(backend) | {"model": dict(inquiry.origin)}
            claim_settings(inquiry.folder, inquiry.as_json(), environment)
    _require_same_inquiry(inquiry, peers)


def _kept_rows(log: SampleLog, inquiry: Inquiry, is_retry: bool) -> ReadRows:
    """The rows of earlier attempts, also of one that was killed; errors left out for a retry."""
    take_in_parts(log, inquiry.folder, inquiry.plan)
    remove_parts(inquiry.folder)
    kept = read_rows(log.path)
    if not is_retry:
        return kept
    return replace(kept, rows={key: row for key, row in kept.rows.items() if not row.error})


@dataclass(frozen=True)
class _Asking:
    """The asking of one process's share."""

    inquiry: Inquiry
    backend: Backend
    should_stop: Callable[[], bool]
    clips: ClipCache | None
    peers: Peers

    def all_that_is_left(
        self, log: SampleLog, done: Collection[RowKey], on_row: Callable[[EvalRow], None] | None
    ) -> None:
        """Ask what is not done, alone or with the other processes; called in the main one."""
        if self.peers.count == 1:
            self.into(log, done, on_row)
            return
        folder = self.inquiry.folder
        with PartsFollower(folder, on_row or (lambda _: None)):
            self.into_part(self.peers.told_by_main(done))
            wait_for_rows(folder, set(self.inquiry.plan) - set(done))

    def into(
        self, log: SampleLog, done: Collection[RowKey], on_row: Callable[[EvalRow], None] | None
    ) -> None:
        """Ask what is not done and append it, unless nothing works."""
        failures = FailureWatch(is_first=self.peers.is_main and not done)
        for row in iter_rows(
            self.backend,
            self.inquiry.samples,
            self.inquiry.settings,
            done=done,
            should_stop=self.should_stop,
            clips=self.clips,
            share=(self.peers.rank, self.peers.count),
        ):
            log.append(row)
            if on_row is not None:
                on_row(row)
            failures.check(row)

    def into_part(self, done: Collection[RowKey]) -> None:
        """Append this process's share to its own part; returns when all processes have done so."""
        with part_log(self.inquiry.folder, self.peers.rank) as log:
            self.into(log, done, None)
        self.peers.wait_for_all(self.should_stop)


def _require_same_inquiry(inquiry: Inquiry, peers: Peers) -> None:
    """Refuse processes that see other data, weights or settings than the main one."""
    own = settings_hash(inquiry.as_json())
    if peers.told_by_main(own) != own:
        raise DataError(
            f"process {peers.rank} was to ask {inquiry.name} with other questions, weights or "
            "settings than process 0",
            "All processes need the same data, model, settings and versions.",
        )


def write_results(
    inquiry: Inquiry, judging_faults: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Recompute results.json from samples.jsonl and return it.

    Args:
        inquiry: Whose results.
        judging_faults: Why answers stay unjudged, after the judge was asked.
    """
    found = read_rows(inquiry.folder / SAMPLES_FILE)
    settings = inquiry.as_json()
    context = {
        "name": inquiry.name,
        "label": inquiry.label,
        "model": dict(inquiry.origin),
        "num_unreadable_lines": found.num_unreadable,
        "not_asked": dict(inquiry.not_asked),
        "prompt_sha256": inquiry.settings.prompt_sha256,
        "deviations": inquiry.settings.deviations(),
        "settings_hash": settings_hash(settings),
        "settings": settings,
    }
    if inquiry.judge is not None:
        judged = judge_results(inquiry.judge.as_json(), found.rows, inquiry.plan)
        context["judge"] = judged | dict(judging_faults or {})
    results = build_results(inquiry.suite.name, found.rows, inquiry.plan, context, inquiry.protocol)
    write_json_atomic(inquiry.folder / RESULTS_FILE, results)
    return results


def describe_environment(backend: Backend) -> dict[str, Any]:
    """Versions and device: recorded beside the settings, because they can change a completion."""
    return {
        "python": platform.python_version(),
        "device": backend.device,
        "packages": {name: version(name) for name in _RECORDED_PACKAGES} | dict(backend.packages),
    }
