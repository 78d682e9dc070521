"""T7: a number that is not finite never reaches the weights, whatever it is born in."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.reliability.bench import Bench
from tests.reliability.figures import Figures
from vtk.train import trainer
from vtk.train.groups import GroupCollector
from vtk.train.losses import SequenceLosses, sequence_losses
from vtk.train.microbatch import MicroBatch

Poison = Callable[[pytest.MonkeyPatch, float], None]


def _on_second_call(patch: pytest.MonkeyPatch, owner: Any, name: str, spoil: Any) -> None:
    """Let the second call of a function (step 2's: one a step) return something spoilt."""
    original, calls = getattr(owner, name), iter(range(10**6))

    def poisoned(*arguments: Any, **named: Any) -> Any:
        found = original(*arguments, **named)
        return spoil(found) if next(calls) == 1 else found

    patch.setattr(owner, name, poisoned)


def _loss(patch: pytest.MonkeyPatch, value: float) -> None:
    _on_second_call(patch, SequenceLosses, "total", lambda loss: loss * value)


def _reference(patch: pytest.MonkeyPatch, value: float) -> None:
    _on_second_call(patch, MicroBatch, "score", lambda logps: logps + value)


def _logits(patch: pytest.MonkeyPatch, value: float) -> None:
    """The policy's log-probabilities, through which the gradient flows."""
    original, calls = sequence_losses, iter(range(10**6))

    def poisoned(logps_NL: torch.Tensor, *arguments: Any) -> SequenceLosses:
        factor = value if next(calls) == 1 else 1.0
        return original(logps_NL * factor, *arguments)

    patch.setattr(trainer, "sequence_losses", poisoned)


def _gradient(patch: pytest.MonkeyPatch, value: float) -> None:
    original, calls = trainer.CDPOTrainer.training_step, iter(range(10**6))

    def poisoned(self: trainer.CDPOTrainer, *arguments: Any) -> torch.Tensor:
        loss: torch.Tensor = original(self, *arguments)
        if next(calls) == 1:
            weight = next(p for p in self.policy.parameters() if p.grad is not None)
            weight.grad.view(-1)[0] = value
        return loss

    patch.setattr(trainer.CDPOTrainer, "training_step", poisoned)


def _reward(patch: pytest.MonkeyPatch, value: float) -> None:
    original, calls = GroupCollector._reward, iter(range(10**6))

    def poisoned(self: GroupCollector, *arguments: Any) -> float:
        return value if next(calls) == 8 else original(self, *arguments)

    patch.setattr(GroupCollector, "_reward", poisoned)


SOURCES: dict[str, Poison] = {
    "loss": _loss,
    "gradient": _gradient,
    "reward": _reward,
    "policy's logits": _logits,
    "reference's logits": _reference,
}


def poison_each_source(bench: Bench, values: list[float]) -> Figures:
    """Put NaN and infinities into one step of runs of three."""
    result = Figures("T7", "A number that is not finite never reaches the weights")
    num_skipped = 0
    for name, poison in SOURCES.items():
        for value in values:
            with pytest.MonkeyPatch.context() as patch:
                poison(patch, value)
                paths = bench.train(
                    "cdpo",
                    reference__path=str(bench.world.bias),
                    optim__num_steps=3,
                    checkpoint__every_steps=1,
                )
            hashes = [bench.model_hash(paths, step) for step in (1, 2, 3)]
            alerts = [(a["rule"], a["step"]) for a in bench.events(paths, "alert")]
            is_skipped = hashes[0] == hashes[1] != hashes[2] and alerts == [("nonfinite", 2)]
            weights = load_file(paths.checkpoint_dir(3) / "model.safetensors").values()
            is_finite = all(bool(weight.isfinite().all()) for weight in weights)
            result.check(is_finite, f"{name} {value}: weights are not finite")
            harmless = math.isinf(value) and name.startswith("reference")  # the clamp holds it
            result.check(is_skipped or harmless, f"{name} {value}: not skipped, {alerts}")
            num_skipped += is_skipped
    num_runs = len(SOURCES) * len(values)
    result.count = f"{', '.join(SOURCES)}: each {', '.join(map(str, values))}"
    result.figures = [
        f"weights finite in {num_runs} of {num_runs} runs" if not result.broken else "see below",
        f"{num_skipped} steps skipped with an alert; the clamp bounds the rest",
    ]
    return result
