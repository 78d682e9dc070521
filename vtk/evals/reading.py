"""Clips read in the background while a model answers, and what becomes of one that takes too long.

A thread cannot be ended from outside. One whose clip has taken too long is left to itself, another
takes its place, and a process that is done does not wait for it.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Final, Self

from vtk.errors import DataError, Interrupted
from vtk.video.cache import ClipCache
from vtk.video.frames import Clip, FrameSettings

_NUM_THREADS: Final = 2
_POLL_S: Final = 0.2
_END_S: Final = 0.5
"""How long the end waits for clips that are being read; a process may end without them."""


class ClipTooSlow(DataError):
    """A clip was not read in the time that it may take."""


@dataclass(eq=False)
class Reading:
    """One clip that is being read, or waits for its turn.

    Attributes:
        video: The clip.
        frames: What is taken from it.
        future: Its frames, or what prevented them.
        started_s: When its turn came, on the monotonic clock; None before.
        thread: Who reads it; None before.
        is_given_up: Whether nobody waits for it any more.
    """

    video: Path
    frames: FrameSettings
    future: "Future[Clip]" = field(default_factory=Future)
    started_s: float | None = None
    thread: threading.Thread | None = None
    is_given_up: bool = False


class ClipReader:
    """Reads clips in a few threads; a context manager.

    Args:
        clips: What they are read through.
        patience_s: The longest time that one clip may take, in seconds.
        should_stop: Asked while a clip is waited for.
    """

    def __init__(
        self, clips: ClipCache, patience_s: float, should_stop: Callable[[], bool]
    ) -> None:
        self._clips, self._patience_s, self.should_stop = clips, patience_s, should_stop
        self._waiting: SimpleQueue[Reading | None] = SimpleQueue()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._is_closing = False
        self._late: set[Path] = set()

    def __enter__(self) -> Self:
        for _ in range(_NUM_THREADS):
            self._add_thread()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._is_closing = True
        with self._lock:
            threads = list(self._threads)
        for _thread in threads:
            self._waiting.put(None)
        deadline_s = time.monotonic() + _END_S
        for thread in threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))

    def start(self, video: Path, frames: FrameSettings) -> Reading:
        """Have a clip read once its turn comes; one that was too slow before is not tried again.

        Args:
            video: A local video file, or a folder of frames.
            frames: What to take from it.
        """
        reading = Reading(video, frames, is_given_up=video in self._late)
        if not reading.is_given_up:
            self._waiting.put(reading)
        return reading

    def raise_if_asked(self) -> None:
        """Raise Interrupted when a stop was asked for."""
        if self.should_stop():
            raise Interrupted("stopped between questions")

    def wait(self, reading: Reading) -> Clip:
        """The clip, once it is read; clips are to be waited for in the order of their starts.

        Raises:
            ClipTooSlow: It took longer than it may.
            Interrupted: `should_stop` said yes.
            Exception: Whatever reading it raised.
        """
        while not reading.is_given_up:
            try:
                return reading.future.result(timeout=min(_POLL_S, self._patience_s))
            except TimeoutError:
                if reading.future.done():
                    raise
            self.raise_if_asked()
            self._give_up_if_late(reading)
        raise ClipTooSlow(
            f"the video {reading.video} was not read in {self._patience_s:g} s",
            "Look at the disk and the clip, raise eval.clip_patience_s, then repeat the command "
            "with --retry-errors.",
        )

    def _give_up_if_late(self, reading: Reading) -> None:
        """Let another thread take the place of the one that a late clip holds."""
        with self._lock:
            begun_s = reading.started_s
            if begun_s is None or reading.thread is None or reading.future.done():
                return
            if time.monotonic() - begun_s <= self._patience_s:
                return
            reading.is_given_up = True
            self._threads.discard(reading.thread)
            self._late.add(reading.video)
        self._add_thread()

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._work, name="vtk-decode", daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _work(self) -> None:
        while (reading := self._waiting.get()) is not None:
            if self._is_closing:
                continue
            reading.thread, reading.started_s = threading.current_thread(), time.monotonic()
            done: Callable[[], None]
            try:
                done = partial(reading.future.set_result, self._read(reading))
            except BaseException as fault:  # noqa: BLE001 - risen again in the thread that waits
                done = partial(reading.future.set_exception, fault)
            with self._lock:
                done()
                if reading.is_given_up:  # another thread has taken this one's place
                    return

    def _read(self, reading: Reading) -> Clip:
        return self._clips.read(reading.video, reading.frames)
