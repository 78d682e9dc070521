"""Pauses, digests, room on the disk, and work in several threads."""

import hashlib
import random
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from vtk.errors import DataError, MissingEnvironmentError
from vtk.net import crew
from vtk.net.content import Digest, Expected, digest_file
from vtk.net.crew import work_together
from vtk.net.disk import require_space
from vtk.net.patience import Patience, parse_retry_after


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_pauses_double_to_a_limit_with_a_quarter_of_jitter() -> None:
    patience = Patience(first_pause_s=1.0, longest_pause_s=20.0)
    draws = [
        [patience.pause_s(failures, None, random.Random(seed)) for seed in range(200)]
        for failures in (1, 2, 3, 9, 2000)
    ]
    middles = [1.0, 2.0, 4.0, 20.0, 20.0]
    for drawn, middle in zip(draws, middles, strict=True):
        assert 0.75 * middle <= min(drawn) < 0.8 * middle
        assert 1.2 * middle < max(drawn) <= 1.25 * middle


def test_what_the_server_asks_is_never_undercut() -> None:
    patience = Patience(first_pause_s=1.0)
    assert patience.pause_s(1, 300.0, random.Random(0)) == 300.0
    assert patience.pause_s(5, 0.5, random.Random(0)) > 10


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("Mon, 01 Jun 2026 10:00:30 GMT", 30.0),
        ("Mon, 01 Jun 2026 09:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("9" * 400, None),
        (None, None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    now = datetime(2026, 6, 1, 10, tzinfo=UTC)
    assert parse_retry_after(value, now) == seconds


def test_digests_tell_any_other_content(tmp_path: Path) -> None:
    content = b"some content"
    path = tmp_path / "file"
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    blob = hashlib.sha1(b"blob 12\0" + content).hexdigest()
    for right in (Expected(), Expected(12), Expected(12, sha256), Expected(12, git_sha1=blob)):
        assert digest_file(path, right).problem() is None
    wrongs = (Expected(11), Expected(12, "0" * 64), Expected(12, git_sha1="0" * 40))
    said = [digest_file(path, wrong).problem() or "" for wrong in wrongs]
    assert "not 11" in said[0]
    assert "sha256" in said[1]
    assert "git sha1" in said[2]
    assert digest_file(path, Expected(), 4).sha256 == hashlib.sha256(b"some").hexdigest()


@pytest.mark.parametrize(
    ("expected", "integrity"),
    [
        (Expected(), "structural only"),
        (Expected(5), "structural only"),
        (Expected(git_sha1="1" * 40), "structural only"),
        (Expected(5, git_sha1="1" * 40), "git-sha1"),
        (Expected(sha256="1" * 64), "sha256"),
    ],
)
def test_what_a_check_is_worth(expected: Expected, integrity: str) -> None:
    assert expected.integrity == integrity
    assert expected.is_hashed == (integrity != "structural only")
    assert Digest(expected).num_bytes == 0


def test_room_is_asked_for_with_a_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10**9, 0, 1_000_000))
    require_space(tmp_path / "not" / "there", 950_000, "it")
    require_space(tmp_path, 0, "nothing")
    with pytest.raises(MissingEnvironmentError, match=r"needs 1003.3 KiB, .* 976.6 KiB free"):
        require_space(tmp_path, 978_500, "it")


def test_all_works_are_done() -> None:
    done: list[int] = []
    works = [lambda number=number: done.append(number) for number in range(20)]
    work_together(works, 4, threading.Event())
    assert sorted(done) == list(range(20))
    work_together([], 4, threading.Event())


def test_a_long_work_is_accompanied_by_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "TICK_S", 0.0)
    ticked, cancelled = threading.Event(), threading.Event()
    seen: list[bool] = []
    work_together([lambda: seen.append(ticked.wait(30))], 1, cancelled, ticked.set)
    assert seen == [True]


def test_the_first_fault_ends_the_others() -> None:
    cancelled, ended = threading.Event(), threading.Event()

    def fail() -> None:
        raise DataError("damaged")

    def wait() -> None:
        cancelled.wait(10)
        ended.set()

    with pytest.raises(DataError, match="damaged"):
        work_together([wait, fail, pytest.fail], 2, cancelled)
    assert ended.is_set()
