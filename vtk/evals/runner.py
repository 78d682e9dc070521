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
from vtk.evals.asker import Asker
from vtk.evals.backends import Backend
from vtk.evals.reading import ClipReader, Reading
from vtk.evals.record import EvalRow, RowKey
from vtk.evals.settings import EvaluationSettings, plan_rows
from vtk.video.cache import ClipCache

MAX_CACHE_BYTES = 256 * 2**20
_STRETCHES_A_PROCESS = 8
_Batch = TypeVar("_Batch")


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
    """Graded rows in the order of the plan; what fails for one question is a row with an error.

    Args:
        backend: What answers; a model in it is left as it was.
        samples: The questions.
        settings: How to ask them.
        done: Rows to leave out.
        should_stop: Asked often; ends the evaluation with `Interrupted`.
        clips: Decoded clips to share with the caller; a cache of its own when None.
        is_reading_ahead: Whether the next batch's clips are decoded while the model answers.
        share: This process's number and how many share the work; whole batches are shared out, so
            the rows of all are those that one process gives.

    Raises:
        Interrupted: `should_stop` said yes.
    """
    batches = share_of(
        [
            batch
            for batch in _batches(samples, settings.batch_size)
            if any(key not in done for key in plan_rows(batch, settings))
        ],
        *share,
    )
    cache = clips if clips is not None else ClipCache(MAX_CACHE_BYTES)
    with ClipReader(cache, settings.clip_patience_s, should_stop) as reader:
        asker = Asker(backend, settings, reader)
        for batch, readings in _read_ahead(batches, settings, reader, int(is_reading_ahead)):
            for row in asker.ask(batch, readings):
                if row.key not in done:
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
