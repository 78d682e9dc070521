"""Ask a model questions about clips and grade its answers: no files, no printing.

The plan is fixed before the first question: batches in the order given, each with its own seed. A
resumed evaluation repeats a whole batch in which a row is missing and keeps only the missing rows,
so a completion never depends on where an earlier attempt was stopped. Same questions, settings,
weights and machine: same rows.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtk.data.sample import VideoSample
from vtk.errors import VtkError
from vtk.evals.asker import MAX_FEATURE_CACHE_BYTES, Asker
from vtk.evals.record import EvalRow, RowKey
from vtk.evals.results import TypeResults, summarise
from vtk.evals.settings import EvaluationSettings, plan_rows
from vtk.video.cache import ClipCache
from vtk.video.frames import Clip, FrameSettings

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLProcessor

MAX_CACHE_BYTES = 256 * 2**20
MAX_ERRORS_AT_START = 16
_NUM_DECODE_THREADS = 2

OnRow = Callable[[EvalRow], None]


def evaluate(
    model: Any,
    processor: "Qwen2_5_VLProcessor",
    samples: Sequence[VideoSample],
    settings: EvaluationSettings,
    on_result: OnRow | None = None,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    clips: ClipCache | None = None,
) -> dict[str, TypeResults]:
    """Accuracy of a model on questions, in memory.

    Args:
        model: On its device, in any mode; left as it was.
        processor: The model's own.
        samples: The questions.
        settings: How to ask them.
        on_result: Called with each graded question.
        should_stop: Asked often; ends the evaluation with `Interrupted`.
        clips: Decoded clips to share with the caller; a cache of its own when None.

    Returns:
        protocol -> type -> {n, accuracy, ci95, num_errors}, see `vtk.evals.results.summarise`.

    Raises:
        Interrupted: `should_stop` said yes.
        VtkError: The first `MAX_ERRORS_AT_START` rows were all errors.
    """
    rows = []
    for row in iter_rows(model, processor, samples, settings, should_stop=should_stop, clips=clips):
        rows.append(row)
        if on_result is not None:
            on_result(row)
    return summarise(rows)


def iter_rows(
    model: Any,
    processor: "Qwen2_5_VLProcessor",
    samples: Sequence[VideoSample],
    settings: EvaluationSettings,
    *,
    done: Collection[RowKey] = (),
    should_stop: Callable[[], bool] = lambda: False,
    clips: ClipCache | None = None,
    max_feature_bytes: int = MAX_FEATURE_CACHE_BYTES,
    is_reading_ahead: bool = True,
) -> Iterator[EvalRow]:
    """Graded rows in the order of the plan; see `evaluate`.

    Args:
        model: As there.
        processor: As there.
        samples: As there.
        settings: As there.
        done: Rows to leave out.
        should_stop: As there.
        clips: As there.
        max_feature_bytes: Host memory for the features of clips; 0 computes them for each question.
        is_reading_ahead: Whether the next batch's clips are decoded while the model answers.
    """
    asker = Asker(model, processor, settings, should_stop, max_feature_bytes)
    batches = [
        batch
        for batch in _batches(samples, settings.batch_size)
        if any(key not in done for key in plan_rows(batch, settings))
    ]
    guard = _StartGuard()
    decoded = _decoded(batches, settings.frames, clips, num_ahead=int(is_reading_ahead))
    for batch, futures in decoded:
        for row in asker.ask(batch, futures):
            if row.key not in done:
                guard.check(row)
                yield row


class _StartGuard:
    """Ends an evaluation in which nothing works, instead of counting every question as wrong."""

    def __init__(self) -> None:
        self._num_errors: int | None = 0

    def check(self, row: EvalRow) -> None:
        """Take in one row.

        Raises:
            VtkError: The first rows were all errors.
        """
        if self._num_errors is None or row.error is None:
            self._num_errors = None
            return
        self._num_errors += 1
        if self._num_errors == MAX_ERRORS_AT_START:
            raise VtkError(
                f"the first {MAX_ERRORS_AT_START} questions all failed ({row.error['kind']}); "
                f"the last: {row.error['message']}",
                "Mend the cause, then repeat the command with --retry-errors.",
            )


def _batches(samples: Sequence[VideoSample], size: int) -> list[Sequence[VideoSample]]:
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def _decoded(
    batches: Sequence[Sequence[VideoSample]],
    frames: FrameSettings,
    clips: ClipCache | None,
    num_ahead: int,
) -> Iterator[tuple[Sequence[VideoSample], list["Future[Clip]"]]]:
    """Each batch with its clips; those of the next ones are read while the model answers it."""
    cache = clips if clips is not None else ClipCache(MAX_CACHE_BYTES)
    pool = ThreadPoolExecutor(_NUM_DECODE_THREADS, thread_name_prefix="vtk-decode")

    def start(batch: Sequence[VideoSample]) -> list["Future[Clip]"]:
        futures: dict[Path, Future[Clip]] = {}
        for sample in batch:
            if sample.video not in futures:
                futures[sample.video] = pool.submit(cache.read, sample.video, frames)
        return [futures[sample.video] for sample in batch]

    started: deque[list[Future[Clip]]] = deque()
    waiting = iter(batches)
    try:
        for batch in batches:
            started.extend(start(later) for later in islice(waiting, num_ahead + 1 - len(started)))
            yield batch, started.popleft()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
