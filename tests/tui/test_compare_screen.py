"""Runs side by side: finished, lost, torn, gone, and with names and settings that are hostile."""

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui.driving import Host, drive, shown, until, until_shown
from tests.tui.hostile import HOSTILE_TEXTS, TORN_LINES
from tests.tui.made_runs import plain_steps, write_run
from tui.compare.drawing import Head, drawn
from tui.compare.facts import RunSet, flattened
from tui.compare.pane import ComparePane
from tui.compare.reading import Measured, measured
from tui.compare.table import comparison
from vtk.runs.store import RunPaths
from vtk.runs.writer import EventWriter

WIDE, NARROW = (140, 50), (60, 20)


def two_runs(runs_dir: Path) -> tuple[RunPaths, RunPaths]:
    """A run, and a better one with another seed whose process was killed."""
    base = write_run(runs_dir, "base", plain_steps(4, 1), config={"seed": 1, "lr": 1e-4})
    other = write_run(
        runs_dir,
        "other",
        plain_steps(3, 1),
        config={"seed": 2, "lr": 1e-4},
        metrics=lambda step: {"reward/mean": 1.0, "kl/signed": 0.25, "acc/inferential": step / 4},
        ends_as=None,
    )
    for paths, step, accuracy in ((base, 4, 0.40), (other, 3, 0.60)):
        per_type = {
            "inferential": {
                "n": 400,
                "accuracy": accuracy,
                "ci95": [accuracy - 0.05, accuracy + 0.05],
            },
            "observational": {"n": 9, "accuracy": 0.5, "ci95": [0.2, 0.8]},
        }
        with EventWriter(paths, attempt_resumed_from_step=step) as writer:
            writer.emit("eval_result", step=3, suite="mini", per_type=per_type)
            if paths is base:
                writer.finish("finished")
    return base, other


def test_values_differences_intervals_and_settings(tmp_path: Path) -> None:
    two_runs(tmp_path)
    facts = RunSet(tmp_path).poll(["base", "other"])
    sections = {
        section.title.split(",")[0]: {row.name: row.cells for row in section.rows}
        for section in comparison(facts, "latest", ascii_only=True)
    }
    assert [cell.value for cell in sections["runs"]["status"]] == ["finished", "lost"]
    assert sections["metrics"]["reward/mean"][1].value == "1"
    assert sections["metrics"]["reward/mean"][1].difference == "^ +0.6"
    assert [cell.value for cell in sections["metrics"]["kl/signed (nats/token)"]] == ["–", "0.25"]
    assert sections["metrics"]["acc/inferential"][1].value == "75.0%"
    found = sections["accuracy"]
    better = found["mini inferential"][1]
    assert better.value == "60.0% [55,65] n 400"
    assert (better.difference, better.tone) == ("^ +20.0 ±7.1 pts", "good")
    same = found["mini observational"][1]
    assert (same.difference, same.tone) == ("~ +0.0 ±42.4 pts", "faint")
    assert {
        name: [c.value for c in cells] for name, cells in sections["settings that differ"].items()
    } == {
        "optim.num_steps": ["4", "3"],
        "seed": ["1", "2"],
    }


def test_a_mean_of_the_last_steps_keeps_what_is_no_number(tmp_path: Path) -> None:
    write_run(tmp_path, "one", plain_steps(4, 1))
    write_run(
        tmp_path,
        "nan",
        plain_steps(4, 1),
        metrics=lambda step: {"reward/mean": float("nan") if step == 2 else 1.0},
    )
    one, nan = RunSet(tmp_path).poll(["one", "nan"])
    mean = measured(one.state, "reward/mean", "mean")
    assert mean is not None
    assert mean.value == pytest.approx(0.25)
    assert mean.error == pytest.approx(math.sqrt(0.05 / 3 / 4)), "the sample deviation by root n"
    assert measured(one.state, "reward/mean", "latest") == Measured(0.4)
    broken = measured(nan.state, "reward/mean", "mean")
    assert broken is not None
    assert math.isnan(broken.value)
    assert measured(None, "reward/mean", "mean") is None


def test_a_difference_of_means_within_their_noise_is_not_called_one(tmp_path: Path) -> None:
    noise = [0.1, -0.1]
    shifts = {"base": 0.0, "near": 0.02, "far": 0.2}
    for name, shift in shifts.items():
        write_run(
            tmp_path,
            name,
            plain_steps(60, 0),
            metrics=lambda step, by=shift: {"reward/mean": 1 + by + noise[step % 2]},  # type: ignore[misc]
        )
    facts = RunSet(tmp_path).poll(list(shifts))
    sections = comparison(facts, "mean", ascii_only=False)
    metrics = next(section for section in sections if section.title.startswith("metrics"))
    assert metrics.title == "metrics, mean of the last 50 steps"
    rows = {row.name: row.cells for row in metrics.rows}
    assert [cell.value for cell in rows["of steps"]] == ["11 to 60"] * 3
    near, far = rows["reward/mean"][1:]
    assert (near.difference, near.tone) == ("≈ +0.02", "faint"), "2 standard errors are 0.04"
    assert (far.difference, far.tone) == ("▲ +0.2", "plain")
    assert "twice its standard error" in metrics.note


@pytest.mark.parametrize(("width", "num_runs"), [(55, 2), (75, 3), (89, 3), (89, 6), (170, 3)])
def test_nothing_is_cut_at_any_width(tmp_path: Path, width: int, num_runs: int) -> None:
    two_runs(tmp_path)
    names = ["base", "other", *(f"run-{number}" for number in range(num_runs - 2))]
    for name in names[2:]:
        write_run(tmp_path, name, plain_steps(2, 0), config={"seed": name * 3})
    facts = RunSet(tmp_path).poll(names)
    sections = comparison(facts, "mean", ascii_only=False)
    heads = [Head("●", name) for name in names]
    text = drawn(sections, heads, width).plain
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    flat = " ".join(text.split())
    for section in sections:
        for row in section.rows:
            assert all(word in flat for word in row.name.split())
            for cell in row.cells:
                assert cell.value in flat
                assert cell.difference in flat


def test_the_screen_pins_another_baseline_and_drops_a_run(tmp_path: Path) -> None:
    base, _ = two_runs(tmp_path)

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        await until_shown(pilot, "base (baseline)", "other", "lost", "▲ +0.75", "seed")
        await until_shown(pilot, "metrics, mean of the last 50 steps", "1 to 4", "1 to 3")
        await pilot.press("m")
        await until_shown(pilot, "metrics, latest value", "▲ +0.6")
        runs: Any = host.screen.query_one("#runs")
        runs.highlighted = next(
            line for line in range(2) if runs.get_option_at_index(line).value == "other"
        )
        await pilot.press("b")
        await until_shown(pilot, "other (baseline)", "▼ -")
        runs.focus()
        await pilot.press("space")
        await until(pilot, lambda: "other (baseline)" not in shown(host))
        await until_shown(pilot, "base (baseline)")

    drive(lambda: ComparePane(base), WIDE, scenario)


def test_a_live_run_moves_and_one_that_is_deleted_says_so(tmp_path: Path) -> None:
    base, other = two_runs(tmp_path)

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        await until_shown(pilot, "base (baseline)", "3 of 3")
        pane = host.screen.query_one(ComparePane)
        with EventWriter(other, attempt_resumed_from_step=3) as writer:
            writer.step(4, {"reward/mean": 7.5})
            pane.look()
            await until_shown(pilot, "running", "2.625")
        shutil.rmtree(other.root)
        pane.look()
        await until_shown(pilot, "other: the run is not there any more", "unreadable")

    drive(lambda: ComparePane(base), WIDE, scenario)


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_torn_logs_and_hostile_texts_are_shown_and_drive_nothing(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    config = {f"{name} {text[:40]}": text for name, text in HOSTILE_TEXTS.items()}
    base = write_run(tmp_path, "base", plain_steps(2, 1), config=config)
    torn = write_run(tmp_path, "torn", plain_steps(2, 1), ends_as=None, stage="[/]\x1b[2J")
    with torn.events.open("ab") as log:
        log.write(b"".join(TORN_LINES) + b'{"v":1,"seq":99,"ty')
    bad = write_run(tmp_path, "bad", plain_steps(1, 1))
    bad.config_json.write_bytes(b"\x1b]0;HACKED\x07{")

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        await until_shown(pilot, "base (baseline)")
        box: Any = host.screen.query_one("#table-box")
        seen = ""
        for _ in range(80):
            seen += shown(host)
            if box.scroll_offset.y >= box.max_scroll_y:
                break
            box.scroll_page_down(animate=False)
            await pilot.pause()
        assert not set(seen) & {chr(code) for code in (*range(10), *range(11, 32), 127)}
        assert not set(seen) & {chr(code) for code in range(0x80, 0xA0)}
        assert f"torn: {len(TORN_LINES)} lines of its log could not be read" in seen
        if size == WIDE:
            assert '"<answer>[B]</answer>"' in seen
            assert "bad: " in seen

    drive(lambda: ComparePane(base), size, scenario)


def test_settings_are_flattened_however_deep() -> None:
    deep: dict[str, Any] = {"x": float("nan")}
    for _ in range(20):
        deep = {"a": deep}
    found = flattened({"deep": deep, "list": [1, None], "empty": {}})
    assert found["list"] == "[1, null]"
    assert found["empty"] == "{}"
    assert len(found) == 3
