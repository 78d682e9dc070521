"""Whole files: the old one or the new one, never a piece."""

import errno
import json
import math
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from vtk.errors import DataError, VtkError
from vtk.runs.files import read_json, storage_error, write_json_atomic


def listing(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


SizeLimit = Callable[[int], AbstractContextManager[None]]


def test_json_comes_back_with_its_nan(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "facts.json"
    write_json_atomic(path, {"a": math.nan, "path": tmp_path})
    assert json.loads(path.read_text())["a"] == "NaN"
    assert math.isnan(read_json(path)["a"])


def test_a_full_disk_leaves_the_old_file_and_no_litter(
    tmp_path: Path, size_limit: SizeLimit
) -> None:
    path = tmp_path / "facts.json"
    write_json_atomic(path, {"old": True})
    with size_limit(100), pytest.raises(VtkError) as caught:
        write_json_atomic(path, {"new": "x" * 10_000})
    assert str(path) in caught.value.message
    assert "free on the disk" in caught.value.message
    assert caught.value.hint is not None
    assert read_json(path) == {"old": True}
    assert listing(tmp_path) == ["facts.json"]


def test_a_failed_sync_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "facts.json"
    write_json_atomic(path, {"old": True})

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(VtkError, match="Input/output error"):
        write_json_atomic(path, {"new": True})
    assert read_json(path) == {"old": True}
    assert listing(tmp_path) == ["facts.json"]


def test_what_json_cannot_hold_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_json_atomic(path, {"old": True})
    with pytest.raises(TypeError):
        write_json_atomic(path, {"new": object()})
    assert read_json(path) == {"old": True}


def test_an_interrupt_leaves_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_json_atomic(tmp_path / "facts.json", {})
    assert listing(tmp_path) == []


def test_a_file_where_a_folder_must_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VtkError, match="cannot write"):
        write_json_atomic(tmp_path / "file" / "facts.json", {})


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b"\x00\x00"])
def test_a_damaged_file_is_a_data_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "facts.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        read_json(path)


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_json(tmp_path / "facts.json")


def test_only_a_full_disk_is_called_one() -> None:
    full = storage_error(Path("/no/such/folder/x"), OSError(errno.ENOSPC, "No space left"))
    other = storage_error(Path("x"), OSError(errno.EROFS, "Read-only file system"))
    assert "No space left" in full.message
    assert "free on the disk of /" in full.message
    assert "free" not in other.message
    assert other.hint is None
