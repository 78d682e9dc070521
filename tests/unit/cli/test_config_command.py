"""`vtk config`: what it lists, shows, copies and refuses."""

import json
from pathlib import Path

import pytest

from vtk.cli.app import main
from vtk.config.files import list_presets, preset_path

Captured = pytest.CaptureFixture[str]


def test_ls_lists_every_preset(capsys: Captured) -> None:
    assert main(["config", "ls", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in listed] == list_presets() != []


def test_show_tells_every_value_and_its_source(capsys: Captured) -> None:
    command = ["config", "show", "tiny", "--stage", "bias", "--set", "optim.num_steps=3", "--json"]
    assert main(command) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["objective"] == "plain GRPO, no KL term"
    assert shown["config"]["optim"]["num_steps"] == 3
    assert shown["provenance"]["optim.num_steps"] == "command line"
    assert shown["provenance"]["model.path"] == "preset tiny"


def test_show_reads_well_without_json(capsys: Captured) -> None:
    assert main(["config", "show", "tiny"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "stage cdpo: repels from a bias model still to be named, strength 0.05"
    assert any(line.split()[:2] == ["model.path", "tiny"] for line in lines)


def test_a_copy_is_the_preset_and_validates(tmp_path: Path, capsys: Captured) -> None:
    target = tmp_path / "new" / "my.toml"
    assert main(["config", "cp", "tiny", str(target)]) == 0
    assert target.read_bytes() == preset_path("tiny").read_bytes()
    assert main(["config", "validate", str(target), "--json"]) == 0
    assert main(["config", "cp", "tiny", str(target)]) == 2
    assert main(["config", "cp", "3b-24gb", str(target), "--force"]) == 0
    assert target.read_bytes() == preset_path("3b-24gb").read_bytes()
    assert "exists already" in capsys.readouterr().err


def test_validate_names_the_fault_and_the_line(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[cdpo.objective]\nbetta = -0.01\n", encoding="utf-8")
    assert main(["config", "validate", str(path)]) == 2
    told = capsys.readouterr().err
    assert "my.toml:2" in told
    assert "objective.beta" in told


def test_validate_says_for_which_stages_a_file_is(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[objective]\nbeta = -0.1\n")
    assert main(["config", "validate", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document["stages"]) == {"cdpo"}
    assert set(document["refused"]) == {"bias", "grpo"}
    assert "beta" in document["refused"]["bias"]
    path.write_text("[bias.optim]\nlearning_rate = 'x'\n")
    assert main(["config", "validate", str(path)]) == 2


def test_validate_checks_a_runs_config_for_its_own_stage(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"config": {"stage": "bias", "seed": 3}}), encoding="utf-8")
    assert main(["config", "validate", str(path), "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["stages"]) == ["bias"]


@pytest.mark.parametrize("assignment", ["optim.num_steps", "=3"])
def test_an_assignment_needs_key_and_value(assignment: str, capsys: Captured) -> None:
    assert main(["config", "show", "tiny", "--set", assignment]) == 2
    assert "KEY=VALUE" in capsys.readouterr().err
