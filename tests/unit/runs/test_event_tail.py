"""Readers see whole events only, count what is damaged, and lose nothing else."""

import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vtk.errors import DataError
from vtk.runs import reader
from vtk.runs.events import encode_event
from vtk.runs.reader import EventTail
from vtk.runs.store import RunPaths
from vtk.runs.writer import EventWriter

NewRun = Callable[..., RunPaths]
PATIENCE_S = 30.0


def lines(num: int, text: str = "") -> list[bytes]:
    """Event lines of uneven length that hold characters of one to four bytes."""
    return [
        encode_event(
            {"v": 1, "seq": seq, "time": 1.0, "mono": float(seq), "type": "phase"}
            | {"name": text + "aé€𝄞"[seq % 5 :] * (seq % 7)}
        )
        for seq in range(num)
    ]


def seqs(events: list[dict[str, Any]]) -> list[int]:
    return [event["seq"] for event in events]


def test_a_missing_file_is_empty_until_it_comes(tmp_path: Path) -> None:
    tail = EventTail(tmp_path / "events.jsonl")
    assert tail.poll() == []
    tail.path.write_bytes(b"".join(lines(2)))
    assert seqs(tail.poll()) == [0, 1]
    assert tail.num_restarts == 0


def test_byte_by_byte_each_event_comes_once_and_whole(tmp_path: Path) -> None:
    tail = EventTail(tmp_path / "events.jsonl")
    content = b"".join(lines(8))
    with tail.path.open("ab", buffering=0) as stream:
        found: list[int] = []
        for index in range(len(content)):
            stream.write(content[index : index + 1])
            new = seqs(tail.poll())
            assert new == [] or content[index : index + 1] == b"\n"
            found += new
    assert found == list(range(8))
    assert tail.num_unreadable == 0


def test_cut_at_every_byte_only_the_cut_event_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    content = b"".join(lines(16))
    for cut in range(len(content) + 1):
        path.write_bytes(content[:cut])
        tail = EventTail(path)
        assert seqs(tail.poll()) == list(range(content[:cut].count(b"\n")))
        assert tail.num_unreadable == 0, "a line that is not finished waits; it is not damaged"


def cut_and_go_on(run: RunPaths, content: bytes, cut: int) -> None:
    run.events.write_bytes(content[:cut])
    with EventWriter(run, 0, heartbeat_interval_s=3600) as writer:
        writer.phase("after")
    tail = EventTail(run.events)
    events = tail.poll()
    num_whole = content[:cut].count(b"\n")
    is_whole_but_open = content[cut : cut + 1] == b"\n"
    is_torn = cut > 0 and not is_whole_but_open and content[cut - 1 : cut] != b"\n"
    num_kept = num_whole + is_whole_but_open
    num_new = 2 if num_kept else 3  # run_started only where no event is left
    assert seqs(events) == list(range(num_kept + num_new)), cut
    assert events[-1]["name"] == "after", "the first events after the crash are not lost"
    assert tail.num_unreadable == int(is_torn), cut


def test_cut_anywhere_the_writer_goes_on_without_loss(new_run: NewRun) -> None:
    run = new_run()
    content = b"".join(lines(8))
    for cut in range(0, len(content) + 1, 5):
        cut_and_go_on(run, content, cut)


@pytest.mark.slow
def test_cut_at_every_byte_the_writer_goes_on_without_loss(new_run: NewRun) -> None:
    run = new_run()
    content = b"".join(lines(12))
    for cut in range(len(content) + 1):
        cut_and_go_on(run, content, cut)


def test_damage_in_the_middle_costs_only_the_lines_it_touches(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    whole = lines(60)
    chance = random.Random(0)
    for _ in range(300):
        content = bytearray(b"".join(whole))
        start = chance.randrange(len(content) - 8)
        length = chance.randrange(1, 8)
        content[start : start + length] = b"\x00" * length
        path.write_bytes(content)
        tail = EventTail(path)
        found = set(seqs(tail.poll()))
        ends = [sum(map(len, whole[: index + 1])) for index in range(60)]
        touched = {
            i for i in range(60) if ends[i] - len(whole[i]) < start + length and start < ends[i]
        }
        glued = {index + 1 for index in touched}  # where the newline itself was overwritten
        assert set(range(60)) - touched - glued <= found
        assert 1 <= tail.num_unreadable <= len(touched)
        assert tail.unreadable[0].reason


def test_unreadable_lines_are_shown_safely(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(lines(1)[0] + b"\x1b]52;c;evil\x07 \xff[red]\n" + b"\n" + b'{"type":1}\n' * 9)
    tail = EventTail(path)
    assert len(tail.poll()) == 1
    assert tail.num_unreadable == 10, "a blank line says nothing and is not counted"
    assert len(tail.unreadable) == 5
    assert tail.unreadable[-1].line == 12
    path.write_bytes(b"\x1b]52;c;evil\x07 \xff[red]\n")
    tail.poll()
    assert tail.unreadable[0].preview == "␛]52;c;evil␇ �[red]"


def test_a_line_without_end_does_not_fill_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(reader, "_CHUNK_BYTES", 64)
    path = tmp_path / "events.jsonl"
    path.write_bytes(lines(1)[0] + b"x" * 50_000 + b"\n" + lines(2)[1])
    tail = EventTail(path)
    assert seqs(tail.poll()) == [0, 1]
    assert tail.num_unreadable == 1
    assert "longer than 1000 bytes" in tail.unreadable[0].reason
    assert len(tail._partial) == 0


def test_a_file_that_shrinks_or_is_replaced_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(lines(5)) + b"bad\n")
    tail = EventTail(path)
    assert len(tail.poll()) == 5
    path.write_bytes(b"".join(lines(2)))
    assert seqs(tail.poll()) == [0, 1]
    assert (tail.num_restarts, tail.num_unreadable) == (1, 0)
    other = tmp_path / "other"
    other.write_bytes(b"".join(lines(9)))
    other.replace(path)
    assert len(tail.poll()) == 9
    assert tail.num_restarts == 2


def test_from_the_middle_the_cut_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    content = b"".join(lines(10))
    path.write_bytes(content)
    tail = EventTail(path, start_offset=content.index(b"\n") + 5)
    assert seqs(tail.poll()) == list(range(2, 10))
    assert tail.num_unreadable == 0


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a file"):
        EventTail(tmp_path).poll()
    with pytest.raises(DataError, match="is not a file"):
        EventTail(Path("/dev/zero")).poll()


CHILD_WRITER = """
    import sys
    from pathlib import Path
    from vtk.runs.store import RunPaths
    from vtk.runs.writer import EventWriter

    with EventWriter(RunPaths(Path(sys.argv[1])), heartbeat_interval_s=0.001) as writer:
        for step in range(2000):
            writer.step(step, {"loss/total": step, "pad": 10.0 ** (step % 300)})
            if step % 100 == 0:
                writer.emit("note", text="€" * 20000)
        writer.finish("finished")
"""


def test_readers_of_a_living_log_see_every_event_once(new_run: NewRun) -> None:
    run = new_run()
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(CHILD_WRITER), str(run.root)])
    tails = [EventTail(run.events) for _ in range(3)]
    found: list[list[dict[str, Any]]] = [[], [], []]
    end = time.monotonic() + PATIENCE_S
    while not all(seen and seen[-1]["type"] == "run_finished" for seen in found):
        assert time.monotonic() < end
        for tail, seen in zip(tails, found, strict=True):
            seen += tail.poll()
    assert child.wait(PATIENCE_S) == 0
    for tail, seen in zip(tails, found, strict=True):
        assert seqs(seen) == list(range(len(seen)))
        assert [e["step"] for e in seen if e["type"] == "step"] == list(range(2000))
        assert tail.num_unreadable == 0
