"""Signals that ask a process to leave, handled for a while."""

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def handle_signals(numbers: Iterable[int], handler: Handler) -> Iterator[None]:
    """Handle signals within the block, and as before after it.

    A hang-up that the process was told to ignore, as `nohup` does, stays ignored.

    Args:
        numbers: The signals.
        handler: Called in the main thread with the signal and the frame.
    """
    taken = [
        number
        for number in numbers
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, handler) for number in taken}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
