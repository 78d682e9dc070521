"""One writer of answers: here at once, on other machines by a claim that is kept alive."""

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.unit.evals.conftest import make_row
from vtk.errors import ConfigError, VtkError
from vtk.evals import record
from vtk.evals.record import SampleLog, read_rows
from vtk.evals.sole_writer import SoleWriter
from vtk.net.claim import FORGOTTEN_AFTER_S
from vtk.runs.events import encode_line
from vtk.runs.owner import Owner


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    return tmp_path / "samples.jsonl.owner"


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def write_claim(path: Path, host: str, age_s: float, **changes: object) -> None:
    owner = replace(Owner.current(), host=host).to_dict()
    path.write_bytes(encode_line({"token": "theirs", **owner, **changes}))
    os.utime(path, (time.time() - age_s,) * 2)


def test_a_claim_lies_there_as_long_as_the_log_is_open(tmp_path: Path, claim: Path) -> None:
    with SampleLog(tmp_path, "parts/rank_0.jsonl"), SampleLog(tmp_path) as log:
        assert json.loads(claim.read_text())["pid"] == os.getpid()
        log.append(make_row())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts", "samples.jsonl"]


def test_another_machine_is_heeded_until_it_is_forgotten(tmp_path: Path, claim: Path) -> None:
    write_claim(claim, "elsewhere", FORGOTTEN_AFTER_S - 60)
    with pytest.raises(ConfigError, match=r"process \d+ on elsewhere") as told:
        SampleLog(tmp_path).__enter__()
    assert f"forgotten after {FORGOTTEN_AFTER_S:g} s" in str(told.value.hint)
    write_claim(claim, "elsewhere", FORGOTTEN_AFTER_S + 60)
    with SampleLog(tmp_path) as log:
        log.append(make_row())
    assert not claim.exists()


def test_a_process_of_this_machine_that_is_gone_is_forgotten_at_once(
    tmp_path: Path, claim: Path
) -> None:
    write_claim(claim, Owner.current().host, 0.0, start_time="0")
    with SampleLog(tmp_path):
        assert json.loads(claim.read_text())["token"] != "theirs"


def test_a_claim_is_touched_while_nothing_is_written(tmp_path: Path, claim: Path) -> None:
    with SoleWriter(tmp_path / "samples.jsonl", claim, renew_every_s=0.01) as writer:
        os.utime(claim, (0, 0))
        wait_until(lambda: time.time() - claim.stat().st_mtime < FORGOTTEN_AFTER_S)
        writer.require_held()


def test_who_was_taken_for_gone_writes_no_more(
    tmp_path: Path, claim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "SoleWriter", partial(SoleWriter, renew_every_s=0.01))

    with SampleLog(tmp_path) as log:
        log.append(make_row())
        write_claim(claim, "elsewhere", 0.0)
        wait_until(lambda: "claim" not in {thread.name for thread in threading.enumerate()})
        with pytest.raises(ConfigError, match="another process is writing"):
            log.append(make_row("more"))
    assert list(read_rows(tmp_path / "samples.jsonl").rows) == [("q0", 0)]
    assert json.loads(claim.read_text())["token"] == "theirs"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VtkError, match="cannot write"):
        SoleWriter(tmp_path / "samples.jsonl", tmp_path / "file" / "x.owner").__enter__()
