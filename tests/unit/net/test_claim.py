"""A claim is held by one process, and by no dead one."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vtk.net.claim import FORGOTTEN_AFTER_S, Claim, LostClaimError, claimed
from vtk.runs.owner import Owner

HOLD = """
import sys
from pathlib import Path
from vtk.net.claim import claimed
with claimed(Path(sys.argv[1]), lambda: False):
    print("held", flush=True)
    sys.stdin.read()
"""


def never() -> bool:
    return False


def written(path: Path, age_s: float = 0.0, **changes: object) -> None:
    """A claim as another process would have left it."""
    path.write_text(json.dumps({"token": "other", **Owner.current().to_dict(), **changes}))
    os.utime(path, (time.time() - age_s, time.time() - age_s))


def test_a_claim_is_there_while_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "new" / "claim"
    with claimed(path, never) as claim:
        assert json.loads(path.read_text())["pid"] == os.getpid()
        claim.renew()
    assert not path.exists()


def test_a_second_process_waits_is_told_by_whom_and_then_has_it(
    tmp_path: Path, repository: Path
) -> None:
    path, told = tmp_path / "claim", []
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        env=os.environ | {"PYTHONPATH": str(repository)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"

    def leave(owner: str) -> None:
        told.append(owner)
        assert other.stdin is not None
        other.stdin.close()

    with claimed(path, never, leave) as claim:
        claim.renew()
    assert len(told) == 1
    assert f"process {other.pid} on" in told[0]
    assert other.wait() == 0
    other.stdout.close()


def test_a_killed_process_is_taken_over_at_once(tmp_path: Path, repository: Path) -> None:
    path = tmp_path / "claim"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        env=os.environ | {"PYTHONPATH": str(repository)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    other.stdout.readline()
    other.kill()
    other.communicate()
    assert path.exists()
    with claimed(path, never, lambda owner: pytest.fail(f"waits for {owner}")):
        pass


@pytest.mark.parametrize(
    ("changes", "age_s", "is_void"),
    [
        ({"start_time": "1"}, 0.0, True),
        ({"pid": 2**22 + 1}, 0.0, True),
        ({"host": "elsewhere"}, 0.0, False),
        ({"host": "elsewhere"}, FORGOTTEN_AFTER_S + 5, True),
        ({"pid": "none"}, 0.0, True),
        ({}, FORGOTTEN_AFTER_S + 5, False),
    ],
    ids=["pid reused", "gone", "other machine", "long silent machine", "damaged", "alive"],
)
def test_whose_claim_is_void(
    tmp_path: Path, changes: dict[str, object], age_s: float, is_void: bool
) -> None:
    path = tmp_path / "claim"
    written(path, age_s, **changes)
    asked: list[str] = []
    if is_void:
        with claimed(path, never, asked.append):
            pass
        assert asked == []
    else:
        with pytest.raises(LostClaimError), claimed(path, lambda: bool(asked), asked.append):
            pass
        assert len(asked) == 1


def test_a_torn_claim_is_void_after_a_while_only(tmp_path: Path) -> None:
    path, asked = tmp_path / "claim", list[str]()
    path.write_text("")
    with pytest.raises(LostClaimError), claimed(path, lambda: bool(asked), asked.append):
        pass
    os.utime(path, (time.time() - 60, time.time() - 60))
    with claimed(path, never):
        pass


def test_who_was_displaced_notices_and_takes_nothing_away(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    with claimed(path, never) as claim:
        written(path)
        with pytest.raises(LostClaimError):
            claim.renew()
    assert json.loads(path.read_text())["token"] == "other"
    with pytest.raises(LostClaimError):
        Claim(tmp_path / "absent", "x").renew()


def test_of_many_threads_one_at_a_time_holds_it(tmp_path: Path) -> None:
    path, inside, most = tmp_path / "claim", list[int](), list[int]()

    def work() -> None:
        with claimed(path, never):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6
