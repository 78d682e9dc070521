"""Ask a model questions about clips and grade its answers: no files, no printing.

The plan is fixed before the first question: batches in the order given, each question with its own
seed. A resumed evaluation repeats a whole batch in which a row is missing and keeps only the
missing rows, so a completion never depends on where an earlier attempt was stopped. Same questions,
settings, weights and machine: same rows.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from vtk.data.sample import VideoSample
from vtk.errors import VtkError
from vtk.evals.asker import Asker
from vtk.evals.backends import Backend
from vtk.evals.reading import ClipReader, Reading
from vtk.evals.record import EvalRow, RowKey
from vtk.evals.results import TypeResults, summarise
from vtk.evals.settings import EvaluationSettings, plan_rows
from vtk.video.cache import ClipCache

MAX_CACHE_BYTES = 256 * 2**20
MAX_ERRORS_AT_START = 16
_STRETCHES_A_PROCESS = 8
_Batch = TypeVar("_Batch")

OnRow = Callable[[EvalRow], None]


def evaluate(
    backend: Backend,
    samples: Sequence[VideoSample],
    settings: EvaluationSettings,
    on_result: OnRow | None = None,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    clips: ClipCache | None = None,
) -> dict[str, TypeResults]:
    """Accuracy of a model on questions, in memory.

    Args:
        backend: What answers; a model in it is left as it was.
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
    for row in iter_rows(backend, samples, settings, should_stop=should_stop, clips=clips):
        rows.append(row)
        if on_result is not None:
            on_result(row)
    return summarise(rows)


def iter_rows(
    backend: Backend,
    samples: Sequence[VideoSample],
    settings: EvaluationSettings,
    *,
    done: Collection[RowKey] = (),
    should_stop: Callable[[], bool] = lambda: False,
    clips: ClipCache | None = None,
    is_reading_ahead: bool = True,
    share: tuple[int, int] = (0, 1),
) -> Iterator[EvalRow]:
    """Graded rows in the order of the plan; see `evaluate`.

    Args:
        backend: As there.
        samples: As there.
        settings: As there.
        done: Rows to leave out.
        should_stop: As there.
        clips: As there.
        is_reading_ahead: Whether the next batch's clips are decoded while the model answers.
        share: This process's number and how many share the work; whole batches are shared out, so
            the rows of all are those that one process gives.
    """
    batches = share_of(
        [
            batch
            for batch in _batches(samples, settings.batch_size)
            if any(key not in done for key in plan_rows(batch, settings))
        ],
        *share,
    )
    guard = _StartGuard()
    cache = clips if clips is not None else ClipCache(MAX_CACHE_BYTES)
    with ClipReader(cache, settings.clip_patience_s, should_stop) as reader:
        asker = Asker(backend, settings, reader)
        for batch, readings in _read_ahead(batches, settings, reader, int(is_reading_ahead)):
            for row in asker.ask(batch, readings):
                if row.key not in done:
                    guard.check(row)
                    yield row


def share_of(batches: Sequence[_Batch], rank: int, count: int) -> list[_Batch]:
    """The batches that one of several processes answers.

    Neighbours stay together, because questions about one clip stand together and a clip is decoded
    and seen once; yet each process gets several stretches from all over the suite, because some of
    its parts take longer than others.

    Args:
        batches: All that are to be answered, in order.
        rank: This process, from 0.
        count: All processes.
    """
    stretch = max(1, len(batches) // (count * _STRETCHES_A_PROCESS))
    return [batch for index, batch in enumerate(batches) if index // stretch % count == rank]


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


def _read_ahead(
    batches: Sequence[Sequence[VideoSample]],
    settings: EvaluationSettings,
    reader: ClipReader,
    num_ahead: int,
) -> Iterator[tuple[Sequence[VideoSample], list[Reading]]]:
    """Each batch with its clips; those of the next ones are read while the model answers it."""

    def start(batch: Sequence[VideoSample]) -> list[Reading]:
        wanted = [(sample.video, settings.frames_of(sample)) for sample in batch]
        readings = {key: reader.start(*key) for key in dict.fromkeys(wanted)}
        return [readings[key] for key in wanted]

    started: deque[list[Reading]] = deque()
    waiting = iter(batches)
    for batch in batches:
        started.extend(start(later) for later in islice(waiting, num_ahead + 1 - len(started)))
        yield batch, started.popleft()
