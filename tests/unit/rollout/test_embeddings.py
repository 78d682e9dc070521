"""What the language model is given: a frozen tower computes a clip once, which changes nothing."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from vtk.models.tiny import build_tiny_model
from vtk.rollout.embeddings import FeatureCache, has_frozen_tower, prompt_embeddings
from vtk.rollout.generate import SamplingSettings
from vtk.rollout.prompts import PromptInputs, collate_prompts, prepare_prompt
from vtk.rollout.shared import generate_shared
from vtk.video.frames import Clip


def _prompt(processor: Any, seed: int) -> PromptInputs:
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (4, 3, 56, 84), generator=generator, dtype=torch.uint8)
    clip = Clip(frames, (0.0, 1.6, 3.2, 4.8), 25.0, 128, "none", (0, 40, 80, 120))
    return prepare_prompt(processor, "Which?\nA. a\nB. b", clip, "mini")


def _features(prompt: PromptInputs) -> Tensor:
    assert prompt.video_features_VH is not None
    return prompt.video_features_VH


class _Watched:
    """A model whose tower's calls are counted."""

    def __init__(self) -> None:
        model, self.processor = build_tiny_model(seed=0)
        self.model: Any = model
        self.num_patches: list[int] = []
        model.model.visual.requires_grad_(False)
        model.model.visual.register_forward_pre_hook(
            lambda _, arguments: self.num_patches.append(arguments[0].shape[0])
        )


@pytest.fixture
def watched() -> _Watched:
    return _Watched()


def test_a_kept_clip_needs_no_tower(watched: _Watched) -> None:
    cache, prompt = FeatureCache(1 << 20), _prompt(watched.processor, 1)
    first, again = (cache.attach(watched.model, prompt, "clip 1") for _ in range(2))
    other = cache.attach(watched.model, _prompt(watched.processor, 2), "clip 2")
    assert len(watched.num_patches) == 2
    assert _features(first) is _features(again)
    assert not torch.equal(_features(first), _features(other))
    with torch.no_grad():
        with_features = prompt_embeddings(watched.model, first)
        assert torch.equal(with_features, prompt_embeddings(watched.model, prompt))


def test_the_bound_holds_and_the_oldest_goes_first(watched: _Watched) -> None:
    prompts = [_prompt(watched.processor, seed) for seed in range(3)]
    size = _features(FeatureCache(1 << 20).attach(watched.model, prompts[0], 0)).nbytes
    cache = FeatureCache(2 * size)
    for key in (0, 1, 0, 2):  # 1 is the one that was not used for the longest time
        cache.attach(watched.model, prompts[key], key)
    assert cache.num_bytes == 2 * size
    watched.num_patches.clear()
    cache.attach(watched.model, prompts[0], 0)
    assert not watched.num_patches
    cache.attach(watched.model, prompts[1], 1)
    assert len(watched.num_patches) == 1


def test_a_clip_above_the_bound_is_computed_and_not_kept(watched: _Watched) -> None:
    cache = FeatureCache(8)
    prompt = cache.attach(watched.model, _prompt(watched.processor, 1), 1)
    assert prompt.video_features_VH is not None
    assert cache.num_bytes == 0


def test_rollouts_with_features_are_the_same_without_the_tower(watched: _Watched) -> None:
    prompts = [_prompt(watched.processor, seed) for seed in (1, 2)]
    cache = FeatureCache(1 << 20)
    attached = [cache.attach(watched.model, prompt, i) for i, prompt in enumerate(prompts)]
    bare, kept = (collate_prompts(each, 0) for each in (prompts, attached))
    assert kept.video_features_VH is not None
    plain = generate_shared(watched.model, watched.processor, bare, SamplingSettings(6), 3, 7)
    watched.num_patches.clear()
    found = generate_shared(watched.model, watched.processor, kept, SamplingSettings(6), 3, 7)
    assert not watched.num_patches
    assert found.completion_ids == plain.completion_ids


def test_features_of_some_prompts_only_are_not_used(watched: _Watched) -> None:
    prompt = _prompt(watched.processor, 1)
    attached = FeatureCache(1 << 20).attach(watched.model, prompt, 1)
    assert collate_prompts([attached, prompt], 0).video_features_VH is None


def test_features_that_do_not_fit_are_refused(watched: _Watched) -> None:
    prompt = FeatureCache(1 << 20).attach(watched.model, _prompt(watched.processor, 1), 1)
    cut = replace(prompt, video_features_VH=_features(prompt)[1:])
    with pytest.raises(ValueError, match="placeholders"):
        prompt_embeddings(watched.model, cut)


def test_one_trained_weight_is_enough_to_need_the_tower(watched: _Watched) -> None:
    assert has_frozen_tower(watched.model)
    next(watched.model.model.visual.parameters()).requires_grad_(True)
    assert not has_frozen_tower(watched.model)
