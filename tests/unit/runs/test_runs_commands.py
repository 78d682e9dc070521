"""`vtk runs …` and `vtk dashboard` as a user and a script meet them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vtk.cli.app import main
from vtk.runs.control import pending
from vtk.runs.events import METRICS
from vtk.runs.store import RunPaths, create_run
from vtk.runs.writer import EventWriter

NewRun = Callable[..., RunPaths]
Cli = Callable[..., tuple[int, str, str]]
VTK = [sys.executable, "-m", "vtk"]


@pytest.fixture
def vtk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs one command on the test's own runs; returns exit code, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--runs-dir", str(tmp_path / "runs")])
        return code, *capsys.readouterr()

    return call


def finished(run: RunPaths) -> RunPaths:
    with EventWriter(run) as writer:
        writer.step(9, {"reward/mean": 0.625, "kl/signed": float("nan")})
        folder = run.checkpoint_dir(9)
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        writer.emit("checkpoint_saved", step=9, path="checkpoints/step_000009")
        writer.emit("checkpoint_saved", step=5, path="checkpoints/step_000005")
        writer.finish("finished")
    return run


def test_list_without_runs(vtk: Cli) -> None:
    code, out, err = vtk("runs", "list")
    assert (code, "There are no runs in" in out) == (0, True)
    assert "vtk demo" in err
    assert json.loads(vtk("runs", "list", "--json")[1]) == []


def test_list_shows_runs_newest_first(vtk: Cli, new_run: NewRun) -> None:
    finished(new_run("old"))
    new_run("new", num_steps=None)
    code, out, _ = vtk("runs", "list")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == ["run", "stage", "status", "step", "reward", "signed", "KL", "age"]
    assert lines[1].split()[:4] == ["new", "cdpo", "created", "0"]
    assert lines[2].split()[:6] == ["old", "cdpo", "finished", "9/100", "0.625", "nan"]


def test_list_as_json(vtk: Cli, new_run: NewRun) -> None:
    run = finished(new_run("old"))
    code, out, _ = vtk("runs", "list", "--json")
    (item,) = json.loads(out)
    assert code == 0
    assert (item["run_id"], item["status"], item["step"]) == ("old", "finished", 9)
    assert (item["num_steps"], item["reward"], item["signed_kl"]) == (100, 0.625, "NaN")
    assert item["path"] == str(run.root)
    assert 0 <= item["age_s"] < 600


def test_show_tells_settings_and_checkpoints(vtk: Cli, new_run: NewRun) -> None:
    finished(new_run("old"))
    code, out, _ = vtk("runs", "show", "ol")
    assert code == 0
    assert "$ vtk train-cdpo --seed 3" in out
    assert "seed" in out
    assert "command line" in out
    assert "optim.num_steps" not in out, "a default is not a difference"
    states = {line.split()[0]: line.split()[2] for line in out.splitlines()[-2:]}
    assert states == {"5": "missing", "9": "complete"}


def test_an_evaluation_has_no_steps_to_show(vtk: Cli, tmp_path: Path) -> None:
    create_run(tmp_path / "runs", "eval", "asked", config={"optim": {"num_steps": 120}})
    assert vtk("runs", "list")[1].splitlines()[1].split()[:4] == ["asked", "eval", "created", "–"]


def test_what_the_run_was_told_not_to_keep_is_not_missing(vtk: Cli, tmp_path: Path) -> None:
    run = create_run(tmp_path / "runs", "cdpo", "kept", config={"checkpoint": {"keep": 1}})
    document = json.loads(vtk("runs", "show", finished(run).run_id, "--json")[1])
    assert [c["state"] for c in document["checkpoints"]] == ["not kept", "complete"]


def test_the_next_command_finds_the_same_runs(
    vtk: Cli, new_run: NewRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_run("mine")
    runs_dir = str(tmp_path / "runs")
    assert f"Next: vtk dashboard mine --runs-dir {runs_dir}\n" in vtk("runs", "list")[2]
    monkeypatch.setenv("VTK_RUNS_DIR", runs_dir)
    assert "Next: vtk dashboard mine\n" in vtk("runs", "list")[2]


def test_show_as_json(vtk: Cli, new_run: NewRun) -> None:
    finished(new_run("old"))
    document = json.loads(vtk("runs", "show", "--json")[1])
    assert document["changes"] == {"seed": {"value": 3, "from": "command line"}}
    assert [c["state"] for c in document["checkpoints"]] == ["missing", "complete"]
    assert document["run"]["stage"] == "cdpo"
    assert document["metrics"]["reward/mean"]["value"] == 0.625


def test_show_of_a_damaged_run(vtk: Cli, new_run: NewRun) -> None:
    run = finished(new_run("old"))
    run.run_json.write_bytes(b"\x00")
    run.config_json.unlink()
    code, out, _ = vtk("runs", "show", "old")
    assert code == 0
    assert "run.json is damaged" in out
    assert "config.json: No such file" in out


@pytest.mark.parametrize("command", [("runs", "show"), ("runs", "stop"), ("dashboard",)])
def test_an_unknown_run_is_exit_4_with_a_suggestion(
    vtk: Cli, new_run: NewRun, command: tuple[str, ...]
) -> None:
    new_run("cdpo-20260101")
    code, out, err = vtk(*command, "cdpo-20260110")
    assert (code, out) == (4, "")
    assert "Did you mean cdpo-20260101?" in err


def test_dashboard_without_runs_is_exit_4(vtk: Cli) -> None:
    code, out, err = vtk("dashboard", "--once", "--json")
    assert code == 4
    assert json.loads(out)["error"]["kind"] == "DataError"
    assert "there is no run" in err


def test_stop_asks_a_running_run_once(vtk: Cli, new_run: NewRun) -> None:
    run = new_run("live")
    with EventWriter(run):
        code, out, err = vtk("runs", "stop", "live")
        assert (code, out) == (0, "Asked run live to stop.\n")
        assert "after its current step, saves a checkpoint first, and can be resumed" in err
        assert [asked.action for asked in pending(run)] == ["stop"]
        document = json.loads(vtk("runs", "stop", "live", "--json")[1])
        assert document["was_asked_before"] is True
        assert document["request"]["id"] == pending(run)[0].id
        assert len(pending(run)) == 1


@pytest.mark.parametrize("is_lost", [False, True])
def test_stop_of_a_run_that_does_not_run_is_exit_2(
    vtk: Cli, new_run: NewRun, is_lost: bool
) -> None:
    run = new_run("gone")
    with EventWriter(run) as writer:
        if not is_lost:
            writer.finish("finished")
    code, _, err = vtk("runs", "stop", "gone")
    assert code == 2
    assert f"is not running, it is {'lost' if is_lost else 'finished'}" in err
    assert pending(run) == []


def test_an_evaluation_is_not_asked_to_stop(vtk: Cli, tmp_path: Path) -> None:
    run = create_run(tmp_path / "runs", "eval", "judged", argv=["vtk"], config={})
    with EventWriter(run):
        code, _, err = vtk("runs", "stop", "judged")
        assert code == 2
        assert "is an evaluation" in err
        assert "Ctrl-C" in err
        assert pending(run) == []


def test_one_unreadable_run_hides_no_other(vtk: Cli, tmp_path: Path, new_run: NewRun) -> None:
    with EventWriter(new_run("good")):
        bad = create_run(tmp_path / "runs", "cdpo", "bad", argv=["vtk"], config={})
        bad.events.mkdir()
        code, out, err = vtk("runs", "list")
        assert code == 0
        assert "good" in out
        assert "run bad cannot be read" in err
        listed = {
            run["run_id"]: run["status"] for run in json.loads(vtk("runs", "list", "--json")[1])
        }
        assert listed == {"good": "running", "bad": "unreadable"}


def test_stop_needs_a_name(vtk: Cli, new_run: NewRun) -> None:
    run = new_run("only")
    assert vtk("runs", "stop")[0] == 2
    assert pending(run) == []


def test_once_shows_the_newest_run(vtk: Cli, new_run: NewRun) -> None:
    finished(new_run("old"))
    new_run("new")
    assert "new  cdpo  created" in vtk("dashboard", "--once")[1]
    assert "old  cdpo  finished" in vtk("dashboard", "old")[1], "no terminal, so once"


def test_what_is_printed_is_of_one_run_and_ascii_where_that_is_wanted(
    vtk: Cli, new_run: NewRun
) -> None:
    for name in ("one", "two"):
        finished(new_run(name))
    code, _, err = vtk("dashboard", "one", "two")
    assert code == 2, "not on a terminal, where it would be one chart of both"
    assert "the facts of one run are printed, and 2 are named" in err
    code, out, _ = vtk("dashboard", "one", "--ascii")
    assert code == 0
    assert out.isascii()
    assert not vtk("dashboard", "one")[1].isascii()
    assert vtk("dashboard", "one", "--port", "8001")[0] == 2


def test_once_as_json_is_one_document_with_every_metric(vtk: Cli, new_run: NewRun) -> None:
    finished(new_run("old"))
    code, out, err = vtk("dashboard", "--once", "--json")
    document: dict[str, Any] = json.loads(out)
    assert (code, err) == (0, "")
    assert document["status"] == "finished"
    assert set(document["metrics"]) == set(METRICS)
    assert document["metrics"]["kl/signed"]["value"] == "NaN"
    assert document["gpu"]["devices"] == []
    assert document["gpu"]["absent_reason"]
    assert (document["alerts"], document["per_type"]) == ([], {})


def test_plain_output_is_ascii_where_only_ascii_fits(new_run: NewRun) -> None:
    run = finished(new_run("old"))
    for command in (["dashboard"], ["runs", "show"], ["runs", "list"]):
        done = subprocess.run(
            [*VTK, *command, "--runs-dir", str(run.root.parent)],
            env=os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "90"},
            capture_output=True,
            check=True,
        )
        assert b"0.625" in done.stdout
        assert done.stdout.isascii()


def test_looking_at_runs_loads_nothing_heavy(new_run: NewRun) -> None:
    run = finished(new_run("old"))
    code = (
        "import sys; from vtk.cli.app import main\n"
        f"for c in (['runs', 'list'], ['runs', 'show'], ['dashboard', '--once']):\n"
        f"    assert main([*c, '--runs-dir', {str(run.root.parent)!r}]) == 0\n"
        "heavy = {'torch', 'transformers', 'trl', 'datasets', 'numpy', 'PIL', 'av', 'textual'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
