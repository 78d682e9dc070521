"""Real run directories, written by the real writer, and the dashboard on a terminal of any size."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tui.app import DashboardApp
from tui.recording import demo_run
from tui.replay import ReplaySource
from tui.source import LiveSource, Source
from vtk.runs.store import RunPaths, create_run
from vtk.runs.writer import EventWriter

NewRun = Callable[..., RunPaths]
Drive = Callable[..., None]
PATIENCE_S = 20.0


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """Where the test's runs lie."""
    return tmp_path / "runs"


@pytest.fixture
def new_run(runs_dir: Path) -> NewRun:
    """Makes a run directory as a training command does."""

    def make(name: str = "mine", *, stage: str = "cdpo", num_steps: int = 100) -> RunPaths:
        config = {
            "optim": {"num_steps": num_steps},
            "objective": {"beta": -0.05},
            "model": {"path": "tiny"},
            "reference": {"path": "bias"},
        }
        return create_run(runs_dir, stage, name, argv=["vtk"], config=config)

    return make


@pytest.fixture
def recording(tmp_path: Path) -> RunPaths:
    """The run that ships with the package, in a folder that a test may damage."""
    copy = tmp_path / "runs" / "cdpo-demo"
    shutil.copytree(demo_run().root, copy)
    return RunPaths(copy)


def metrics_at(step: int) -> dict[str, float]:
    """A step of a run that learns."""
    return {
        "reward/mean": 1.0 + step / 100,
        "reward/accuracy": 0.5 + step / 200,
        "reward/format": 0.9,
        "kl/signed": step / 400,
        "acc/observational": 0.75,
        "acc/observational_n": 12.0,
        "acc/inferential": 0.25,
        "acc/inferential_n": 4.0,
        "perf/step_s": 1.5,
        "perf/tokens_per_s": 300.0,
    }


def write_steps(writer: EventWriter, first: int, last: int, **more: Any) -> None:
    """Write steps as the trainer does."""
    for step in range(first, last + 1):
        writer.step(step, metrics_at(step) | more)


def gpu_event(used_gib: float = 11.0) -> Mapping[str, Any]:
    """What one GPU reports."""
    device = {
        "index": 0,
        "name": "NVIDIA A100",
        "memory_used_gib": used_gib,
        "memory_total_gib": 80.0,
        "utilization_pct": 97.0,
        "power_w": 350.0,
        "temperature_c": 61.0,
    }
    return {"devices": [device], "absent_reason": None, "process_memory_gib": 4.0}


@pytest.fixture
def drive(runs_dir: Path, tmp_path: Path) -> Drive:
    """Opens the dashboard and hands it to an asynchronous function that uses it.

    Call it with the function and, by name, `source` (the newest run), `size` and settings of the
    app.
    """

    def run(
        use: Callable[[DashboardApp, Pilot[None]], Awaitable[None]],
        *,
        source: Source | None = None,
        size: tuple[int, int] = (100, 32),
        **settings: Any,
    ) -> None:
        async def opened() -> None:
            app = DashboardApp(
                source or LiveSource(runs_dir),
                runs_dir,
                fps=20,
                export_dir=tmp_path / "exported",
                **settings,
            )
            async with app.run_test(size=size, notifications=True) as pilot:
                await until(pilot, lambda: app.snapshot.now > 0 and not app.snapshot.is_reading)
                await use(app, pilot)

        asyncio.run(opened())

    return run


def held(paths: RunPaths, at_share: float = 1.0) -> ReplaySource:
    """A replay that stands still: the same picture at any time of day."""
    return ReplaySource(paths, at_share=at_share, is_playing=False)


async def until(pilot: Pilot[None], is_so: Callable[[], bool]) -> None:
    """Let the app work until something is so."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE_S
    while not is_so():
        assert loop.time() < end, "it never came to be"
        await pilot.pause(0.02)
    await pilot.pause()


async def shown(app: DashboardApp, pilot: Pilot[None], text: str) -> str:
    """The screen's text, once `text` is on it."""
    await until(pilot, lambda: text in app.screen_text())
    return app.screen_text()


async def settled(app: DashboardApp, pilot: Pilot[None]) -> str:
    """The screen's text, once two looks at it are the same."""
    before, now = "", app.screen_text()
    while now != before:
        await pilot.pause(0.1)
        before, now = now, app.screen_text()
    return now


def is_updating() -> bool:
    """Whether pictures are to be written anew instead of compared."""
    return bool(os.environ.get("UPDATE_SNAPSHOTS"))
