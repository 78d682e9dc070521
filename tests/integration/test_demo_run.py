"""A whole demo with the shipped model, made small; interrupted and continued it finds the same."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from vtk.demo.folder import DemoFolder
from vtk.demo.make import Circumstances, make_demo
from vtk.demo.pipeline import DemoView, num_free_lanes
from vtk.demo.plan import DemoSettings, Step, plan_steps
from vtk.demo.results import MAIN_MODELS, MAIN_PAIRS
from vtk.errors import UserInterrupt
from vtk.runs.files import read_json
from vtk.runs.state import read_state
from vtk.runs.store import RunPaths

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SETTINGS = DemoSettings(
    is_quick=True,
    num_scenes=5,
    num_validation_scenes=4,
    num_bias_steps=3,
    num_policy_steps=2,
    num_draws=1,
    seed=3,
)
NUMBERS = ("models", "strategies", "paired", "reasoning", "phase")


@dataclass
class Diary:
    """What a demo did, by the name of the step."""

    kept: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    commands: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    num_stopped: int = 0


class Watcher:
    """Writes a diary."""

    def __init__(self) -> None:
        self.diary = Diary()

    def kept(self, step: Step, command: str) -> None:
        self.diary.kept.append(step.name)

    def started(self, step: Step, command: str) -> None:
        self.diary.begun.append(step.name)
        self.diary.commands[step.name] = command

    def progressed(self, view: DemoView) -> None:
        assert 0 <= view.num_done <= view.num_steps
        assert view.left_s >= 0

    def ended(self, step: Step, wall_s: float) -> None:
        self.diary.done.append(step.name)

    def stopping(self, num_running: int) -> None:
        self.diary.num_stopped = num_running


def make(out: Path) -> tuple[dict[str, Any], Diary]:
    watcher = Watcher()
    how = Circumstances(out, num_free_lanes(), is_forced=False, watcher=watcher)
    return make_demo(SETTINGS, how), watcher.diary


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoFolder, dict[str, Any], Diary]:
    """A demo that nothing disturbed."""
    out = tmp_path_factory.mktemp("undisturbed") / "demo"
    document, diary = make(out)
    return DemoFolder(out), document, diary


Finished = tuple[DemoFolder, dict[str, Any], Diary]


def test_every_command_ran_once_and_ended_well(finished: Finished) -> None:
    _, document, diary = finished
    names = [step.name for step in plan_steps(SETTINGS)]
    assert sorted(diary.done) == sorted(diary.begun) == sorted(names)
    assert [step["name"] for step in document["steps"]] == names
    assert all(
        step["wall_s"] > 0 and step["command"].startswith("vtk ") for step in document["steps"]
    )


def test_results_are_complete_and_on_disk(finished: Finished) -> None:
    folder, document, _ = finished
    assert read_json(folder.results) == document
    num = document["questions"]["num_held_out"]
    assert num >= SETTINGS.num_validation_scenes
    for name in MAIN_MODELS:
        found = document["models"][name]
        assert found["all"]["n"] == num
        assert found["all"]["num_errors"] == 0
        for kind in ("observational", "inferential", "all"):
            low, high = found[kind]["ci95"]
            assert 0 <= low <= found[kind]["strict"] <= high <= 1
            assert 0 <= found[kind]["per_option"] <= 1
    assert set(document["paired"]) == set(MAIN_PAIRS)
    assert document["seed"] == 3
    assert document["packages"]["torch"]
    assert document["findings"]["verdict"] in ("not tested", "undecided", "contradicted")


def test_the_runs_are_those_of_the_plan(finished: Finished) -> None:
    folder, document, _ = finished
    for name, num_steps in (("bias", 3), ("grpo", 2), ("cdpo", 2)):
        state = read_state(RunPaths(folder.runs_dir / name))
        assert state.status == "finished"
        assert state.step == num_steps
    cdpo = read_json(RunPaths(folder.runs_dir / "cdpo").config_json)["config"]
    assert cdpo["objective"]["beta"] == SETTINGS.beta
    assert cdpo["reference"]["path"] == "bias"
    assert cdpo["seed"] == 3
    assert document["runs"]["base"].startswith("eval-")


def test_the_page_shows_clips_curves_and_the_table(finished: Finished) -> None:
    folder, document, _ = finished
    html = folder.report.read_text(encoding="utf-8")
    page = _Counter()
    page.feed(html)
    assert page.num["section"] == 9
    assert page.num["polyline"] >= 3
    assert html.count("data:image/jpeg;base64,") % 8 == 0
    assert html.count("data:image/jpeg;base64,") >= 8
    assert document["findings"]["headline"] in html


def test_a_finished_demo_is_kept_whole_and_finds_the_same(finished: Finished) -> None:
    folder, document, diary = finished
    again, second = make(folder.root)
    assert second.begun == []
    assert sorted(second.kept) == sorted(diary.done)
    assert {name: again[name] for name in NUMBERS} == {name: document[name] for name in NUMBERS}
    assert again["steps"] == document["steps"]


@pytest.mark.thorough
def test_interrupted_and_continued_it_finds_the_same(finished: Finished, tmp_path: Path) -> None:
    _, undisturbed, _ = finished
    out = tmp_path / "demo"
    interrupted = _interrupt_when(lambda: _num_steps(out, "bias") >= 1)
    with pytest.raises(UserInterrupt, match="interrupted"):
        make(out)
    interrupted.join()
    assert not (out / "results.json").exists()
    assert read_state(RunPaths(out / "runs" / "bias")).status != "finished"
    document, diary = make(out)
    assert {"download", "split"} <= set(diary.kept)
    assert diary.commands["train-bias"] == "vtk train-bias bias --resume"
    assert {name: document[name] for name in NUMBERS} == {
        name: undisturbed[name] for name in NUMBERS
    }


def _num_steps(out: Path, run: str) -> int:
    paths = RunPaths(out / "runs" / run)
    return read_state(paths).step if paths.exists() else 0


def _interrupt_when(condition: Callable[[], bool]) -> threading.Thread:
    """Send this process Ctrl-C once a condition holds."""

    def wait() -> None:
        deadline_s = time.monotonic() + 600
        while not condition() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


class _Counter(HTMLParser):
    """Counts elements by name."""

    def __init__(self) -> None:
        super().__init__()
        self.num: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.num[tag] = self.num.get(tag, 0) + 1
