"""Something that is looked at now and then beside the work."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Background:
    """Calls a function every few seconds in a thread of its own; a context manager.

    What the function raises ends the calls, and rises when the block is left, unless something else
    does.

    Args:
        look: Called after each wait.
        interval_s: The wait between two calls, in seconds.
        name: The thread's.
    """

    def __init__(self, look: Callable[[], None], interval_s: float, name: str) -> None:
        self._look, self._interval_s = look, interval_s
        self._closing = threading.Event()
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()
        if self._fault is not None and error is None:
            raise self._fault

    def _run(self) -> None:
        try:
            while not self._closing.wait(self._interval_s):
                self._look()
        except Exception as fault:  # noqa: BLE001 - risen again in the thread that waits
            self._fault = fault
