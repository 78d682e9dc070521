"""The shared engine gives the reference engine's log-probabilities and gradients for any batch.

Random prompt lengths, completion lengths, G and B, with adapters and without, the vision tower
trained or frozen (and then its features kept). In float64, where only the last log-softmax rounds
to float32, so that a difference is a fault and not the order of a sum; `test_forward` has float32.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vtk.config.sections import LoraSettings
from vtk.models.adapters import attach_policy_adapter
from vtk.models.tiny import build_tiny_model
from vtk.rollout.embeddings import FeatureCache
from vtk.rollout.generate import base_model
from vtk.rollout.prompts import PromptInputs, collate_prompts, prepare_prompt
from vtk.train.forward import ScoringBatch, pad_completions, score_packed, score_repeated
from vtk.video.frames import Clip

pytestmark = pytest.mark.slow

TOLERANCE = 5e-6
WORDS = ["What", "will", "happen", "if", "the", "red", "metal", "cube", "is", "removed", "?"]


def _prompt(processor: Any, num_words: int, num_frames: int, seed: int) -> PromptInputs:
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (num_frames, 3, 28, 42), generator=generator, dtype=torch.uint8)
    indices = tuple(range(0, 8 * num_frames, 8))
    clip = Clip(frames, tuple(i / 25 for i in indices), 25.0, 128, "none", indices)
    return prepare_prompt(processor, " ".join(WORDS[:num_words]), clip, "mini")


class _Models:
    """One model without and one with an adapter that changes its results."""

    def __init__(self) -> None:
        plain, self.processor = build_tiny_model(seed=0)
        adapted = attach_policy_adapter(build_tiny_model(seed=0)[0], LoraSettings(rank=4))
        generator = torch.Generator().manual_seed(1)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
        self.by_kind: dict[str, Any] = {"plain": plain.double(), "adapter": adapted.double()}


@pytest.fixture(scope="module")
def models() -> _Models:
    return _Models()


def _gradients(model: Any, batch: ScoringBatch, score: Any) -> tuple[torch.Tensor, dict[str, Any]]:
    model.zero_grad()
    logps_NL = score(model, batch).logps_NL
    weights_NL = torch.linspace(-1, 1, logps_NL.numel()).view_as(logps_NL)
    (logps_NL * weights_NL).sum().backward()
    named = model.named_parameters()
    return logps_NL.detach(), {n: p.grad.clone() for n, p in named if p.grad is not None}


@given(data=st.data())
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.parametrize("kind", ["plain", "adapter"])
@pytest.mark.parametrize("tower", ["trained", "frozen", "kept"])
def test_log_probabilities_and_gradients(
    models: _Models, kind: str, tower: str, data: st.DataObject
) -> None:
    model = models.by_kind[kind]
    base = base_model(model)
    base.model.visual.requires_grad_(tower == "trained")
    num_prompts, group = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))
    prompts = [
        _prompt(
            models.processor,
            data.draw(st.integers(1, len(WORDS))),
            data.draw(st.sampled_from([2, 4])),
            seed,
        )
        for seed in range(num_prompts)
    ]
    lengths = data.draw(
        st.lists(st.integers(1, 6), min_size=num_prompts * group, max_size=num_prompts * group)
    )
    generator = torch.Generator().manual_seed(2)
    completions = [torch.randint(20, 250, (n,), generator=generator).tolist() for n in lengths]
    ids_NL, mask_NL = pad_completions(completions, [], 0)
    batch = ScoringBatch(collate_prompts(prompts, 0), ids_NL, mask_NL)
    expected, expected_grads = _gradients(model, batch, score_repeated)
    if tower == "kept":
        cache = FeatureCache(1 << 20)
        kept = [cache.attach(base, prompt, place) for place, prompt in enumerate(prompts)]
        batch = replace(batch, prompts=collate_prompts(kept, 0))
    found, grads = _gradients(model, batch, score_packed)
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)
    assert grads.keys() == expected_grads.keys()
    assert grads
    largest = max(grad.norm() for grad in expected_grads.values())
    gaps = {name: float((grads[name] - expected_grads[name]).norm() / largest) for name in grads}
    assert max(gaps.values()) < TOLERANCE, max(gaps, key=gaps.__getitem__)
