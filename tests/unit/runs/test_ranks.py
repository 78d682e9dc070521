"""Processes of one run: who is to blame, and who is waited for."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vtk.errors import GuardStop, MemoryExhausted, VtkError
from vtk.runs.lateness import LateWatch, describe_late, late_reports
from vtk.runs.owner import STALE_AFTER_S, Owner
from vtk.runs.ranks import (
    RankReport,
    RankReporter,
    clear_reports,
    fault_of,
    fault_of_peers,
    read_reports,
)
from vtk.runs.store import RunPaths

NOW = 1_000_000.0


def _report(rank: int, step: int = 3, phase: str = "update", **fields: Any) -> RankReport:
    return RankReport(rank, Owner.current(), step, phase, **{"since": NOW, "time": NOW} | fields)


def _dead_owner() -> Owner:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = replace(Owner.current(), pid=process.pid, start_time="0")
    process.communicate()
    return owner


class TestReports:
    def test_what_is_said_is_read(self, tmp_path: Path) -> None:
        paths = RunPaths(tmp_path)
        with RankReporter(paths, 1), RankReporter(paths, 0) as main:
            main.doing(4, "generate", pass_number=2)
            begun = read_reports(paths)
            assert [(r.rank, r.phase, r.end) for r in begun] == [
                (0, "load", None),
                (1, "load", None),
            ]
            assert begun[0].owner == Owner.current()
            assert begun[0].owner.pid == os.getpid()
        ended = read_reports(paths)
        assert [(r.step, r.pass_number, r.phase, r.end) for r in ended] == [
            (4, 2, "generate", "done"),
            (0, 0, "load", "done"),
        ]
        assert read_reports(paths, since=ended[0].time + 60) == []
        clear_reports(paths)
        assert read_reports(paths) == []

    def test_an_error_is_the_end(self, tmp_path: Path) -> None:
        paths = RunPaths(tmp_path)
        with pytest.raises(MemoryExhausted), RankReporter(paths, 1):
            raise MemoryExhausted("no room", "make some")
        (report,) = read_reports(paths)
        assert (report.end, report.message, report.hint) == (
            "MemoryExhausted",
            "no room",
            "make some",
        )
        assert not report.has_died


class TestBlame:
    def test_nobody(self, tmp_path: Path) -> None:
        reports = [_report(0), _report(1, end="done")]
        assert fault_of(RunPaths(tmp_path), reports) is None

    def test_the_first_error_with_its_kind_and_mend(self, tmp_path: Path) -> None:
        reports = [
            _report(0, end="RuntimeError", message="connection closed", time=NOW + 2),
            _report(1, end="GuardStop", message="too far", hint="go back", time=NOW + 1),
        ]
        fault = fault_of(RunPaths(tmp_path), reports)
        assert isinstance(fault, GuardStop)
        assert fault.message.startswith("process 1 (pid")
        assert fault.message.endswith("too far")
        assert fault.hint == "go back"

    def test_an_error_that_is_not_ours(self, tmp_path: Path) -> None:
        fault = fault_of(RunPaths(tmp_path), [_report(1, end="KeyError", message="'x'")])
        assert type(fault) is VtkError
        assert fault.message.endswith("failed: KeyError: 'x'")

    def test_the_killed_before_those_who_lost_it(self, tmp_path: Path) -> None:
        reports = [
            _report(0, end="RuntimeError", message="connection closed"),
            replace(_report(1, step=6, phase="generate"), owner=_dead_owner()),
        ]
        fault = fault_of(RunPaths(tmp_path), reports)
        assert fault is not None
        assert "died while at generate in step 7" in fault.message

    def test_a_process_is_never_its_own_peer(self, tmp_path: Path) -> None:
        paths = RunPaths(tmp_path)
        with pytest.raises(MemoryExhausted), RankReporter(paths, 1):
            raise MemoryExhausted("no room")
        assert fault_of_peers(paths, 1, patience_s=0) is None
        assert isinstance(fault_of_peers(paths, 0, patience_s=0), MemoryExhausted)


class TestLateness:
    def test_nobody_is_late_in_step_with_the_others(self) -> None:
        later = NOW + STALE_AFTER_S + 1
        reports = [_report(0, time=later), _report(1, time=later)]
        assert late_reports(reports, later) == []
        assert late_reports([], later) == []

    @pytest.mark.parametrize(("step", "phase"), [(2, "update"), (3, "decode"), (3, "generate")])
    def test_long_behind_is_late(self, step: int, phase: str) -> None:
        later = NOW + STALE_AFTER_S + 1
        reports = [_report(0, time=later), _report(1, step, phase, time=later)]
        assert [report.rank for report in late_reports(reports, later)] == [1]
        assert late_reports(reports, later - 2) == []
        assert "while the others wait" in describe_late(reports[1], later)

    def test_who_has_just_come_there_has_not_waited(self) -> None:
        later = NOW + STALE_AFTER_S + 5
        behind = _report(1, phase="generate", time=later)
        ahead = _report(0, phase="score", time=later, since=later - 0.5)
        assert late_reports([ahead, behind], later) == []
        also_waits = _report(2, phase="score", time=later)
        assert late_reports([ahead, behind, also_waits], later) == [behind]

    def test_an_earlier_pass_of_the_step_is_behind(self) -> None:
        later = NOW + STALE_AFTER_S + 5
        behind = _report(1, phase="update", time=later, pass_number=1)
        ahead = _report(0, phase="generate", time=later, pass_number=2)
        assert late_reports([ahead, behind], later) == [behind]

    def test_silence_is_late(self) -> None:
        later = NOW + STALE_AFTER_S + 1
        reports = [_report(0, time=later), _report(1)]
        assert [report.rank for report in late_reports(reports, later)] == [1]
        assert "has not been heard of for 31" in describe_late(reports[1], later)

    def test_the_ended_are_not_waited_for(self) -> None:
        later = NOW + STALE_AFTER_S + 1
        assert late_reports([_report(0, time=later), _report(1, end="done")], later) == []

    def test_each_place_is_told_once(self, tmp_path: Path) -> None:
        paths, told = RunPaths(tmp_path), []
        with RankReporter(paths, 0) as main, RankReporter(paths, 1):
            main.doing(1, "update")
            watch = LateWatch(paths, lambda type, **alert: told.append((type, alert)))
            (first, second) = read_reports(paths)
            later = max(first.time, second.time) + STALE_AFTER_S + 1
            watch.look(later)
            watch.look(later + 1)
        assert [(type, alert["rule"]) for type, alert in told] == [("alert", "late_process")] * 2
        assert len({alert["message"].partition(" (")[0] for _, alert in told}) == 2
