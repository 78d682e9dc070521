"""Every alert that a run can have is known here: what it watches, what it means, what to do."""

import ast
from pathlib import Path

import pytest
from textual.pilot import Pilot

import tui
import vtk
from tests.tui.conftest import Drive, NewRun, shown, write_steps
from tui.advice import RULES, command_for
from tui.app import DashboardApp
from tui.evidence import baseline_sentence
from tui.source import LiveSource
from tui.watch import watched_alerts
from vtk.config.sections import GuardSettings
from vtk.runs.events import METRICS
from vtk.runs.snapshot import Alert
from vtk.runs.writer import EventWriter


def rules_in(folder: Path) -> set[str]:
    """The rules of all alerts that code makes, as calls of `Alert` or payloads of an event."""
    found = set[str]()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Alert", "_alert"):
                found |= {each for each in map(_literal, node.args[:2]) if each.isidentifier()}
            elif isinstance(node, ast.Dict):
                pairs = zip(node.keys, node.values, strict=True)
                found |= {_literal(value) for key, value in pairs if _literal(key) == "rule"} - {""}
    return found


def _literal(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def test_every_rule_of_the_engine_and_of_the_dashboard_has_its_advice() -> None:
    ours = rules_in(Path(tui.__path__[0]))
    engine = rules_in(Path(vtk.__path__[0]))
    assert {"nonfinite", "out_of_memory", "save_failed", "pixel_cache", "late_process"} <= engine
    assert {"kl_return", "memory_creep", "silent", "lost"} <= ours
    not_limits = {"on_breach", "window_steps", "max_nonfinite_steps"}
    limits = set(GuardSettings.model_fields) - not_limits
    assert "kl_budget_step" in limits
    assert sorted(ours | engine | limits) == sorted(RULES)
    for rule, advice in RULES.items():
        assert advice.metric is None or advice.metric in METRICS, rule


@pytest.mark.parametrize(
    ("rule", "is_compared"),
    [("grad_norm_max", True), ("grad_spike_ratio", False), ("out_of_memory", False)],
)
def test_a_value_is_compared_with_the_steps_before_in_its_own_unit_only(
    new_run: NewRun, runs_dir: Path, rule: str, is_compared: bool
) -> None:
    with EventWriter(new_run()) as writer:
        more = {"optim/grad_norm": 0.5, "gpu/peak_memory_gib": 20.0}
        write_steps(writer, 1, 30, **more)
    alert = Alert(25, rule, "", 8.0, 4.0, 0.0, 1)
    sentence = baseline_sentence(alert, LiveSource(runs_dir).look().state)
    assert sentence.startswith("value 8, threshold 4")
    assert ("in the 20 steps before: median" in sentence) == is_compared


@pytest.mark.parametrize(
    ("stage", "command"),
    [
        ("grpo", "vtk train-grpo --resume {run}"),
        ("eval", "repeat its vtk eval command, which goes on; vtk runs show {run}"),
        ("future", "vtk runs show {run}"),
    ],
)
def test_a_lost_run_goes_on_by_a_command_that_there_is(
    new_run: NewRun, runs_dir: Path, stage: str, command: str
) -> None:
    with EventWriter(new_run(stage=stage)) as writer:
        writer.step(1, {"reward/mean": 1.0})
    snapshot = LiveSource(runs_dir).look()
    (alert,) = watched_alerts(snapshot)
    assert command_for(alert, snapshot) == command.format(run=runs_dir / "mine")


def test_an_alert_without_a_metric_or_figures_is_shown_with_its_words(
    drive: Drive, new_run: NewRun
) -> None:
    with EventWriter(new_run()) as writer:
        write_steps(writer, 1, 3)
        notice = "decoded clips are no longer kept in /cache: No space left on device"
        writer.emit(
            "alert", step=None, rule="pixel_cache", message=notice, value=None, threshold=None
        )

        async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
            await pilot.press("5")
            text = await shown(app, pilot, "each is decoded anew")
            assert "free some space in the folder that vtk data cache names" in text
            assert "value" not in text
            assert not app.screen.query_one("#evidence-chart").display

        drive(look, size=(140, 40))
