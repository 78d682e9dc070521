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
from vtk.runs.control import pending
from vtk.runs.writer import EventWriter


class FailingSource(LiveSource):
    """Follows a run; while `fault` is set, the disk or the code has it."""

    fault: Exception | None = None

    @override
    def look(self) -> Snapshot:
        if self.fault is not None:
            raise self.fault
        return super().look()


class HangingFollower(LiveSource):
    """Follows a run; while `hangs` is set, the disk does not answer until it is let."""

    def __init__(self, runs_dir: Path) -> None:
        super().__init__(runs_dir)
        self.has_begun, self.may_end = threading.Event(), threading.Event()
        self.hangs = False

    @override
    def look(self) -> Snapshot:
        if self.hangs:
            self.has_begun.set()
            self.may_end.wait(20)
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
        write_steps(writer, 1, 30)

        async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
            await shown(app, pilot, "step 30/100")
            await pilot.press("plus")
            first, last = app.viewport.window or (0, 0)
            source.fault = OSError(errno.ESTALE, "Stale file handle", "/nfs/runs/mine/control")
            text = await shown(app, pilot, "Stale file handle")
            assert "cannot read /nfs/runs/mine/control" in text
            source.fault = None
            write_steps(writer, 31, 31)
            await shown(app, pilot, "step 31/100")
            assert app.viewport.window == (first + 1, last + 1), "the zoom is kept, and follows"

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


def test_a_request_is_written_although_the_run_cannot_be_read_just_then(
    drive: Drive, new_run: NewRun, runs_dir: Path
) -> None:
    source, run = FailingSource(runs_dir), new_run()
    with EventWriter(run) as writer:
        write_steps(writer, 1, 3)

        async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
            await shown(app, pilot, "step 3/100")
            await pilot.press("c", "k")
            await shown(app, pilot, "Checkpoint now? The run mine saves")
            source.fault = OSError(errno.EIO, "Input/output error")
            await until(pilot, lambda: app.snapshot.paths is None)
            await pilot.press("y")
            await until(pilot, lambda: len(app.screen_stack) == 1)
            await until(pilot, lambda: [asked.action for asked in pending(run)] == ["checkpoint"])

        drive(look, source=source)


def test_a_request_that_cannot_be_written_is_told_and_quitting_waits_for_no_answer(
    drive: Drive, new_run: NewRun, runs_dir: Path
) -> None:
    source, run = HangingFollower(runs_dir), new_run()
    with EventWriter(run) as writer:
        write_steps(writer, 1, 3)

        async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
            await shown(app, pilot, "step 3/100")
            run.control_dir.write_text("no folder")
            await pilot.press("c", "k", "y")
            await shown(app, pilot, "cannot write")
            source.has_begun.clear()
            source.hangs = True
            await until(pilot, source.has_begun.is_set)
            await pilot.press("c", "k", "y")
            threading.Timer(0.2, source.may_end.set).start()
            app.poller.close()  # as quitting does, in the app's own thread
            assert not app.poller._thread.is_alive()

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
