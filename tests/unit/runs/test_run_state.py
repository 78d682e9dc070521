"""Whether a run truly runs: told from the log, the owner and the clock, with real processes."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from vtk.errors import DataError
from vtk.runs import control
from vtk.runs.owner import STALE_AFTER_S, Owner, process_start_time, write_owner
from vtk.runs.snapshot import RunState
from vtk.runs.state import RunFollower, read_state
from vtk.runs.store import RunPaths, read_json
from vtk.runs.writer import EventWriter

NewRun = Callable[..., RunPaths]
PATIENCE_S = 20.0

CHILD = """
    import sys
    from pathlib import Path
    from vtk.runs.store import RunPaths
    from vtk.runs.writer import EventWriter

    with EventWriter(RunPaths(Path(sys.argv[1])), heartbeat_interval_s=0.01) as writer:
        writer.step(1, {"loss/total": 0.5})
        print("ready", flush=True)
        sys.stdin.read()
        writer.finish("finished")
"""


@contextmanager
def child_writer(run: RunPaths) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(run.root)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        try:
            yield child
        finally:
            child.kill()


def test_a_run_that_nobody_has_started(new_run: NewRun) -> None:
    state = read_state(new_run())
    assert (state.status, state.stage, state.num_steps) == ("created", "cdpo", 100)
    assert state.created == pytest.approx(time.time(), abs=60)
    assert state.is_live


def test_a_living_writer_is_running_and_its_end_is_told(new_run: NewRun) -> None:
    run = new_run()
    with child_writer(run) as child:
        state = read_state(run)
        assert (state.status, state.step) == ("running", 1)
        assert state.heartbeat_age_s is not None
        assert state.heartbeat_age_s < STALE_AFTER_S
        child.communicate(input="", timeout=PATIENCE_S)
    assert read_state(run).status == "finished"
    assert not run.owner_json.exists()


def test_a_killed_writer_is_lost_at_once_even_as_a_zombie(new_run: NewRun) -> None:
    run = new_run()
    with child_writer(run) as child:
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended and is not reaped
        state = read_state(run)
        assert state.status == "lost"
        assert f"process {child.pid} is gone" in state.status_reason
        child.wait(PATIENCE_S)
    assert read_state(run).status == "lost"
    assert not read_state(run).is_live


def test_a_pid_that_was_given_to_another_process_does_not_count(new_run: NewRun) -> None:
    run = new_run()
    with child_writer(run) as child:
        os.kill(child.pid, signal.SIGKILL)
        child.wait(PATIENCE_S)
    owner = read_json(run.owner_json)
    dead = Owner.read(run)
    assert dead is not None
    write_owner(run, Owner(**(owner | {"pid": os.getpid()})))
    assert process_start_time(os.getpid()) != dead.start_time
    assert read_state(run).status == "lost"


def test_a_killed_run_can_be_resumed(new_run: NewRun) -> None:
    run = new_run()
    with child_writer(run) as child:
        os.kill(child.pid, signal.SIGKILL)
        child.wait(PATIENCE_S)
    with EventWriter(run, 0) as writer:
        assert read_state(run).status == "running"
        writer.finish("finished")
    state = read_state(run)
    assert (state.status, len(state.attempts), state.num_unreadable_lines) == ("finished", 2, 0)


def test_a_writer_that_hangs_is_lost_when_its_last_event_is_old(new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run, heartbeat_interval_s=3600):
        assert read_state(run).status == "running"
        late = time.monotonic() + STALE_AFTER_S + 5
        state = RunFollower(run, monotonic=lambda: late).poll()
        assert state.status == "lost"
        assert "is there but has written nothing for 35 s" in state.status_reason


@pytest.mark.parametrize("jump_s", [-86400.0, 86400.0])
def test_a_jump_of_the_wall_clock_does_not_lose_a_run(new_run: NewRun, jump_s: float) -> None:
    run = new_run()
    with EventWriter(run, heartbeat_interval_s=3600) as writer:
        writer.step(1, {})
        state = RunFollower(run, now=lambda: time.time() + jump_s).poll()
        assert state.status == "running"
        assert state.heartbeat_age_s is not None
        assert 0 <= state.heartbeat_age_s < STALE_AFTER_S


def test_an_owner_on_another_machine_is_judged_by_its_heartbeat(new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        writer.step(1, {})
    write_owner(run, Owner("another-host", "another-boot", None, os.getpid(), None))
    assert read_state(run).status == "running"
    late = time.time() + STALE_AFTER_S + 1
    assert RunFollower(run, now=lambda: late).poll().status == "lost"
    early = time.time() - 1e6
    state = RunFollower(run, now=lambda: early).poll()
    assert (state.status, state.heartbeat_age_s) == ("running", 0.0)


def test_a_writer_that_left_without_a_word_is_lost(new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run):
        pass
    state = read_state(run)
    assert state.status == "lost"
    assert "its end was not recorded" in state.status_reason


def test_a_claimed_run_without_events_is_starting(new_run: NewRun) -> None:
    run = new_run()
    write_owner(run, Owner.current())
    assert read_state(run).status == "running"


def test_the_error_that_ended_a_run_is_its_reason(new_run: NewRun) -> None:
    run = new_run()
    with pytest.raises(DataError), EventWriter(run):
        raise DataError("the clip is empty")
    state = read_state(run)
    assert (state.status, state.error_kind) == ("failed", "DataError")
    assert "DataError: the clip is empty" in state.status_reason


def test_damaged_files_beside_the_log_are_named_and_do_no_harm(new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        writer.step(1, {})
        writer.finish("finished")
    for path in (run.run_json, run.config_json, run.owner_json):
        path.write_bytes(b"\x00")
    state = read_state(run)
    assert (state.status, state.step, state.stage) == ("finished", 1, "cdpo")
    assert len(state.problems) == 3


def test_a_newer_schema_is_opened_with_a_notice(new_run: NewRun) -> None:
    run = new_run()
    line = b'{"v":2,"seq":0,"time":1,"mono":1,"type":"step","step":4,"metrics":{"a":1}}\n'
    run.events.write_bytes(line)
    state = read_state(run)
    assert state.step == 4
    assert "written by a newer vtk (event schema 2" in state.problems[0]


def test_unreadable_lines_are_counted_in_the_state(new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        writer.emit("step", step="four")
        writer.finish("finished")
    with run.events.open("ab") as stream:
        stream.write(b"\x00garbage\n")
    state = read_state(run)
    assert state.status == "finished"
    assert state.num_unreadable_lines == 2
    assert len(state.last_unreadable_lines) == 2


def test_a_follower_sees_what_is_new_and_starts_again_with_the_file(new_run: NewRun) -> None:
    run = new_run()
    follower = RunFollower(run)
    assert follower.poll().status == "created"
    with EventWriter(run) as writer:
        for step in (1, 2, 3):
            writer.step(step, {"loss/total": 1.0})
            assert follower.poll().step == step
        short = run.events.read_bytes().splitlines(keepends=True)[:3]
    run.events.write_bytes(b"".join(short))
    assert follower.poll().history["loss/total"] == ((1, 1.0),)


def test_the_end_of_a_long_log_is_enough_for_a_list(new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        for step in range(1, 500):
            writer.step(step, {"reward/mean": step})
        writer.finish("stopped")
    whole, end = read_state(run), read_state(run, tail_bytes=2000)
    assert end.is_partial
    assert not whole.is_partial
    assert end.num_events < 40
    same = ("status", "step", "num_steps", "metrics", "stage", "created")
    assert all(getattr(whole, name) == getattr(end, name) for name in same)
    assert end.num_unreadable_lines == 0


def test_a_list_reads_all_when_the_end_holds_no_step(new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        writer.step(7, {"reward/mean": 1.0})
        for _ in range(100):
            writer.phase("eval")
        writer.finish("finished")
    state = read_state(run, tail_bytes=1000)
    assert (state.step, state.is_partial) == (7, False)


def test_requests_wait_until_they_are_acted_on(new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        asked = control.request(run, "checkpoint")
        assert [request.id for request in read_state(run).pending_requests] == [asked.id]
        writer.emit("control", id=asked.id, action=asked.action, args={}, who="x", result="saved")
        assert read_state(run).pending_requests == (), "recorded, though the file is still there"
        control.acknowledge(run, asked)
        writer.finish("finished")
    assert read_state(run).controls[0].result == "saved"


def test_readers_write_nothing(new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        writer.step(1, {})
        writer.finish("finished")

    def listing() -> dict[str, tuple[int, int]]:
        files = [path for path in run.root.rglob("*") if path.is_file()]
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in files}

    before = listing()
    state: RunState = read_state(run)
    json.dumps(state.to_dict(), allow_nan=False)
    assert listing() == before
