"""Rows on disk: whole, once, and never of two kinds in one file."""

import errno
import os
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.unit.evals.conftest import FAILED, make_row
from vtk.errors import ConfigError, DataError, VtkError
from vtk.evals.folder import claim_settings, describe_differences, set_aside, settings_hash
from vtk.evals.record import (
    PARTS_DIR,
    SAMPLES_FILE,
    EvalRow,
    SampleLog,
    read_rows,
    row_from_json,
)
from vtk.runs.events import encode_line

ROWS = [
    make_row("q0"),
    make_row("q1", **FAILED),
    make_row("q2", completion="NaN", parsed=None, status="missing"),
    make_row("q3", completion='<answer>Ａ</answer>\n"\\\x1b[2J\ud800', clip_id="clip1"),
]


def write(folder: Path, rows: list[EvalRow]) -> Path:
    with SampleLog(folder) as log:
        for row in rows:
            log.append(row)
    return folder / SAMPLES_FILE


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    found = read_rows(write(tmp_path, ROWS))
    assert list(found.rows.values()) == ROWS
    assert found.num_unreadable == 0


def test_the_last_row_of_a_question_counts(tmp_path: Path) -> None:
    path = write(tmp_path, [ROWS[1], ROWS[0], make_row("q1")])
    assert [row.error for row in read_rows(path).rows.values()] == [None, None]


def test_no_file_holds_no_rows(tmp_path: Path) -> None:
    assert read_rows(tmp_path / SAMPLES_FILE).rows == {}


def test_lines_that_are_no_rows_are_counted(tmp_path: Path) -> None:
    odd = asdict(make_row("q9")) | {"colour": "red"}
    path = tmp_path / SAMPLES_FILE
    path.write_bytes(
        encode_line(asdict(ROWS[0]))
        + b"{\n\xff\n[1]\n"
        + encode_line(odd)
        + encode_line(asdict(ROWS[1]))
    )
    found = read_rows(path)
    assert list(found.rows.values()) == ROWS[:2]
    assert found.num_unreadable == 4


def test_a_row_of_another_version_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="colour"):
        row_from_json(asdict(ROWS[0]) | {"colour": "red"})


def test_a_crash_at_any_byte_costs_at_most_the_row_being_written(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", ROWS).read_bytes()
    draw = random.Random(5)
    for cut in sorted(draw.sample(range(len(whole) + 1), 100)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / SAMPLES_FILE).write_bytes(whole[:cut])
        kept = read_rows(folder / SAMPLES_FILE)
        assert kept.num_unreadable == 0
        assert len(kept.rows) == whole[:cut].count(b"\n")
        write(folder, [row for row in ROWS if row.key not in kept.rows])
        assert (folder / SAMPLES_FILE).read_bytes() == whole


def test_two_processes_cannot_write_one_file(tmp_path: Path) -> None:
    with SampleLog(tmp_path), pytest.raises(ConfigError, match="another process"):
        SampleLog(tmp_path).__enter__()
    with SampleLog(tmp_path):
        pass


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with SampleLog(tmp_path) as log:
        monkeypatch.setattr(os, "write", fail)
        with pytest.raises(VtkError, match="No space left on device"):
            log.append(ROWS[0])
        monkeypatch.setattr(os, "write", lambda _, content: len(content) - 1)
        with pytest.raises(VtkError, match="No space left on device"):
            log.append(ROWS[0])


def settings(**changes: Any) -> dict[str, Any]:
    return {"ask": {"seed": 1, "temperature": 0.0}, "model": {"weights_sha256": "ab"}} | changes


def test_the_hash_does_not_depend_on_order() -> None:
    turned = {key: settings()[key] for key in reversed(settings())}
    assert settings_hash(turned) == settings_hash(settings())
    assert settings_hash(settings(ask={"seed": 2})) != settings_hash(settings())


def test_the_same_settings_go_on(tmp_path: Path) -> None:
    first = claim_settings(tmp_path, settings(), {"device": "cpu"})
    assert claim_settings(tmp_path, settings(), {"device": "cuda:0"}) == first


def test_other_settings_are_refused_with_the_difference(tmp_path: Path) -> None:
    claim_settings(tmp_path, settings(), {})
    other = settings(ask={"seed": 1, "temperature": 0.7})
    with pytest.raises(ConfigError, match=r"ask\.temperature 0\.0 there, 0\.7 now") as told:
        claim_settings(tmp_path, other, {})
    assert told.value.hint is not None
    assert "--restart" in told.value.hint


def test_rows_without_settings_are_refused(tmp_path: Path) -> None:
    write(tmp_path, ROWS)
    with pytest.raises(DataError, match=r"settings\.json"):
        claim_settings(tmp_path, settings(), {})


def test_set_aside_keeps_every_earlier_evaluation(tmp_path: Path) -> None:
    assert set_aside(tmp_path) is None
    for number in (1, 2):
        claim_settings(tmp_path, settings(), {})
        write(tmp_path, ROWS[:number])
        assert set_aside(tmp_path) == tmp_path / f"previous-{number}"
    assert not (tmp_path / SAMPLES_FILE).exists()
    assert [
        len(read_rows(tmp_path / f"previous-{number}" / SAMPLES_FILE).rows) for number in (1, 2)
    ] == [1, 2]


@pytest.mark.parametrize("name", [SAMPLES_FILE, f"{PARTS_DIR}/rank_1.jsonl"])
def test_what_another_process_writes_is_not_set_aside(name: str, tmp_path: Path) -> None:
    claim_settings(tmp_path, settings(), {})
    write(tmp_path, ROWS)
    with SampleLog(tmp_path, name):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(ConfigError, match="another process is writing"):
            set_aside(tmp_path)
        assert sorted(tmp_path.rglob("*")) == before
    moved = set_aside(tmp_path)
    assert moved is not None
    assert (moved / SAMPLES_FILE).read_bytes()


def test_many_differences_are_cut_short() -> None:
    told = describe_differences({}, {f"k{i}": "x" * 100 for i in range(9)})
    assert told.count(" now") == 6
    assert told.endswith("and 3 more")
    assert "…" in told
