"""Clips probed in child processes: a clip that crashes or hangs the decoder costs one child."""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from vtk.errors import VtkError
from vtk.format import format_bytes
from vtk.video.probe import Probe

_MAX_ANSWER_BYTES: Final = 1 << 20
_END_S: Final = 5.0


@dataclass(frozen=True)
class ProbeLimits:
    """What one clip may cost.

    Attributes:
        cpu_s: Seconds of processor time.
        wall_s: Seconds by the clock; more than `cpu_s`, for disks that are slow.
        memory_bytes: Address space of the child.
    """

    cpu_s: int = 60
    wall_s: float = 300.0
    memory_bytes: int = 4 * 2**30


class Prober:
    """Asks a child about one clip at a time and starts another when it dies; a context manager.

    Args:
        limits: What one clip may cost.
    """

    def __init__(self, limits: ProbeLimits) -> None:
        self.limits = limits
        self.num_children = 0
        self._is_late = False
        self._is_killed = False
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def probe(self, path: Path) -> Probe:
        """What a clip is, and what is wrong with it.

        Args:
            path: A video file or a folder of frames; it need not exist.

        Raises:
            VtkError: A child cannot be started.
        """
        child = self._living_child()
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps(str(path)).encode() + b"\n")
            child.stdin.flush()
            answer = self._answer(child)
        except BrokenPipeError:
            answer = None
        if answer is not None:
            return Probe(**json.loads(answer))
        return Probe(problem=self._last_words(child), is_of_probe=True)

    def kill(self) -> None:
        """End the child at once, from any thread, and start no other that would live.

        The clip that it has is then answered as bad: the answer has to be thrown away.
        """
        self._is_killed = True
        if self._child is not None:
            self._child.kill()

    def _answer(self, child: "subprocess.Popen[bytes]") -> bytes | None:
        """One line of the child; None once it has died or used up its time."""
        assert child.stdout is not None
        answer, deadline_s = b"", time.monotonic() + self.limits.wall_s
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while not answer.endswith(b"\n"):
                if not selector.select(max(0.0, deadline_s - time.monotonic())):
                    self._is_late = True
                    child.kill()
                    return None
                piece = os.read(child.stdout.fileno(), 65536)
                if not piece or len(answer) > _MAX_ANSWER_BYTES:
                    return None
                answer += piece
        return answer

    def _last_words(self, child: "subprocess.Popen[bytes]") -> str:
        """Why a child that gave no answer is gone."""
        self._end()
        code, is_late, self._is_late = child.returncode, self._is_late, False
        if is_late:
            return f"decoding it takes more than {self.limits.wall_s:g} s"
        if code == -signal.SIGXCPU:
            return f"decoding it takes more than {self.limits.cpu_s} s of processor time"
        if code < 0:
            return f"it crashes the decoder ({signal.Signals(-code).name})"
        memory = format_bytes(self.limits.memory_bytes)
        return f"it ends the decoder (exit code {code}), perhaps for want of more than {memory}"

    def _living_child(self) -> "subprocess.Popen[bytes]":
        if self._child is None:
            limits = [str(self.limits.cpu_s), str(self.limits.memory_bytes)]
            try:
                self._child = subprocess.Popen(
                    [sys.executable, "-m", "vtk.video.probe", *limits],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is the parent's; the end of stdin ends it
                )
            except OSError as error:
                raise VtkError(
                    f"cannot start a process: {error}", "Use fewer --workers."
                ) from error
            self.num_children += 1
            if self._is_killed:
                self._child.kill()
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        assert child.stdout is not None
        with suppress(BrokenPipeError):  # it may have died with a path unread
            child.stdin.close()
        child.stdout.close()
        try:
            child.wait(_END_S if child.poll() is None else None)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
