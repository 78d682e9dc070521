"""What a run is made from is found and pinned before anything starts, or refused at once."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vtk.config.loading import load_config
from vtk.errors import ConfigError, DataError
from vtk.launch import create_training_run
from vtk.runs.files import read_json
from vtk.runs.store import RunPaths, create_run
from vtk.train.estimate import TEXT_TOKENS, count_parameters, estimate
from vtk.train.inputs import TrainingInputs, pin_inputs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set's split files, a base model and a finished bias run."""
    split = tmp_path / "data" / "clevrer-mini" / "split"
    split.mkdir(parents=True)
    for part in ("train", "bias", "validation"):
        row = {"problem": f"{part}?\nA. x\nB. y", "solution": "A", "video": "v.mp4"}
        (split / f"{part}.jsonl").write_text(json.dumps(row) + "\n")
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


def _write_weights(path: Path, shapes: dict[str, list[int]]) -> None:
    header = {
        name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
        for name, shape in shapes.items()
    }
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)


def test_the_estimate_counts_what_is_trained(folder: Path) -> None:
    shapes = {"model.visual.x.weight": [10, 10], "model.layers.0.q_proj.weight": [20, 30]}
    _write_weights(folder / "base" / "model.safetensors", shapes)
    bias = folder / "runs" / "bias-1" / "checkpoints" / "step_000010"
    settings = {"reference__path": "bias-1", "model__dtype": "float32"}

    def needs(**more: Any) -> Any:
        config = _resolved(folder, "cdpo", **settings, **more).config
        return estimate(config, pin_inputs(config, folder / "data", folder / "runs"))

    assert count_parameters(str(folder / "base")) == 700
    whole, frozen = needs(), needs(model__freeze_vision=True)
    assert (whole.num_trained_parameters, frozen.num_trained_parameters) == (700, 600)
    assert whole.memory_gib["reference"] == whole.memory_gib["weights"]
    (bias / "adapter_config.json").write_text("{}")
    lora = needs(lora__enabled=True, lora__rank=2)
    assert lora.num_trained_parameters == 2 * (20 + 30)
    assert lora.memory_gib["reference"] < lora.memory_gib["weights"]
    assert whole.run_s == pytest.approx(500 * whole.step_s)
    shared, repeated = needs(rollout__engine="shared"), needs(rollout__engine="reference")
    assert shared.tokens_per_step < repeated.tokens_per_step


def test_a_model_on_the_hub_is_estimated_from_its_published_sizes(folder: Path) -> None:
    def needs(**more: Any) -> Any:
        config = _resolved(folder, "cdpo", reference__path="self", **more).config
        inputs = pin_inputs(config, folder / "data", folder / "runs")
        return estimate(config, replace(inputs, model="Qwen/Qwen2.5-VL-3B-Instruct"))

    lora = needs(lora__enabled=True, lora__rank=64)
    assert lora.num_trained_parameters == 119_734_272  # 36 layers
    frozen = needs(model__freeze_vision=True)
    assert frozen.num_trained_parameters == 3_754_622_976 - 668_684_288


def test_a_clip_has_as_many_tokens_as_the_model_makes_of_it(folder: Path) -> None:
    def tokens(vision: dict[str, int]) -> int:
        (folder / "base" / "config.json").write_text(json.dumps({"vision_config": vision}))
        config = _resolved(folder, "grpo").config
        return estimate(
            config, pin_inputs(config, folder / "data", folder / "runs")
        ).tokens_per_step

    merged, whole = (tokens({"patch_size": 14, "spatial_merge_size": size}) for size in (2, 1))
    assert whole > merged + TEXT_TOKENS


def test_an_unknown_model_has_no_estimate(folder: Path) -> None:
    assert count_parameters("somebody/some-model") is None
    assert count_parameters("Qwen/Qwen2.5-VL-3B-Instruct") == 3_754_622_976
    (folder / "base" / "model.safetensors").write_bytes(b"short")
    with pytest.raises(DataError, match="damaged"):
        count_parameters(str(folder / "base"))
