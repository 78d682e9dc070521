"""Work spread over processes, results in order, nothing left behind.

Workers leave Ctrl-C to the process that started them, are ended with it when it is interrupted or
fails, and leave by themselves when it is gone.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from vtk.errors import VtkError

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def map_in_processes(
    function: Callable[[_Task], _Result], tasks: Sequence[_Task], workers: int
) -> Generator[tuple[_Task, _Result], None, None]:
    """Yields each task with its result, in the order of the tasks.

    At most one result per worker waits to be taken, so that memory stays bounded. Close the
    generator (`contextlib.closing`) to be sure that the workers go at once when the loop is left.

    Args:
        function: Importable by name; given one task.
        tasks: What to do; small, they are sent to the workers.
        workers: Processes; with 1 the work is done in this one.

    Raises:
        VtkError: A worker was killed.
    """
    if workers <= 1 or len(tasks) <= 1:
        for task in tasks:
            yield task, function(task)
        return
    with _pool(min(workers, len(tasks))) as pool:
        waiting: deque[tuple[_Task, Future[_Result]]] = deque()
        for task in tasks:
            if len(waiting) == workers:
                yield _take(waiting)
            with _interrupts_held():
                future = pool.submit(function, task)
            waiting.append((task, future))
        while waiting:
            yield _take(waiting)


def num_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _take(waiting: deque[tuple[_Task, Future[_Result]]]) -> tuple[_Task, _Result]:
    task, future = waiting.popleft()
    try:
        return task, future.result()
    except BrokenProcessPool as error:
        raise VtkError(
            "a worker process was killed, most often because memory ran out",
            hint="Repeat the command with --workers 1: what was complete is kept.",
        ) from error


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool whose processes are gone when the block is left."""
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_become_worker
    )
    try:
        yield pool
        pool.shutdown()
    finally:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back for a moment: a process that starts in it never gets one."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _become_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it could not be held back
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
