"""What a run is made from is found and pinned before anything starts, or refused at once."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.split_files import write_manifest
from vtk.config.loading import load_config
from vtk.errors import ConfigError, DataError
from vtk.launch import create_training_run
from vtk.runs.files import read_json
from vtk.runs.store import RunPaths, create_run
from vtk.train.inputs import TrainingInputs, pin_inputs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set's split files, a base model and a finished bias run."""
    split = tmp_path / "data" / "clevrer-mini" / "split"
    split.mkdir(parents=True)
    for part in ("train", "bias", "validation"):
        row = {"problem": f"{part}?\nA. x\nB. y", "solution": "A", "video": "v.mp4"}
        (split / f"{part}.jsonl").write_text(json.dumps(row) + "\n")
    write_manifest(split)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}")
    bias = create_run(tmp_path / "runs", "bias", "bias-1")
    for step in (2, 10):
        bias.checkpoint_dir(step).mkdir(parents=True)
        (bias.checkpoint_dir(step) / "config.json").write_text("{}")
        (bias.checkpoint_dir(step) / "manifest.json").write_text("{}")
    return tmp_path


def _resolved(folder: Path, stage: str, **settings: Any) -> Any:
    given = {key.replace("__", "."): value for key, value in settings.items()}
    overrides = {"model.path": str(folder / "base"), "data.dataset": "clevrer-mini"} | given
    return load_config(stage, None, None, overrides, environ={})


def _pin(folder: Path, stage: str, **settings: Any) -> TrainingInputs:
    config = _resolved(folder, stage, **settings).config
    return pin_inputs(config, folder / "data", folder / "runs")


@pytest.mark.parametrize(("stage", "part"), [("bias", "bias"), ("grpo", "train")])
def test_each_stage_has_its_questions(folder: Path, stage: str, part: str) -> None:
    inputs = _pin(folder, stage)
    split = folder / "data" / "clevrer-mini" / "split"
    assert inputs.train == str(split / f"{part}.jsonl")
    assert inputs.validation == str(split / "validation.jsonl")
    assert inputs.suite == "clevrer-mini"


def test_a_run_is_pinned_to_its_newest_checkpoint(folder: Path) -> None:
    inputs = _pin(folder, "cdpo", reference__path="bias-1")
    assert inputs.reference == str(RunPaths(folder / "runs" / "bias-1").checkpoint_dir(10))
    assert _pin(folder, "cdpo", reference__path="self").reference == "self"


def test_the_policy_is_no_reference(folder: Path) -> None:
    (folder / "alias").symlink_to(folder / "base")
    with pytest.raises(ConfigError, match="same model"):
        _pin(folder, "cdpo", reference__path=str(folder / "alias"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reference__path": "bias-9"}, "bias-9"),
        ({"reference__path": "/nowhere/model"}, "/nowhere/model"),
        ({"reference__path": "self", "data__train": "/nowhere.jsonl"}, "/nowhere.jsonl"),
        ({"reference__path": "self", "data__dataset": "clevrer"}, "clevrer"),
    ],
)
def test_what_is_not_there_is_named(folder: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        _pin(folder, "cdpo", **settings)


def test_evaluation_needs_questions(folder: Path) -> None:
    named = {
        "data__dataset": "none",
        "data__train": str(folder / "data" / "clevrer-mini" / "split" / "train.jsonl"),
    }
    with pytest.raises(ConfigError, match="held-out"):
        _pin(folder, "grpo", eval__every_steps=5, **named)
    assert _pin(folder, "grpo", **named).validation is None


def test_no_adapter_is_trained_on_another(folder: Path) -> None:
    (folder / "base" / "adapter_config.json").write_text("{}")
    _pin(folder, "grpo")
    with pytest.raises(ConfigError, match="on top of another"):
        _pin(folder, "grpo", lora__enabled=True)


def test_a_run_remembers_its_inputs(folder: Path) -> None:
    resolved = _resolved(folder, "cdpo", reference__path="bias-1")
    paths = create_training_run(
        resolved, data_dir=folder / "data", runs_dir=folder / "runs", argv=["vtk", "train-cdpo"]
    )
    run_json = read_json(paths.run_json)
    assert TrainingInputs.from_run(run_json) == _pin(folder, "cdpo", reference__path="bias-1")
    assert run_json["argv"] == ["vtk", "train-cdpo"]
    with pytest.raises(DataError, match="inputs"):
        TrainingInputs.from_run({"id": "x"})


def test_replaced_questions_are_refused_in_every_attempt(folder: Path) -> None:
    inputs = _pin(folder, "grpo")
    inputs.refuse_other_data()
    train = Path(inputs.train)
    train.write_text(train.read_text().replace("train?", "other?"))
    with pytest.raises(DataError, match="not those that the run was made with"):
        inputs.refuse_other_data()
    train.unlink()
    with pytest.raises(DataError, match="no data file"):
        inputs.refuse_other_data()
