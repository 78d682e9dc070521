"""One suite asked of one model, kept on disk: start, resume, retry, finish."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtk.data.sample import VideoSample
from vtk.errors import Interrupted
from vtk.evals.folder import claim_settings, set_aside, settings_hash
from vtk.evals.record import SAMPLES_FILE, EvalRow, ReadRows, RowKey, SampleLog, read_rows
from vtk.evals.results import build_results
from vtk.evals.runner import iter_rows
from vtk.evals.settings import EvaluationSettings, plan_rows
from vtk.evals.suites import Suite
from vtk.runs.files import write_json_atomic
from vtk.runs.results import RESULTS_FILE
from vtk.video.cache import ClipCache

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLProcessor

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
    """

    suite: Suite
    samples: Sequence[VideoSample]
    settings: EvaluationSettings
    model_identity: Mapping[str, Any]
    folder: Path
    origin: Mapping[str, str] = field(default_factory=dict)
    not_asked: Mapping[str, int] = field(default_factory=dict)

    @property
    def protocol(self) -> str | None:
        """The name of the protocol; None where the one grader alone scores."""
        return None if self.settings.protocol is None else self.settings.protocol.name

    @property
    def name(self) -> str:
        """How results and their folder are called: the suite, with a protocol that is not its own.

        The official protocol, and the one of suites that have no other, adds nothing.
        """
        return result_name(self.suite.name, self.protocol)

    @property
    def plan(self) -> list[RowKey]:
        """Every question and draw, in order."""
        return plan_rows(self.samples, self.settings)

    def as_json(self) -> dict[str, Any]:
        """Everything that decides a completion, as plain data."""
        return {
            "suite": self.suite.name,
            "model": dict(self.model_identity),
            "ask": self.settings.as_json(),
            "questions": {"num": len(self.samples), "sha256": questions_hash(self.samples)},
        }


def result_name(suite: str, protocol: str | None) -> str:
    """The name of a suite's results under a protocol, also that of their folder."""
    return suite if protocol in (None, "official") else f"{suite}-{protocol}"


def questions_hash(samples: Sequence[VideoSample]) -> str:
    """sha256 over what is asked and how it is counted: words, solutions, labels, in order."""
    digest = sha256()
    for sample in samples:
        words = (sample.sample_id, sample.clip_id, sample.problem, sample.solution)
        kinds = (str(sample.label), str(sample.polarity), str(sample.num_correct))
        shown = () if sample.span_s is None else (str(sample.span_s),)
        for part in (*words, *kinds, *shown):
            digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()


def run_inquiry(
    inquiry: Inquiry,
    model: Any,
    processor: "Qwen2_5_VLProcessor",
    *,
    on_start: Callable[[ReadRows, int], None] | None = None,
    on_row: Callable[[EvalRow], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    clips: ClipCache | None = None,
    is_retry: bool = False,
    is_restart: bool = False,
) -> dict[str, Any]:
    """Ask what has not been answered yet and write results.json.

    Args:
        inquiry: What is asked of which model, and where the answers go.
        model: On its device.
        processor: The model's own.
        on_start: Called with the rows that are kept from earlier attempts, those to be asked again
            left out, and the number of rows in all.
        on_row: Called with each new row.
        should_stop: Asked often.
        clips: What clips are read through; a cache in memory when None.
        is_retry: Ask the questions that ended in an error again.
        is_restart: Set earlier results aside and start anew.

    Returns:
        The results document.

    Raises:
        ConfigError: Rows of other settings are there, or another process is writing.
        Interrupted: `should_stop` said yes; what was answered is kept.
        VtkError: Nothing works, or the disk is full; what was answered is kept.
    """
    if is_restart:
        set_aside(inquiry.folder)
    environment = describe_environment(model) | {"model": dict(inquiry.origin)}
    claim_settings(inquiry.folder, inquiry.as_json(), environment)
    with SampleLog(inquiry.folder) as log:
        kept = read_rows(log.path)
        if is_retry:
            answered = {key: row for key, row in kept.rows.items() if not row.error}
            kept = replace(kept, rows=answered)
        if on_start is not None:
            on_start(kept, len(inquiry.plan))
        try:
            for row in iter_rows(
                model,
                processor,
                inquiry.samples,
                inquiry.settings,
                done=set(kept.rows),
                should_stop=should_stop,
                clips=clips,
            ):
                log.append(row)
                if on_row is not None:
                    on_row(row)
        except Interrupted as stop:
            raise Interrupted(stop.message, "Repeat the command to go on.") from stop
        finally:
            results = write_results(inquiry)
    return results


def write_results(inquiry: Inquiry) -> dict[str, Any]:
    """Recompute results.json from samples.jsonl and return it."""
    found = read_rows(inquiry.folder / SAMPLES_FILE)
    settings = inquiry.as_json()
    context = {
        "label": inquiry.suite.label or inquiry.suite.name,
        "model": dict(inquiry.origin),
        "num_unreadable_lines": found.num_unreadable,
        "not_asked": dict(inquiry.not_asked),
        "prompt_sha256": inquiry.settings.prompt_sha256,
        "deviations": inquiry.settings.deviations(),
        "settings_hash": settings_hash(settings),
        "settings": settings,
    }
    results = build_results(inquiry.suite.name, found.rows, inquiry.plan, context, inquiry.protocol)
    write_json_atomic(inquiry.folder / RESULTS_FILE, results)
    return results


def describe_environment(model: Any) -> dict[str, Any]:
    """Versions and device: recorded beside the settings, because they can change a completion."""
    device = next(model.parameters()).device
    return {
        "python": platform.python_version(),
        "device": str(device),
        "packages": {name: version(name) for name in _RECORDED_PACKAGES},
    }
