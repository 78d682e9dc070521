"""The thread that reads: faults of files are told, other faults end the app, and quitting ends."""

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from typing_extensions import override

from tests.tui.conftest import Drive, NewRun, shown, until, write_steps
from tui.app import DashboardApp
from tui.poller import Poller
from tui.source import LiveSource, Snapshot
from vtk.runs.writer import EventWriter


class FailingSource(LiveSource):
    """Follows a run; while `fault` is set, the disk or the code has it."""

    fault: Exception | None = None

    @override
    def look(self) -> Snapshot:
        if self.fault is not None:
            raise self.fault
        return super().look()


class HangingSource:
    """A disk that does not answer until it is let."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()
        self.num_ended = 0

    def look(self) -> Snapshot:
        self.has_begun.set()
        self.may_end.wait(20)
        self.num_ended += 1
        return Snapshot(now=1.0)


def unexpected(error: Exception) -> None:
    raise AssertionError from error


def test_a_fault_of_the_disk_is_shown_and_looked_past(
    drive: Drive, new_run: NewRun, runs_dir: Path
) -> None:
    source = FailingSource(runs_dir)
    with EventWriter(new_run()) as writer:
        write_steps(writer, 1, 3)

        async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
            await shown(app, pilot, "step 3/100")
            source.fault = OSError(errno.ESTALE, "Stale file handle", "/nfs/runs/mine/control")
            text = await shown(app, pilot, "Stale file handle")
            assert "cannot read /nfs/runs/mine/control" in text
            source.fault = None
            write_steps(writer, 4, 4)
            await shown(app, pilot, "step 4/100")

        drive(look, source=source, size=(140, 30))


def test_an_error_of_our_own_ends_the_app_with_it(
    drive: Drive, new_run: NewRun, runs_dir: Path
) -> None:
    source = FailingSource(runs_dir)
    with EventWriter(new_run()) as writer:
        write_steps(writer, 1, 3)

    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "step 3/100")
        source.fault = ZeroDivisionError("a fault of our own")
        await until(pilot, lambda: app.return_code is not None)
        assert app.return_code == 1

    with pytest.raises(ZeroDivisionError, match="of our own"):
        drive(look, source=source)


def closed_while_it_looks(source: HangingSource, then: Callable[[Poller], None]) -> Poller:
    poller = Poller(source, 0.01, lambda: None, unexpected)
    poller.start()
    assert source.has_begun.wait(20)
    then(poller)
    poller.close()
    return poller


def test_quitting_leaves_a_disk_that_hangs_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.poller._LONGEST_END_S", 0.05)
    source = HangingSource()
    closed_while_it_looks(source, lambda _: None)
    assert source.num_ended == 0, "the look is still under way"
    source.may_end.set()


def test_what_was_asked_for_just_before_the_end_is_done() -> None:
    source, made = HangingSource(), list[str]()

    def ask_and_go_on(poller: Poller) -> None:
        poller.soon(lambda: made.append("asked"))
        threading.Timer(0.05, source.may_end.set).start()

    closed_while_it_looks(source, ask_and_go_on)
    assert made == ["asked"]
