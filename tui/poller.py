"""A thread that looks at the run a few times a second and hands over the newest snapshot.

Files are read here and nowhere else in the app, so that a slow disk never stops the screen. A
snapshot that nobody took yet is replaced by the next one: a slow terminal is behind by one picture,
never by a queue of them. A fault of the files is a snapshot that names it, and the next look is
another attempt; any other exception goes to the app, which ends with it.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from tui.source import Snapshot, Source
from vtk.errors import VtkError

_READING_PAUSE_S: Final = 0.01
_LONGEST_END_S: Final = 2.0


class Poller:
    """Looks until it is closed.

    Args:
        source: Read by this thread only.
        every_s: Seconds between looks; a look at a log that is far ahead is followed at once.
        notify: Called from the thread when there is something new to `take`.
        fail: Called from the thread, as its last act, with what nobody expected.
    """

    def __init__(
        self,
        source: Source,
        every_s: float,
        notify: Callable[[], None],
        fail: Callable[[Exception], None],
    ) -> None:
        self.source, self.every_s, self._notify, self._fail = source, every_s, notify, fail
        self._lock = threading.Lock()
        self._latest: Snapshot | None = None
        self._calls: list[Callable[[], None]] = []
        self._awake, self._is_closing = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking; a look at a disk that hangs is left behind after two seconds."""
        self._is_closing = True
        self._awake.set()
        if self._thread.is_alive():
            self._thread.join(_LONGEST_END_S)

    def take(self) -> Snapshot | None:
        """The newest snapshot, if it was not taken before."""
        with self._lock:
            taken, self._latest = self._latest, None
        return taken

    def soon(self, call: Callable[[], None] | None = None) -> None:
        """Look at once, after `call` has been made in the poller's thread."""
        with self._lock:
            if call is not None:
                self._calls.append(call)
        self._awake.set()

    def _run(self) -> None:
        try:
            while not self._is_closing:
                self._look()
            self._make_calls()  # what was confirmed just before the end is still asked for
        except Exception as error:  # noqa: BLE001 - the app ends with it
            if not self._is_closing:
                self._fail(error)

    def _look(self) -> None:
        self._awake.clear()
        began_s = time.monotonic()
        snapshot = self._looked()
        with self._lock:
            is_first_unseen, self._latest = self._latest is None, snapshot
        if is_first_unseen and not self._is_closing:
            self._notify()
        pause_s = _READING_PAUSE_S if snapshot.is_reading else self.every_s
        self._awake.wait(max(0.001, pause_s - (time.monotonic() - began_s)))

    def _looked(self) -> Snapshot:
        self._make_calls()
        try:
            return self.source.look()
        except VtkError as error:
            return Snapshot(now=time.time(), waiting_for=error.message)
        except OSError as error:
            named = f"cannot read {error.filename or 'the run'}: {error.strerror or error}"
            return Snapshot(now=time.time(), waiting_for=named)

    def _make_calls(self) -> None:
        with self._lock:
            calls, self._calls = self._calls, []
        for call in calls:
            call()
