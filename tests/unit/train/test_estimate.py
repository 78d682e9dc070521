"""Counted needs of a run against what the real model holds, and against what runs took."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vtk.bench.floor import shape_of, sizes_of
from vtk.bench.memory import saved_bytes
from vtk.bench.step import StepSettings, build_engines, where
from vtk.bench.workload import WORKLOADS
from vtk.config.loading import load_config
from vtk.config.schema import VtkConfig
from vtk.config.sections import ModelSettings
from vtk.errors import DataError
from vtk.models.loader import load_policy
from vtk.models.tiny import tiny_model_dir
from vtk.runs.store import RunPaths, create_run
from vtk.runs.writer import EventWriter
from vtk.train.activations import activation_bytes
from vtk.train.estimate import Estimate, estimate
from vtk.train.inputs import TrainingInputs
from vtk.train.measured import ESTIMATE_KEY, best_estimate, measure
from vtk.train.model_sizes import HUB_MODELS, read_sizes
from vtk.train.needs import TEXT_TOKENS

TINY = str(tiny_model_dir())
HUB = "Qwen/Qwen2.5-VL-3B-Instruct"


def _config(stage: str = "cdpo", **settings: Any) -> VtkConfig:
    given = {key.replace("__", "."): value for key, value in settings.items()}
    named = {"model.path": "tiny", "data.dataset": "clevrer-mini", "reference.path": "self"}
    return load_config(stage, None, None, named | given, environ={}).config


def _inputs(model: str = TINY, reference: str | None = "bias") -> TrainingInputs:
    return TrainingInputs(model, reference, "train.jsonl", "", None, "clevrer-mini")


def _needs(model: str = TINY, reference: str | None = "bias", **settings: Any) -> Estimate:
    needs = estimate(_config(**settings), _inputs(model, reference))
    assert needs is not None
    return needs


def test_sizes_are_read_without_loading() -> None:
    model, _ = load_policy(tiny_model_dir(), ModelSettings())
    sizes = read_sizes(TINY)
    assert sizes == sizes_of(model)
    projections = {
        name: tuple(parameter.shape)
        for name, parameter in model.model.language_model.named_parameters()
        if name.endswith("_proj.weight")
    }
    named = sorted({name.split(".")[-2] for name in projections})
    assert sizes is not None
    assert sorted(sizes.adapted_shapes(named)) == sorted(projections.values())


@pytest.mark.parametrize("is_tower_trained", [False, True])
def test_what_autograd_keeps_is_counted_to_a_tenth(is_tower_trained: bool) -> None:
    settings = StepSettings("tiny", ("shared",), is_tower_trained)
    model = build_engines(settings, *where(settings))["shared"].model
    sizes = sizes_of(model)
    counted = activation_bytes(
        sizes,
        shape_of(WORKLOADS["tiny"], sizes),
        4,
        is_tower_trained=is_tower_trained,
        is_checkpointed=False,
    )
    assert counted == pytest.approx(saved_bytes(settings, "shared"), rel=0.1)


def test_memory_follows_from_what_is_trained() -> None:
    settings = {"model__dtype": "float32"}
    whole, frozen = _needs(**settings), _needs(model__freeze_vision=True, **settings)
    sizes = read_sizes(TINY)
    assert sizes is not None
    assert whole.num_parameters == whole.num_trained_parameters == sizes.num_parameters
    assert whole.num_trained_parameters - frozen.num_trained_parameters == (
        sizes.num_vision_parameters
    )
    assert whole.memory_gib["weights"] == sizes.num_parameters * 4 / 2**30
    assert whole.memory_gib["reference"] == whole.memory_gib["weights"]
    assert _needs(reference=None, **settings).memory_gib["reference"] == 0
    kept, again = (
        _needs(model__gradient_checkpointing=is_on, **settings).memory_gib["activations"]
        for is_on in (False, True)
    )
    assert again < 0.6 * kept
    assert sum(list(whole.memory_gib.values())[:-1]) == whole.memory_gib["total"]


def test_an_adapter_needs_no_second_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    lora = _needs(reference=str(tmp_path), lora__enabled=True, lora__rank=2)
    shapes = read_sizes(TINY)
    assert shapes is not None
    adapted = shapes.adapted_shapes(_config().lora.target_modules)
    assert lora.num_trained_parameters == sum(2 * (rows + columns) for rows, columns in adapted)
    assert lora.memory_gib["reference"] < lora.memory_gib["weights"]


def test_shards_share_weights_and_optimizer() -> None:
    config = _config(model__sharding="fsdp2")
    alone, shared = (estimate(config, _inputs(), count) for count in (1, 4))
    assert alone is not None
    assert shared is not None
    for kind in ("weights", "gradients", "optimizer", "reference"):
        assert shared.memory_gib[kind] == pytest.approx(alone.memory_gib[kind] / 4)
    assert shared.memory_gib["activations"] == alone.memory_gib["activations"]
    kept = estimate(_config(model__sharding="zero2"), _inputs(), 4)
    assert kept is not None
    assert kept.memory_gib == shared.memory_gib | {
        "weights": alone.memory_gib["weights"],
        "total": kept.memory_gib["total"],
    }


def test_the_reference_engine_computes_each_prompt_again() -> None:
    shared, repeated = _needs(rollout__engine="shared"), _needs(rollout__engine="reference")
    group, tokens = _config().rollout.num_generations, shared.tokens_per_step
    prompts = (repeated.tokens_per_step - tokens) / (group - 1)
    assert prompts > TEXT_TOKENS
    assert repeated.tflop_per_step > shared.tflop_per_step
    assert repeated.memory_gib["activations"] > shared.memory_gib["activations"]


def test_a_model_on_the_hub_is_estimated_from_its_published_sizes() -> None:
    assert _needs(HUB, lora__enabled=True, lora__rank=64).num_trained_parameters == 119_734_272
    frozen = _needs(HUB, model__freeze_vision=True)
    assert frozen.num_trained_parameters == 3_754_622_976 - 668_684_288
    sizes = HUB_MODELS[HUB]
    language = sizes.num_layer_weights + sizes.num_head_weights + sizes.num_vision_parameters
    assert language == pytest.approx(sizes.num_parameters, rel=1e-3)  # all but biases and norms


def test_an_unknown_model_has_no_estimate(tmp_path: Path) -> None:
    assert estimate(_config(), _inputs("somebody/some-model")) is None
    (tmp_path / "config.json").write_text((tiny_model_dir() / "config.json").read_text())
    assert estimate(_config(), _inputs(str(tmp_path))) is None
    (tmp_path / "model.safetensors").write_bytes(b"short")
    with pytest.raises(DataError, match="damaged"):
        estimate(_config(), _inputs(str(tmp_path)))


def _earlier_run(runs_dir: Path, name: str, needs: Estimate, seconds: list[float]) -> RunPaths:
    paths = create_run(runs_dir, "cdpo", name, extra={ESTIMATE_KEY: needs.as_json()})
    with EventWriter(paths) as events:
        for step, step_s in enumerate(seconds, start=1):
            events.emit("gpu", devices=[], absent_reason="none", process_memory_gib=1.0 + step)
            events.step(step, {"perf/step_s": step_s})
        events.finish("finished")
    return paths


def test_an_earlier_run_corrects_the_next_estimate(tmp_path: Path) -> None:
    config, needs = _config(), _needs()
    assert best_estimate(config, _inputs(), tmp_path) == needs
    took = 3 * needs.counted_step_s
    paths = _earlier_run(tmp_path, "good", needs, [took, 9 * took, took])
    _earlier_run(tmp_path, "short", needs, [1e9, 1e9])
    _earlier_run(tmp_path, "elsewhere", replace(needs, machine="another"), [1e9] * 3)
    _earlier_run(tmp_path, "larger", replace(needs, num_parameters=7), [1e9] * 3)
    damaged = create_run(tmp_path, "cdpo", "damaged")
    damaged.run_json.write_text("{")
    found = best_estimate(config, _inputs(), tmp_path)
    assert found is not None
    assert found.step_s == pytest.approx(took)
    assert found.run_s == pytest.approx(took * config.optim.num_steps)
    assert found.counted_step_s == needs.counted_step_s
    assert "good" in found.assumed
    measured = measure(paths)
    assert measured is not None
    assert (measured.step_s, measured.num_steps, measured.memory_gib) == (took, 3, 4.0)
    assert json.loads(json.dumps(found.as_json()))["step_s"] == found.step_s


def test_a_run_without_steps_measured_nothing(tmp_path: Path) -> None:
    assert measure(create_run(tmp_path, "cdpo", "new")) is None
