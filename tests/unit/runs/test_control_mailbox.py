"""Requests arrive whole or not at all, and only those that mean something."""

import json
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from vtk.errors import ConfigError, VtkError
from vtk.runs.control import ACTIONS, acknowledge, pending, read_mailbox, request
from vtk.runs.store import RunPaths

NewRun = Callable[..., RunPaths]
SizeLimit = Callable[[int], AbstractContextManager[None]]


def test_requests_come_in_the_order_of_their_making(new_run: NewRun) -> None:
    run = new_run()
    assert pending(run) == []
    made = [request(run, "pause"), request(run, "set_beta", beta=-0.02), request(run, "stop")]
    assert pending(run) == made
    assert pending(run)[1].args == {"beta": -0.02}
    assert "@" in made[0].who
    acknowledge(run, made[0])
    acknowledge(run, made[0])
    assert pending(run) == made[1:]


def test_every_action_can_be_asked_for(new_run: NewRun) -> None:
    run = new_run()
    for action, names in ACTIONS.items():
        request(run, action, **dict.fromkeys(names, 0.5))
    assert [asked.action for asked in pending(run)] == list(ACTIONS)


@pytest.mark.parametrize(
    ("action", "args"),
    [
        ("explode", {}),
        ("stop", {"now": 1}),
        ("set_beta", {}),
        ("set_beta", {"beta": math.nan}),
        ("set_beta", {"beta": math.inf}),
        ("set_beta", {"beta": True}),
        ("set_beta", {"beta": "-0.1"}),
        ("set_beta", {"beta": 10**400}),
    ],
)
def test_what_means_nothing_is_refused_and_not_written(
    new_run: NewRun, action: str, args: dict[str, Any]
) -> None:
    run = new_run()
    with pytest.raises(ConfigError):
        request(run, action, **args)
    assert not run.control_dir.exists()


def test_a_full_disk_leaves_no_half_request(new_run: NewRun, size_limit: SizeLimit) -> None:
    run = new_run()
    with size_limit(5), pytest.raises(VtkError, match="cannot write"):
        request(run, "stop")
    assert list(run.control_dir.iterdir()) == []


def test_files_that_are_no_request_are_told_apart(new_run: NewRun) -> None:
    run = new_run()
    good = request(run, "stop")
    facts = good.to_dict()
    first, second = f"{1:020d}-aaaaaaaa", f"{2:020d}-bbbbbbbb"
    bad = {
        "garbage": b"\x00",
        "huge": b" " * 100_000,
        "list": b"[]",
        "other-id": json.dumps(facts).encode(),
        first: json.dumps(facts | {"id": first, "action": "explode"}).encode(),
        second: json.dumps(facts | {"id": second, "args": {"beta": 1}}).encode(),
    }
    for name, content in bad.items():
        (run.control_dir / f"{name}.json").write_bytes(content)
    (run.control_dir / "folder.json").mkdir()
    (run.control_dir / ".half.json.1.tmp").write_bytes(b"{")
    mailbox = read_mailbox(run)
    assert mailbox.requests == (good,)
    assert {path.stem for path in mailbox.unreadable} == {*bad, "folder"}
    assert pending(run) == [good]
