"""The next questions are prepared while the model works on these.

What is prepared ahead is a wish, never a decision: `take` gives what was asked for, in the order
asked for, and prepares in place whatever was not foreseen. Preparing draws no random number and
changes nothing, and its faults rise where the result is used, so a run is the same with and without
it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

from vtk.data.sample import VideoSample

PreparedT = TypeVar("PreparedT")


class Prefetch(Generic[PreparedT]):
    """Prepares questions on one thread, one batch ahead and no more.

    Used from one thread. The thread starts with the first batch that is foreseen.

    Args:
        prepare: Turns a question into what the model is given; must be safe beside another call.
    """

    def __init__(self, prepare: Callable[[VideoSample], PreparedT]) -> None:
        self.prepare = prepare
        self.num_foreseen = 0
        """Questions that were asked for as foreseen."""
        self._pool: ThreadPoolExecutor | None = None
        self._begun: list[tuple[VideoSample, Future[PreparedT]]] = []

    def begin(self, samples: Sequence[VideoSample]) -> None:
        """Prepare these in the background, in place of any that were begun and not taken.

        Args:
            samples: The next batch, in order; none at the end of a run.
        """
        self._drop()
        if not samples:
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vtk-prefetch")
        self._begun = [(sample, self._pool.submit(self.prepare, sample)) for sample in samples]

    def take(self, samples: Sequence[VideoSample]) -> list[Callable[[], PreparedT]]:
        """For each question a function that gives it prepared, or raises what preparing raised.

        Args:
            samples: The batch, in order.
        """
        if [sample for sample, _ in self._begun] != list(samples):
            self._drop()
            return [partial(self.prepare, sample) for sample in samples]
        begun, self._begun = self._begun, []
        self.num_foreseen += len(begun)
        return [future.result for _, future in begun]

    def close(self) -> None:
        """Drop what was begun and end the thread; waits for the question it is at."""
        self._drop()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _drop(self) -> None:
        for _, future in self._begun:
            future.cancel()
        self._begun = []


def next_places(places: Sequence[int], num_processes: int, num_prompts: int) -> list[int]:
    """The places in the run of a process's next backward pass, as the library hands them out.

    Args:
        places: Those of its present pass; batches go to the processes in turn.
        num_processes: All processes.
        num_prompts: Places of the whole run.
    """
    step = len(places) * num_processes
    return [place + step for place in places if place + step < num_prompts]
