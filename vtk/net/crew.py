"""Several pieces of work at once, which end together: at the first fault, or when called off."""

import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

LEAVE_S: Final = 2.0
"""Seconds that threads get to put away what they hold; what they write is whole at any moment."""

TICK_S: Final = 5.0
"""Seconds between calls of `on_tick`."""

Work = Callable[[], None]
_POLL_S = 0.2


def work_together(
    works: Iterable[Work],
    num_threads: int,
    cancelled: threading.Event,
    on_tick: Callable[[], None] = lambda: None,
) -> None:
    """Do pieces of work in threads; the first fault ends them all and is raised here.

    Signals are handled in the main thread, so what they raise (Ctrl-C) ends the work as well. A
    thread that a dead connection holds is left behind: it is a daemon and ends with the process.

    Args:
        works: In the order in which they begin.
        num_threads: So many at once.
        cancelled: Set here when the others are to stop; each piece must look at it.
        on_tick: Called here every few seconds meanwhile.
    """
    waiting: queue.SimpleQueue[Work] = queue.SimpleQueue()
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    num_works = 0
    for work in works:
        waiting.put(work)
        num_works += 1
    threads = [
        threading.Thread(target=_run, args=(waiting, ended, cancelled), daemon=True)
        for _ in range(min(num_threads, num_works))
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in threads:
            fault = _next(ended, on_tick)
            if fault is not None:
                raise fault
    finally:
        cancelled.set()
        for thread in threads:
            thread.join(LEAVE_S / len(threads))


def _run(
    waiting: "queue.SimpleQueue[Work]",
    ended: "queue.SimpleQueue[BaseException | None]",
    cancelled: threading.Event,
) -> None:
    """Work until nothing waits; says at the end whether a fault ended it."""
    try:
        while not cancelled.is_set():
            try:
                work = waiting.get_nowait()
            except queue.Empty:
                break
            work()
    except BaseException as fault:  # noqa: BLE001 - handed to the thread that waits
        ended.put(fault)
    else:
        ended.put(None)


def _next(
    ended: "queue.SimpleQueue[BaseException | None]", on_tick: Callable[[], None]
) -> BaseException | None:
    """The next end of a thread; looks up often, so that signals are handled meanwhile."""
    ticked_s = time.monotonic()
    while True:
        if time.monotonic() - ticked_s > TICK_S:
            ticked_s = time.monotonic()
            on_tick()
        try:
            return ended.get(timeout=_POLL_S)
        except queue.Empty:
            continue
