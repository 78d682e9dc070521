"""Several real processes act as one: requests, the death of one, the lateness of one."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from vtk.errors import Interrupted, VtkError
from vtk.launch import launch
from vtk.runs import control
from vtk.runs.ranks import read_reports
from vtk.runs.state import read_state
from vtk.runs.store import RunPaths
from vtk.system.launchers import Processes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NUM_PROMPTS = 4


def _new_run(bench: Any, **settings: Any) -> RunPaths:
    """A run of two prompts a process and step on two processes."""
    given = {
        "optim__prompts_per_device": NUM_PROMPTS // 2,
        "optim__num_steps": 40,
        "objective__beta": -0.05,
    }
    paths: RunPaths = bench.new_run(
        "cdpo", reference__path=str(bench.world.bias), **given | settings
    )
    return paths


class _Once:
    """Calls a function when an event of a type has been written for a step."""

    def __init__(self, type: str, step: int, act: Callable[[], object]) -> None:
        self.type, self.step, self.act = type, step, act
        self.is_done = False

    def __call__(self, events: Any) -> None:
        is_time = any(e["type"] == self.type and e["step"] >= self.step for e in events)
        if is_time and not self.is_done:
            self.is_done = True
            self.act()


def _launch(paths: RunPaths, *orders: _Once) -> None:
    def on_progress(events: Any, _state: Any) -> None:
        for order in orders:
            order(events)

    launch(paths, Processes(2), on_progress)
    assert all(order.is_done for order in orders)


def test_requests_act_on_the_same_step_everywhere(bench: Any) -> None:
    paths = _new_run(bench)
    with pytest.raises(Interrupted, match="asked"):
        _launch(
            paths,
            _Once("step", 1, lambda: control.request(paths, "set_beta", beta=-0.25)),
            _Once("step", 3, lambda: control.request(paths, "checkpoint")),
            _Once("step", 5, lambda: control.request(paths, "stop")),
        )
    last = read_state(paths).step
    changed, saved, _ = (event["step"] for event in _with_steps(bench, paths, "control"))
    for step in range(1, last + 1):
        beta = -0.25 if step > changed else -0.05
        rows = bench.rows(paths, [step])
        assert len(rows) == NUM_PROMPTS * 4
        for row in rows:  # the first half is made by one process, the second by the other
            assert row["loss_repulsion"] == pytest.approx(beta * row["k3"], rel=1e-5, abs=1e-9)
    assert [e["step"] for e in bench.events(paths, "checkpoint_saved")] == [saved, last]
    assert [(r.rank, r.step, r.end) for r in read_reports(paths)] == [
        (0, last, "Interrupted"),
        (1, last, "Interrupted"),
    ]


def _with_steps(bench: Any, paths: RunPaths, type: str) -> list[dict[str, Any]]:
    """Events of a type, each with the step after which it was written.

    A request is answered before its step is reported.
    """
    events = [e for kind in ("step", type) for e in bench.events(paths, kind)]
    events.sort(key=lambda event: event["seq"])
    found, step = [], 0
    for event in events:
        if event["type"] == "step":
            step = event["step"]
        else:
            found.append(event | {"step": step + 1})
    return found


@pytest.mark.parametrize("victim", [1, pytest.param(0, marks=pytest.mark.thorough)])
def test_a_killed_process_ends_the_others_and_is_named(bench: Any, victim: int) -> None:
    paths = _new_run(bench, optim__num_steps=5, checkpoint__every_steps=1)
    pids: dict[int, int] = {}

    def kill() -> None:
        pids.update({report.rank: report.owner.pid for report in read_reports(paths)})
        os.kill(pids[victim], signal.SIGKILL)

    with pytest.raises(VtkError) as broken:
        _launch(paths, _Once("checkpoint_saved", 2, kill))
    assert broken.value.exit_code == 1
    assert broken.value.message.startswith(f"process {victim} (pid {pids[victim]} on ")
    assert "died while at" in broken.value.message
    assert f"--resume {paths.root}" in str(broken.value.hint)
    assert set(pids) == {0, 1}
    assert [report.owner.state() for report in read_reports(paths)] == ["dead", "dead"]
    assert read_state(paths).status == ("failed" if victim == 1 else "lost")
    launch(paths, Processes(2))
    assert read_state(paths).status == "finished"
    assert sorted(bench.numbers(paths)) == [1, 2, 3, 4, 5]


@pytest.mark.thorough
def test_a_late_process_is_named_and_waited_for(bench: Any) -> None:
    paths = _new_run(bench, optim__num_steps=3)
    stopped: list[int] = []

    def freeze() -> None:
        (report,) = (r for r in read_reports(paths) if r.rank == 1)
        stopped.append(report.owner.pid)
        os.kill(report.owner.pid, signal.SIGSTOP)

    def thaw() -> None:
        os.kill(stopped[0], signal.SIGCONT)

    _launch(paths, _Once("step", 1, freeze), _Once("alert", 0, thaw))
    alerts = bench.events(paths, "alert")
    assert {alert["rule"] for alert in alerts} == {"late_process"}
    assert all(alert["message"].startswith(f"process 1 (pid {stopped[0]}") for alert in alerts)
    assert "has not been heard of" in alerts[0]["message"]
    assert read_state(paths).status == "finished"
