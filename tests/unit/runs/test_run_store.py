"""Runs are made whole and found by what a user types."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vtk.errors import ConfigError, DataError
from vtk.runs.provenance import git_facts
from vtk.runs.store import (
    RunPaths,
    create_run,
    list_runs,
    newest_run,
    num_steps_of,
    read_json,
    resolve_run,
    write_json_atomic,
)

NewRun = Callable[..., RunPaths]


def set_created(run: RunPaths, when: float) -> None:
    write_json_atomic(run.run_json, read_json(run.run_json) | {"created": when})


def test_a_new_run_says_what_it_is(new_run: NewRun) -> None:
    run = new_run()
    facts, config = read_json(run.run_json), read_json(run.config_json)
    assert facts["id"] == run.run_id
    assert facts["stage"] == "cdpo"
    assert facts["argv"] == ["vtk", "train-cdpo", "--seed", "3"]
    assert facts["packages"]["videothinker-toolkit"]
    assert facts["machine"]["num_cpus"] == os.cpu_count()
    assert facts["machine"]["memory_bytes"] > 2**20
    assert set(facts["git"]) == {"commit", "dirty", "absent_reason"}
    assert config["config"]["seed"] == 3
    assert config["provenance"]["seed"] == "command line"
    assert num_steps_of(config) == 100


def test_extra_facts_are_kept_and_machine_facts_merged(tmp_path: Path) -> None:
    extra = {"reference": "runs/bias", "machine": {"gpus": ["H100"]}}
    facts = read_json(create_run(tmp_path, "cdpo", extra=extra).run_json)
    assert facts["reference"] == "runs/bias"
    assert facts["machine"]["gpus"] == ["H100"]
    assert facts["machine"]["num_cpus"] == os.cpu_count()


def test_runs_of_the_same_second_get_different_directories(tmp_path: Path) -> None:
    names = {create_run(tmp_path, "bias").run_id for _ in range(4)}
    assert len(names) == 4


def test_a_name_is_never_given_twice(new_run: NewRun) -> None:
    new_run("mine")
    with pytest.raises(ConfigError, match="exists already") as caught:
        new_run("mine")
    assert "--name" in (caught.value.hint or "")


@pytest.mark.parametrize(("stage", "says"), [("cdpo", True), ("eval", False)])
def test_the_way_to_go_on_with_a_run_is_its_command(tmp_path: Path, stage: str, says: bool) -> None:
    run = create_run(tmp_path, stage, "mine")
    with pytest.raises(ConfigError) as caught:
        create_run(tmp_path, stage, "mine")
    assert (f"vtk train-{stage} --resume {run.root}" in (caught.value.hint or "")) == says


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "a b", "", "x" * 101, "\x1b[2J"])
def test_a_name_that_is_no_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create_run(tmp_path, "bias", name)
    assert "\x1b" not in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_runs_dir_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(ConfigError, match="is no folder") as caught:
        create_run(tmp_path / "runs", "bias", "mine")
    assert "--runs-dir" in (caught.value.hint or "")


def test_the_newest_run_is_the_one_created_last(new_run: NewRun) -> None:
    first, second, third = new_run("z"), new_run("a"), new_run("m")
    for when, run in enumerate((first, third, second)):
        set_created(run, 1000.0 + when)
    runs_dir = first.root.parent
    assert [run.run_id for run in list_runs(runs_dir)] == ["a", "m", "z"]
    newest = newest_run(runs_dir)
    assert newest == second
    assert resolve_run(runs_dir, None) == second


def test_folders_that_are_no_runs_are_not_listed(new_run: NewRun) -> None:
    run = new_run()
    (run.root.parent / "notes").mkdir()
    (run.root.parent / "file").write_text("")
    assert list_runs(run.root.parent) == [run]


def test_a_run_with_a_damaged_run_json_is_still_listed(new_run: NewRun) -> None:
    run, other = new_run("good"), new_run("bad")
    other.run_json.write_text("{")
    assert set(list_runs(run.root.parent)) == {run, other}


def test_no_runs_at_all(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "runs") == []
    assert newest_run(tmp_path / "runs") is None
    with pytest.raises(DataError, match="there is no run in") as caught:
        resolve_run(tmp_path / "runs", None)
    assert "vtk demo" in str(caught.value.hint)


def test_a_run_is_found_by_id_prefix_and_path(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run("cdpo-one")
    longer = new_run("cdpo-one-more")
    runs_dir = run.root.parent
    assert resolve_run(runs_dir, "cdpo-one") == run, "a whole id wins over a prefix"
    assert resolve_run(runs_dir, "cdpo-one-") == longer
    assert resolve_run(runs_dir, str(run.root)) == run
    monkeypatch.chdir(run.root)
    assert resolve_run(Path("nowhere"), ".").run_id == "cdpo-one"


def test_an_ambiguous_prefix_names_what_it_could_be(new_run: NewRun) -> None:
    runs_dir = new_run("cdpo-1").root.parent
    new_run("cdpo-2")
    with pytest.raises(DataError, match="beginning of 2 runs: cdpo-2, cdpo-1"):
        resolve_run(runs_dir, "cdpo")


def test_an_unknown_run_brings_a_suggestion(new_run: NewRun) -> None:
    runs_dir = new_run("cdpo-20260101").root.parent
    with pytest.raises(DataError) as caught:
        resolve_run(runs_dir, "cpdo-20260101")
    assert caught.value.hint == "Did you mean cdpo-20260101?"
    with pytest.raises(DataError) as caught:
        resolve_run(runs_dir, "")
    assert caught.value.exit_code == 4


def test_a_suite_cannot_leave_its_run(tmp_path: Path) -> None:
    run = RunPaths(tmp_path)
    assert run.eval_dir("clevrer-mini") == tmp_path / "eval" / "clevrer-mini"
    with pytest.raises(ConfigError):
        run.eval_dir("../../etc")


def test_git_facts_are_of_the_code_and_of_nothing_else(tmp_path: Path) -> None:
    assert git_facts(tmp_path)["commit"] is None
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert git_facts(tmp_path) == {
        "commit": None,
        "dirty": None,
        "absent_reason": "git could not read the checkout",
    }
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(
        [*git, "commit", "-q", "--allow-empty", "-m", "first"],
        check=True,
    )
    facts = git_facts(tmp_path)
    assert len(facts["commit"]) == 40
    assert facts["dirty"] is False
    (tmp_path / "site-packages").mkdir()
    assert git_facts(tmp_path / "site-packages")["commit"] is None, "another project's commit"
    assert git_facts(tmp_path)["dirty"] is False, "an empty folder is no change"
    (tmp_path / "new.py").write_text("")
    assert git_facts(tmp_path)["dirty"] is True


def test_run_json_is_plain_json(new_run: NewRun) -> None:
    assert json.loads(new_run().run_json.read_text())["stage"] == "cdpo"
