"""The writer: one owner, whole lines, nothing lost quietly."""

import errno
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from vtk.errors import ConfigError, GuardStop, VtkError
from vtk.runs.events import decode_event, encode_line
from vtk.runs.owner import Owner, write_owner
from vtk.runs.reader import EventTail, read_rollouts
from vtk.runs.store import RunPaths
from vtk.runs.writer import EventWriter

NewRun = Callable[..., RunPaths]
SizeLimit = Callable[[int], AbstractContextManager[None]]
PATIENCE_S = 20.0


def read_all(run: RunPaths) -> list[dict[str, Any]]:
    return [decode_event(line) for line in run.events.read_bytes().splitlines()]


def wait_until(is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.002)


def test_a_run_from_its_start_to_its_end(new_run: NewRun) -> None:
    run = new_run(num_steps=7)
    with EventWriter(run) as writer:
        writer.phase("load")
        writer.step(1, {"loss/total": 0.5})
        writer.finish("finished")
    events = read_all(run)
    types = ["run_started", "attempt_started", "phase", "step", "run_finished"]
    assert [event["type"] for event in events] == types
    assert [event["seq"] for event in events] == list(range(5))
    assert events[0]["run_id"] == run.run_id
    assert events[0]["stage"] == "cdpo"
    assert events[0]["num_steps"] == 7
    assert events[1]["attempt"] == 1
    assert events[1]["resumed_from_step"] is None
    assert events[1]["owner"]["pid"] == os.getpid()
    assert not run.owner_json.exists(), "a writer that has ended owns nothing"


def test_seq_and_attempts_continue(new_run: NewRun) -> None:
    run = new_run()
    for resumed_from in (None, 4, 4):
        with EventWriter(run, resumed_from) as writer:
            writer.phase("load")
    events = read_all(run)
    assert [event["seq"] for event in events] == list(range(len(events)))
    attempts = [event for event in events if event["type"] == "attempt_started"]
    assert [event["attempt"] for event in attempts] == [1, 2, 3]
    assert [event["resumed_from_step"] for event in attempts] == [None, 4, 4]
    assert sum(event["type"] == "run_started" for event in events) == 1


def test_a_second_writer_is_refused(new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        with pytest.raises(ConfigError, match=f"written by process {os.getpid()}") as caught:
            EventWriter(run).__enter__()
        assert "vtk runs stop" in str(caught.value.hint)
        assert Owner.read(run) == Owner.current(), "the refused one took nothing away"
        writer.phase("load")
    with EventWriter(run):
        pass


def test_of_many_writers_at_once_one_wins(new_run: NewRun) -> None:
    run = new_run()
    start, done = threading.Barrier(8), threading.Event()
    won: list[EventWriter] = []
    refused: list[ConfigError] = []

    def attempt() -> None:
        start.wait()
        try:
            with EventWriter(run) as writer:
                won.append(writer)
                done.wait(PATIENCE_S)
        except ConfigError as error:
            refused.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(refused) == 7)
    done.set()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert sum(event["type"] == "attempt_started" for event in read_all(run)) == 1


def test_a_dead_owner_is_replaced(new_run: NewRun) -> None:
    run = new_run()
    mine = Owner.current()
    reused = Owner(mine.host, mine.boot_id, mine.pid_namespace, mine.pid, "long ago")
    write_owner(run, reused)
    with EventWriter(run):
        assert Owner.read(run) == mine


def test_an_owner_elsewhere_is_believed_while_the_log_is_fresh(new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        writer.phase("load")
    write_owner(run, Owner("another-host", "its-boot", None, 12, "then"))
    with pytest.raises(ConfigError, match="process 12 on another-host"):
        EventWriter(run).__enter__()
    old = time.time() - 60
    os.utime(run.events, (old, old))
    with EventWriter(run):
        pass


def test_a_damaged_owner_file_does_not_lock_the_run(new_run: NewRun) -> None:
    run = new_run()
    run.owner_json.write_bytes(b"\x00\x00\x00")
    with EventWriter(run) as writer:
        writer.phase("load")


def test_a_torn_tail_is_closed_before_the_first_event(new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        writer.phase("load")
    whole = run.events.read_bytes()
    run.events.write_bytes(whole[:-10])
    with EventWriter(run, 0) as writer:
        writer.phase("load")
    tail = EventTail(run.events)
    assert [event["seq"] for event in tail.poll()] == [0, 1, 2, 3]
    assert tail.num_unreadable == 1


def test_a_line_that_lacks_only_its_newline_is_kept(new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        writer.phase("load")
    run.events.write_bytes(run.events.read_bytes()[:-1])
    with EventWriter(run, 0):
        pass
    tail = EventTail(run.events)
    assert [event["seq"] for event in tail.poll()] == [0, 1, 2, 3]
    assert tail.num_unreadable == 0


def test_many_threads_write_whole_lines(new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run, heartbeat_interval_s=0.001) as writer:

        def work(worker: int) -> None:
            for index in range(100):
                writer.emit("phase", name=f"{worker}-{index}-" + "x" * (worker * 500))

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = read_all(run)
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert sum(event["type"] == "phase" for event in events) == 600


def test_the_heart_beats_and_stops(new_run: NewRun) -> None:
    run = new_run()

    def num_beats() -> int:
        return sum(event["type"] == "heartbeat" for event in EventTail(run.events).poll())

    with EventWriter(run, heartbeat_interval_s=0.005) as writer:
        wait_until(lambda: num_beats() >= 3)
        writer.finish("finished")
    assert read_all(run)[-1]["type"] == "run_finished", "nothing is written after the end"
    assert not any(thread.name == "vtk-heartbeat" for thread in threading.enumerate())


def test_rollouts_go_to_their_own_file(new_run: NewRun) -> None:
    run = new_run()
    rows = [{"completion": "NaN", "reward": float("nan")}, {"completion": "é\n\x1b", "reward": 1}]
    with EventWriter(run) as writer:
        writer.rollouts(50, rows)
        writer.rollouts(50, rows)
    event = read_all(run)[-1]
    assert (event["step"], event["count"]) == (50, 2)
    assert event["path"] == "rollouts/step_000050.jsonl"
    back, num_unreadable = read_rollouts(run.root / event["path"])
    assert num_unreadable == 0
    assert [row["completion"] for row in back] == ["NaN", "é\n\x1b"]
    assert back[0]["reward"] != back[0]["reward"]


def test_damaged_rollout_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "step_000001.jsonl"
    path.write_bytes(encode_line({"a": 1}) + b"\x00\x00\n" + encode_line({"a": 2}) + b'{"a":')
    assert read_rollouts(path) == ([{"a": 1}, {"a": 2}], 2)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (RuntimeError("broken"), "failed", "RuntimeError"),
        (GuardStop("KL too large"), "stopped", "GuardStop"),
        (KeyboardInterrupt(), "stopped", "KeyboardInterrupt"),
    ],
)
def test_an_error_that_leaves_the_block_ends_the_run(
    new_run: NewRun, error: BaseException, status: str, kind: str
) -> None:
    run = new_run()
    with pytest.raises(type(error)), EventWriter(run):
        raise error
    end = read_all(run)[-1]
    assert (end["type"], end["status"], end["error_kind"]) == ("run_finished", status, kind)
    assert end["message"] == str(error)


def test_an_end_that_was_recorded_is_not_overwritten(new_run: NewRun) -> None:
    run = new_run()
    writer = EventWriter(run).__enter__()
    writer.finish("stopped", message="asked to")
    writer.__exit__(RuntimeError, RuntimeError("in the teardown"), None)
    ends = [event for event in read_all(run) if event["type"] == "run_finished"]
    assert [end["status"] for end in ends] == ["stopped"]


def test_nothing_is_written_after_the_end(new_run: NewRun) -> None:
    with EventWriter(new_run()) as writer:
        writer.finish("finished")
        with pytest.raises(VtkError, match="came too late"):
            writer.step(1, {})


def test_wrong_calls_are_refused_and_write_nothing(new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        before = run.events.read_bytes()
        with pytest.raises(ValueError, match="seq"):
            writer.emit("step", **{"seq": 3})
        with pytest.raises(ValueError, match="finished"):
            writer.finish("done")
        with pytest.raises(TypeError):
            writer.emit("phase", name=object())
        assert run.events.read_bytes() == before


def test_a_full_disk_rises_from_the_step_and_the_log_recovers(
    new_run: NewRun, size_limit: SizeLimit
) -> None:
    run = new_run()
    with EventWriter(run, heartbeat_interval_s=3600) as writer:
        writer.step(1, {"loss/total": 1.0})
        size = run.events.stat().st_size
        with size_limit(size + 40), pytest.raises(VtkError) as caught:
            writer.step(2, {"loss/total": 1.0})
        assert str(run.events) in caught.value.message
        assert "free on the disk" in caught.value.message
        assert run.events.stat().st_size == size + 40, "a piece of the line was written"
        writer.step(3, {"loss/total": 1.0})
        writer.finish("finished")
    tail = EventTail(run.events)
    events = tail.poll()
    assert [event["seq"] for event in events] == list(range(5))
    assert [event["step"] for event in events if event["type"] == "step"] == [1, 3]
    assert tail.num_unreadable == 1


def test_no_space_left_on_the_device_names_the_path(new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run, heartbeat_interval_s=3600) as writer:
        full = os.open("/dev/full", os.O_WRONLY)
        assert writer._descriptor is not None
        os.dup2(full, writer._descriptor)
        os.close(full)
        with pytest.raises(VtkError, match=os.strerror(errno.ENOSPC)) as caught:
            writer.step(1, {"loss/total": 1.0})
        assert str(run.events) in caught.value.message


def test_what_the_heartbeat_meets_rises_at_the_next_event(
    new_run: NewRun, size_limit: SizeLimit
) -> None:
    run = new_run()
    with EventWriter(run, heartbeat_interval_s=0.002) as writer:
        with size_limit(run.events.stat().st_size):
            wait_until(lambda: writer._failure is not None)
        with pytest.raises(VtkError, match="cannot write"):
            writer.step(1, {})
        writer.step(2, {})
        writer.finish("finished")
    assert [e["step"] for e in EventTail(run.events).poll() if e["type"] == "step"] == [2]


def test_a_writer_that_lost_its_run_is_told(new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run, heartbeat_interval_s=0.002) as writer:
        other = Owner("another-host", "its-boot", None, 12, "then")
        write_owner(run, other)
        wait_until(lambda: writer._failure is not None)
        with pytest.raises(VtkError, match="taken over by another process"):
            writer.step(1, {})
    assert Owner.read(run) == other, "the new owner stays"


def test_an_error_is_not_hidden_by_a_full_disk(new_run: NewRun, size_limit: SizeLimit) -> None:
    run = new_run()
    error = RuntimeError("the real reason")
    writer = EventWriter(run, heartbeat_interval_s=3600).__enter__()
    with size_limit(run.events.stat().st_size):
        writer.__exit__(RuntimeError, error, None)
    assert len(error.__notes__) == 1
    assert "the run's end could not be recorded either: cannot write" in error.__notes__[0]
    assert not run.owner_json.exists()


def test_the_run_must_have_been_created(tmp_path: Path) -> None:
    with pytest.raises(VtkError):
        EventWriter(RunPaths(tmp_path / "nowhere")).__enter__()
