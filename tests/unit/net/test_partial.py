"""What a part may be gone on with, after a kill, a power cut, and another version."""

import errno
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from vtk.errors import MissingEnvironmentError, VtkError
from vtk.net import partial as partial_module
from vtk.net.content import Expected
from vtk.net.partial import FIRST_NOTE_BYTES, Partial

CONTENT = random.Random(3).randbytes(2 * FIRST_NOTE_BYTES)
URL = "http://a.example/file.zip"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "file.zip"


def left(target: Path, size: int, validator: str | None = '"v"', **expected: Any) -> None:
    """A process is killed after it wrote so many bytes; its last sync was at the first note."""
    part = Partial(target, URL, Expected(**expected))
    part.open()
    part.restart(validator)
    for at in range(0, size, 65536):
        part.append(CONTENT[at : min(at + 65536, size)])
    part._open_stream.close()  # not its own close(), which would sync and note the rest


def reopened(target: Path, url: str = URL, **expected: Any) -> Partial:
    part = Partial(target, url, Expected(**expected))
    part.open()
    part._open_stream.close()
    return part


def test_after_a_kill_every_byte_that_was_written_counts(target: Path) -> None:
    left(target, FIRST_NOTE_BYTES + 100_000)
    part = reopened(target)
    assert (part.num_bytes, part.validator) == (FIRST_NOTE_BYTES + 100_000, '"v"')
    assert part.can_resume


def test_after_a_power_cut_only_synced_bytes_count(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left(target, FIRST_NOTE_BYTES + 100_000)
    monkeypatch.setattr(partial_module, "boot_id", lambda: "another boot")
    part = reopened(target)
    assert part.num_bytes == FIRST_NOTE_BYTES
    assert part.part.stat().st_size == FIRST_NOTE_BYTES


@pytest.mark.parametrize("num_bytes", [0, FIRST_NOTE_BYTES - 1])
def test_a_short_part_has_no_note_and_is_fetched_anew(target: Path, num_bytes: int) -> None:
    left(target, num_bytes)
    assert reopened(target).num_bytes == 0


@pytest.mark.parametrize(
    "changed",
    [{"sha256": "1" * 64}, {"num_bytes": 9_000_000}, {"git_sha1": "2" * 40}],
    ids=lambda changed: next(iter(changed)),
)
def test_another_expected_content_starts_over(target: Path, changed: dict[str, Any]) -> None:
    left(target, FIRST_NOTE_BYTES)
    assert reopened(target, **changed).num_bytes == 0


def test_another_server_goes_on_only_with_a_known_hash(target: Path) -> None:
    left(target, FIRST_NOTE_BYTES)
    assert reopened(target, url="http://b.example/file.zip").num_bytes == 0
    left(target, FIRST_NOTE_BYTES, sha256="1" * 64)
    part = reopened(target, url="http://b.example/file.zip", sha256="1" * 64)
    assert (part.num_bytes, part.validator) == (FIRST_NOTE_BYTES, None)
    assert part.can_resume


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"schema": 99}', b'{"schema": 1}', b"\xff"])
def test_a_damaged_note_starts_over(target: Path, note: bytes) -> None:
    left(target, FIRST_NOTE_BYTES)
    target.with_name("file.zip.part.json").write_bytes(note)
    assert reopened(target).num_bytes == 0


def test_a_part_longer_than_the_file_starts_over(target: Path) -> None:
    left(target, FIRST_NOTE_BYTES + 5, num_bytes=FIRST_NOTE_BYTES)
    assert reopened(target, num_bytes=FIRST_NOTE_BYTES).num_bytes == 0


def test_without_validator_and_hash_nothing_is_gone_on_with(target: Path) -> None:
    left(target, FIRST_NOTE_BYTES, validator=None)
    assert not reopened(target).can_resume


def test_restarting_takes_the_note_away_before_the_bytes(target: Path) -> None:
    left(target, FIRST_NOTE_BYTES)
    part = Partial(target, URL, Expected())
    part.open()
    part.restart('"w"')
    assert not part.note.exists()
    assert part.part.stat().st_size == 0
    part.close()


def test_the_note_counts_no_more_than_was_synced(target: Path) -> None:
    left(target, FIRST_NOTE_BYTES + 300_000)
    noted = json.loads(target.with_name("file.zip.part.json").read_text())
    assert noted["synced_bytes"] == FIRST_NOTE_BYTES


@pytest.mark.parametrize(
    ("size", "kept"),
    [(0, []), (1000, []), (FIRST_NOTE_BYTES, ["file.zip.part", "file.zip.part.json"])],
)
def test_only_what_is_worth_a_note_is_kept(target: Path, size: int, kept: list[str]) -> None:
    part = Partial(target, URL, Expected())
    part.open()
    part.restart('"v"')
    part.append(CONTENT[:size])
    part.close()
    assert sorted(path.name for path in target.parent.iterdir()) == kept


def test_committing_leaves_the_file_alone(target: Path) -> None:
    part = Partial(target, URL, Expected())
    part.open()
    part.append(CONTENT)
    part.commit()
    part.close()
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["file.zip"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_failing_disk_is_told_and_what_arrived_is_kept(
    target: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    left(target, FIRST_NOTE_BYTES)
    part = Partial(target, URL, Expected())
    part.open()

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    part.append(CONTENT[FIRST_NOTE_BYTES:][:1000])
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(VtkError, match="cannot write") as caught:
        part.sync()
    assert isinstance(caught.value, MissingEnvironmentError) == (number != errno.EIO)
    assert caught.value.hint
    monkeypatch.undo()
    part.close()
    assert reopened(target).num_bytes == FIRST_NOTE_BYTES + 1000
