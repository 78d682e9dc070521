"""The picture of a run: every fact is there, and text from files stays text."""

import io
import math
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from tui.once import run_view
from vtk.runs.control import request
from vtk.runs.snapshot import RunState
from vtk.runs.state import read_state
from vtk.runs.store import RunPaths, create_run
from vtk.runs.writer import EventWriter

NewRun = Callable[..., RunPaths]
HOSTILE = (
    "\x1b]52;c;ZXZpbA==\x07 [/INST] [red]B[/red] [link=http://x]y[/link] :smile: \u202e\x9b31m"
)


def drawn(state: RunState, width: int = 120, **options: Any) -> str:
    memory = io.StringIO()
    console = Console(file=memory, width=width, force_terminal=False, markup=False, emoji=False)
    console.print(run_view(state, now=2000.0, width=width, **options), soft_wrap=True)
    return memory.getvalue()


@pytest.fixture
def full_state(new_run: NewRun) -> RunState:
    run = new_run("cdpo-full")
    with EventWriter(run) as writer:
        writer.phase("generate")
        for step in range(1, 41):
            loss = math.nan if step == 20 else 1 / step
            writer.step(step, {"loss/total": loss, "reward/mean": step / 40, "kl/signed": -0.5})
        writer.step(41, {"acc/observational": 0.75, "acc/observational_n": 24, "own/metric": 3})
        device = {"index": 0, "name": "NVIDIA H100", "memory_used_gib": 11.53, "power_w": None}
        writer.emit("gpu", devices=[device | {"memory_total_gib": 79.6, "utilization_pct": 93}])
        accuracy = {"n": 80, "accuracy": 0.61, "ci95": [0.5, 0.71]}
        types = {"all": accuracy, "inferential": accuracy, "observational": {"n": 0}}
        writer.emit("eval_result", step=40, suite="clevrer-mini", per_type=types)
        writer.emit("alert", step=39, rule="kl_budget", message="too far", value=12.5, threshold=10)
        writer.emit("checkpoint_saved", step=40, path="checkpoints/step_000040")
        writer.emit("sample_skipped", path="v.mp4", reason="no frames")
        writer.rollouts(41, [{"completion": "x"}])
        writer.emit("control", id="1", action="pause", args={}, who="a@b", result="paused")
        writer.emit("surprise")
        writer.emit("phase", name=None)
        request(run, "stop")
        return read_state(run)


def test_an_evaluation_shows_no_steps_and_no_devices(tmp_path: Path) -> None:
    run = create_run(tmp_path, "eval", "asked", config={"optim": {"num_steps": 120}})
    with EventWriter(run) as writer:
        per_type = {"all": {"n": 80, "accuracy": 0.61, "ci95": [0.5, 0.71]}}
        writer.emit("eval_result", step=None, suite="clevrer-mini", per_type=per_type)
        writer.finish("finished")
    shown = drawn(read_state(run))
    assert "61.0%" in shown
    for word in ("120", "step", "GPU", "metric"):
        assert word not in shown, word


def test_every_fact_is_in_the_picture(full_state: RunState) -> None:
    text = drawn(full_state)
    for fact in [
        "cdpo-full  cdpo  running",
        "step 41 of 100 (41%)",
        "now generate",
        "alerts: 1",
        "step 39  kl_budget  too far (value 12.5, threshold 10)",
        "accuracy (clevrer-mini, step 40)",
        "[50.0%, 71.0%]",
        "GPU 0 NVIDIA H100, 11.5 of 79.6 GiB, 93% busy, – W",
        "75.0% n 24",
        "own/metric",
        "-0.5 nats/token at 40",
        "asked, not yet done: stop by",
        "pause by a@b: paused",
        "checkpoints: 1, newest checkpoints/step_000040",
        "samples skipped: 1, newest v.mp4: no frames",
        "1 lines of the event log could not be read:",
        "phase: name is missing",
        "events of unknown types: surprise (1)",
    ]:
        assert fact in text, fact
    assert "×" in text, "the NaN of step 20"
    order = [text.index(f"\n{name} ") for name in ("observational", "inferential", "all")]
    assert order == sorted(order)


def test_a_run_without_anything_says_so(new_run: NewRun) -> None:
    text = drawn(read_state(new_run()))
    assert "created  no process has written an event yet" in text
    assert "no evaluation yet" in text
    assert "no GPU: the run has not reported its devices yet" in text
    assert "no step has been recorded yet" in text


def test_a_resumed_run_says_from_where(new_run: NewRun) -> None:
    run = new_run()
    for resumed_from in (None, 30):
        with EventWriter(run, resumed_from) as writer:
            writer.step(31, {})
    assert "attempt 2, resumed from step 30" in drawn(read_state(run))


def test_narrow_and_ascii_screens_are_served(full_state: RunState) -> None:
    drawing = drawn(full_state, ascii_only=True)
    assert not set(drawing) & set("▁▂▃▄▅▆▇█×")
    memory = io.StringIO()
    console = Console(file=memory, width=40)
    console.print(run_view(full_state, now=0.0, width=40))
    assert max(map(len, memory.getvalue().splitlines())) <= 40


@pytest.mark.parametrize("text", [HOSTILE, "[/", "x [/INST] y", "[A=http://x", "\ud800"])
def test_text_from_files_stays_text(new_run: NewRun, text: str) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        writer.phase(text)
        writer.step(1, {text: 1.0, f"{text}_n": 2.0})
        per_type = {text: {"n": 1, "accuracy": 1}}
        writer.emit("eval_result", step=1, suite=text, per_type=per_type)
        writer.emit("gpu", devices=[{"index": text, "name": text, "power_w": text}])
        writer.emit("alert", step=1, rule=text, message=text)
        writer.emit("checkpoint_saved", step=1, path=text)
        writer.emit("sample_skipped", path=text, reason=text)
        writer.emit("control", id=text, action=text, args={text: text}, who=text, result=text)
        writer.emit(text or "x")
        writer.emit("step", step=text)
        writer.finish("failed", error_kind=text, message=text)
    state = replace(read_state(run), stage=text, problems=(text,))
    memory = io.StringIO()
    Console(file=memory, width=4000, force_terminal=False).print(
        run_view(state, now=0.0, width=4000)
    )
    shown = memory.getvalue()
    assert all(c == "\n" or unicodedata.category(c) != "Cc" for c in shown)
    assert not set(shown) & set("\u202e\ud800")
    assert text.count("[") * 5 <= shown.count("["), "markup is shown, not obeyed"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(text=st.text(st.characters(), max_size=60), width=st.integers(20, 200))
def test_any_text_at_any_width_can_be_drawn(full_state: RunState, text: str, width: int) -> None:
    state = replace(
        full_state, run_id=text, stage=text, phase=text, problems=(text,), status_reason=text
    )
    assert drawn(state, width)
