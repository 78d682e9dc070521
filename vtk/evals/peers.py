"""The processes that share one evaluation: who this one is, and how they agree.

Any launcher will do that names them as torch does (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT):
`vtk eval --num-processes`, torchrun, accelerate. They exchange a few words through gloo and no
tensors, so they may be far apart in time and need no GPU for it.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

from vtk.errors import Interrupted, VtkError
from vtk.system.together import LEFT_WITH_OTHERS

_Value = TypeVar("_Value")

MEETING_TIMEOUT: Final = timedelta(minutes=10)
WORK_TIMEOUT: Final = timedelta(days=30)
"""How long one process waits for the work of another; a process that dies is seen at once."""

_HINT: Final = "What was answered is kept: repeat the command, with any number of processes."


def num_peers(environ: Mapping[str, str] = os.environ) -> int:
    """How many processes a launcher started for this command; 1 without one."""
    is_launched = "RANK" in environ and "MASTER_ADDR" in environ
    return int(environ.get("WORLD_SIZE", "1")) if is_launched else 1


class PeerGone(VtkError):
    """Another process of the same evaluation ended before its work was done."""


@dataclass(frozen=True)
class Peers:
    """This process among those of one evaluation.

    Attributes:
        rank: This one, from 0; process 0 is the main one and writes what all share.
        count: How many there are.
        group: Their connection; None for a process alone.
    """

    rank: int = 0
    count: int = 1
    group: Any = None

    @property
    def is_main(self) -> bool:
        """Whether this process writes what all share."""
        return self.rank == 0

    def told_by_main(self, value: _Value) -> _Value:
        """The main process's value, in all of them.

        Raises:
            PeerGone: Another process is gone.
        """
        if self.count == 1:
            return value
        from torch import distributed

        told: list[Any] = [value]
        with _gone_is_an_error():
            distributed.broadcast_object_list(told, src=0, group=self.group)
        received: _Value = told[0]
        return received

    def wait_for_all(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Return once every process has come here.

        Raises:
            Interrupted: Another process is gone, and this one was asked to stop as well.
            PeerGone: Another process is gone.
        """
        if self.count == 1:
            return
        from torch import distributed

        try:
            with _gone_is_an_error():
                distributed.barrier(group=self.group)
        except PeerGone as gone:
            if should_stop():
                raise Interrupted("stopped while others worked", _HINT) from gone
            raise

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The block, in the main process before all others; if it fails there, nowhere else.

        Raises:
            SystemExit: The block failed in the main process, which says why.
        """
        if self.is_main:
            try:
                yield
            except BaseException:
                self.told_by_main(False)
                raise
            self.told_by_main(True)
            return
        if not self.told_by_main(True):
            raise SystemExit(LEFT_WITH_OTHERS)
        yield


ALONE: Final = Peers()
"""A process that shares with nobody."""


@contextmanager
def _gone_is_an_error() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # what gloo raises once a connection is lost
        raise PeerGone(
            "another process of this evaluation is gone; it says why, or its launcher does", _HINT
        ) from error


@contextmanager
def meet_peers(environ: Mapping[str, str] = os.environ) -> Iterator[Peers]:
    """This process among those that the launcher started; alone where there was none.

    Raises:
        VtkError: The others cannot be reached in `MEETING_TIMEOUT`.
    """
    count = num_peers(environ)
    if count == 1:
        yield ALONE
        return
    from torch import distributed

    rank = int(environ["RANK"])
    try:
        distributed.init_process_group("gloo", timeout=MEETING_TIMEOUT)
        group = distributed.new_group(backend="gloo", timeout=WORK_TIMEOUT)
    except RuntimeError as error:
        raise VtkError(
            f"process {rank} of {count} did not meet the others: {error}",
            "Start all of them with the same MASTER_ADDR and MASTER_PORT.",
        ) from error
    try:
        yield Peers(rank, count, group)
    finally:
        distributed.destroy_process_group()


def take_own_gpu(environ: "os._Environ[str]", gpus: list[str]) -> None:
    """Let this process see one GPU only, its own; call it before CUDA is used.

    Args:
        environ: The process's own environment, changed in place.
        gpus: What it may see now, as `CUDA_VISIBLE_DEVICES` names them.

    Raises:
        VtkError: There are fewer GPUs than processes on this machine.
    """
    if not gpus or num_peers(environ) == 1:
        return
    local_rank = int(environ.get("LOCAL_RANK", "0"))
    if local_rank >= len(gpus):
        raise VtkError(
            f"process {local_rank} on this machine finds {len(gpus)} GPUs, one for each process",
            f"Start {len(gpus)} processes a machine.",
        )
    environ["CUDA_VISIBLE_DEVICES"] = gpus[local_rank]
