"""The reference is the model that was named, with and without LoRA, and it stays as it is."""

from pathlib import Path
from typing import Any

import pytest

from vtk.config.sections import LoraSettings, ModelSettings
from vtk.errors import ConfigError
from vtk.models.adapters import attach_policy_adapter, attach_reference_adapter
from vtk.models.loader import load_policy, weights_hash

FLOAT32 = ModelSettings(dtype="float32")
LORA = {"lora__enabled": True, "lora__rank": 4, "lora__alpha": 8.0}


def _models(bench: Any, paths: Any) -> dict[str, Any]:
    """The event that names the models of the latest attempt."""
    named = [event for event in bench.events(paths, "phase") if "policy" in event]
    found: dict[str, Any] = named[-1]
    return found


@pytest.fixture
def bias_adapter(bench: Any) -> Path:
    """The checkpoint of a bias run with LoRA."""
    paths = bench.train("bias", optim__num_steps=2, optim__learning_rate=1e-2, **LORA)
    folder: Path = paths.checkpoint_dir(2)
    return folder


def test_a_whole_model(bench: Any) -> None:
    paths = bench.train("cdpo", optim__num_steps=2, reference__path=str(bench.world.bias))
    models = _models(bench, paths)
    bias, _ = load_policy(bench.world.bias, FLOAT32)
    base, _ = load_policy(bench.world.base, FLOAT32)
    assert models["reference"]["sha256"] == weights_hash(bias)
    assert models["policy"]["sha256"] == weights_hash(base)
    assert models["reference"]["kind"] == "model"
    assert models["objective"].startswith("repels from the bias model")
    numbers = bench.numbers(paths)
    assert numbers[1]["kl/k3"] > 0
    assert numbers[1]["loss/repulsion"] < 0


def test_an_adapter_beside_the_policys(bench: Any, bias_adapter: Path) -> None:
    paths = bench.train("cdpo", optim__num_steps=2, reference__path=str(bias_adapter), **LORA)
    models = _models(bench, paths)
    base, _ = load_policy(bench.world.base, FLOAT32)
    start_sha256 = weights_hash(base)
    settings = LoraSettings(enabled=True, rank=4, alpha=8.0)
    alone = attach_policy_adapter(base, settings)
    attach_reference_adapter(alone, bias_adapter)
    assert models["reference"]["kind"] == "adapter"
    assert models["reference"]["sha256"] == weights_hash(alone, adapter="ref")
    assert models["policy"]["sha256"] == start_sha256
    assert models["policy"]["num_trained_parameters"] < models["policy"]["num_parameters"] / 4
    assert bench.numbers(paths)[1]["kl/k3"] > 0


def test_a_whole_model_for_a_lora_policy(bench: Any) -> None:
    settings = {"optim__num_steps": 1, "reference__path": str(bench.world.bias)}
    whole = bench.train("cdpo", **settings)
    lora = bench.train("cdpo", **settings, **LORA)
    assert _models(bench, lora)["reference"]["kind"] == "model"
    first, second = bench.numbers(whole)[1], bench.numbers(lora)[1]
    assert second["kl/k3"] == pytest.approx(first["kl/k3"], rel=1e-3)


def test_a_lora_run_as_reference_of_a_whole_policy(bench: Any, bias_adapter: Path) -> None:
    paths = bench.train("cdpo", optim__num_steps=1, reference__path=str(bias_adapter))
    unmerged, _ = load_policy(bias_adapter, FLOAT32, merge_adapter=False)
    assert _models(bench, paths)["reference"]["sha256"] == weights_hash(unmerged)
    assert bench.numbers(paths)[1]["kl/k3"] > 0


def test_a_reference_with_a_place_of_its_own(bench: Any, bias_adapter: Path) -> None:
    settings = {"optim__num_steps": 2, "model__freeze_vision": True}
    named = {"reference__path": str(bench.world.bias)}
    beside, elsewhere = (
        bench.train("cdpo", reference__device=device, **settings, **named)
        for device in ("same", "cpu")
    )
    rows = [bench.rows(paths, [1, 2]) for paths in (beside, elsewhere)]
    assert [row["signed_kl"] for row in rows[0]] == [row["signed_kl"] for row in rows[1]]
    assert rows[0]
    own = {"reference__path": str(bias_adapter), "reference__device": "cpu"}
    with pytest.raises(ConfigError, match="the policy's own weights"):
        bench.train("cdpo", optim__num_steps=1, **own, **LORA)


@pytest.mark.gpu
def test_a_reference_in_host_memory_beside_a_policy_on_a_gpu(bench: Any) -> None:
    settings = {"optim__num_steps": 1, "reference__path": str(bench.world.bias)}
    beside, elsewhere = (
        bench.numbers(bench.train("cdpo", reference__device=device, **settings))[1]
        for device in ("same", "cpu")
    )
    assert elsewhere["kl/signed"] == pytest.approx(beside["kl/signed"], rel=1e-3, abs=1e-5)


def test_an_adapter_on_an_adapter_is_refused(bench: Any, bias_adapter: Path) -> None:
    with pytest.raises(ConfigError, match="on top of another"):
        bench.new_run("grpo", model__path=str(bias_adapter), **LORA)
    bench.train("grpo", model__path=str(bias_adapter), optim__num_steps=1)


def test_the_reference_is_the_same_after_training(bench: Any, bias_adapter: Path) -> None:
    """With LoRA both live on one base; the hash of a second run's reference tells."""
    hashes = []
    for seed in (1, 2):
        paths = bench.train(
            "cdpo", seed=seed, optim__num_steps=3, reference__path=str(bias_adapter), **LORA
        )
        hashes.append(_models(bench, paths)["reference"]["sha256"])
        rows = bench.rows(paths, [3])
        assert any(row["signed_kl"] != 0 for row in rows)
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("lora", [{}, LORA], ids=["full", "lora"])
def test_self_repels_from_the_start(bench: Any, lora: dict[str, Any]) -> None:
    paths = bench.train("cdpo", optim__num_steps=3, reference__path="self", **lora)
    numbers = bench.numbers(paths)
    assert numbers[1]["kl/k3"] == pytest.approx(0, abs=1e-6)
    assert numbers[3]["kl/k3"] > numbers[1]["kl/k3"]
    assert _models(bench, paths)["reference"]["path"] == "self"


def test_the_policy_itself_is_refused_by_name(bench: Any, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(bench.world.base)
    with pytest.raises(ConfigError, match="same model"):
        bench.new_run("cdpo", reference__path=str(link))


def test_the_policy_itself_is_refused_by_weights(bench: Any, tmp_path: Path) -> None:
    model, processor = load_policy(bench.world.base, FLOAT32)
    model.save_pretrained(tmp_path / "copy")
    processor.save_pretrained(tmp_path / "copy")
    paths = bench.new_run("cdpo", reference__path=str(tmp_path / "copy"))
    with pytest.raises(ConfigError, match="same weights"):
        bench.attempt(paths)


def test_an_untrained_adapter_is_refused(bench: Any, tmp_path: Path) -> None:
    """Its hash differs from the policy's, its probabilities do not."""
    base, processor = load_policy(bench.world.base, FLOAT32)
    adapter = attach_policy_adapter(base, LoraSettings(enabled=True, rank=4, alpha=8.0))
    adapter.save_pretrained(str(tmp_path / "untrained"), save_embedding_layers=False)
    processor.save_pretrained(tmp_path / "untrained")
    paths = bench.new_run("cdpo", reference__path=str(tmp_path / "untrained"), **LORA)
    with pytest.raises(ConfigError, match="policy's own"):
        bench.attempt(paths)


def test_cdpo_without_reference_is_refused(bench: Any) -> None:
    with pytest.raises(ConfigError) as refused:
        bench.new_run("cdpo")
    assert "train-bias" in str(refused.value.hint)


def test_beta_zero_with_a_reference_is_plain_grpo(bench: Any) -> None:
    """The distance is measured and changes nothing: same samples, same weights, bit for bit."""
    plain = bench.train("grpo", optim__num_steps=3)
    measured = bench.train("grpo", optim__num_steps=3, reference__path=str(bench.world.bias))
    assert bench.model_hash(plain, 3) == bench.model_hash(measured, 3)
    assert "kl/signed" not in bench.numbers(plain)[3]
    assert bench.numbers(measured)[3]["kl/k3"] > 0
    texts = [[row["completion"] for row in bench.rows(p, [1, 2, 3])] for p in (plain, measured)]
    assert texts[0] == texts[1]
