"""The language model starts by finding in the clip what a word asks for."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor
from transformers.models.qwen2.tokenization_qwen2 import Qwen2Tokenizer

from vtk.train.pretrain.data import Example, PretrainScene, hits_example, place_example
from vtk.train.pretrain.language import language_loss, tokenize
from vtk.train.pretrain.start import clip_rotation, start_by_similarity
from vtk.train.pretrain.targets import make_targets, true_words
from vtk.train.pretrain.words import WORDS, word_ids

Tiny = tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]
Quiz = Callable[..., Example]


def parts(tiny: Tiny) -> tuple[Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer]:
    return tiny[0], tiny[1].tokenizer


def features_of_a_perfect_tower(fresh: Tiny, scenes: list[PretrainScene]) -> torch.Tensor:
    """(scenes, M, D): at each token the sum of the true words, turned as the tower turns them."""
    model, processor = fresh
    words_WD = model.lm_head.weight.detach()[word_ids(processor.tokenizer, *WORDS)]
    turn_DD = clip_rotation(*parts(fresh), scenes)
    num_pairs = len(scenes[0].frames_FCHW) // 2
    return (
        torch.stack(
            [
                torch.cat([true_words(make_targets(s, k))[0] @ words_WD for k in range(num_pairs)])
                for s in scenes
            ]
        )
        @ turn_DD.T
    )


def share_right(fresh: Tiny, scenes: list[PretrainScene], quiz: Quiz, group: str) -> float:
    """How often the right word of a group leads among them, where one is what comes next."""
    model, processor = fresh
    rng = np.random.default_rng(0)
    features = features_of_a_perfect_tower(fresh, scenes)
    batch = tokenize(processor, [quiz(rng, s.scene) for s in scenes], features.shape[1])
    seen: list[torch.Tensor] = []
    hook = model.lm_head.register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.no_grad():
        language_loss(model, features, batch)
    hook.remove()
    counted = batch.weights_BL[:, 1:] > 0
    targets, weights = batch.input_ids_BL[:, 1:][counted], batch.weights_BL[:, 1:][counted]
    ids = torch.tensor(word_ids(processor.tokenizer, group))
    asked = (targets[:, None] == ids).any(dim=1) & (weights == 1.0)
    best = ids[seen[0][asked][:, ids].argmax(dim=1)]
    return float((best == targets[asked]).float().mean())


@pytest.mark.parametrize(
    ("quiz", "group"),
    [
        (place_example, "tenths of the width"),
        (place_example, "tenths of the depth"),
        (hits_example, "moments"),
    ],
)
def test_what_a_word_asks_for_leads_before_any_training(
    fresh: Tiny, scenes: list[PretrainScene], quiz: Quiz, group: str
) -> None:
    assert share_right(fresh, scenes, quiz, group) < 0.4
    start_by_similarity(*parts(fresh), clip_rotation(*parts(fresh), scenes))
    assert share_right(fresh, scenes, quiz, group) > 0.6


def test_the_rotation_is_one_and_turns_words_away_from_texts(
    fresh: Tiny, scenes: list[PretrainScene]
) -> None:
    model, processor = fresh
    turn_DD = clip_rotation(*parts(fresh), scenes)
    size = len(turn_DD)
    torch.testing.assert_close(turn_DD @ turn_DD.T, torch.eye(size), atol=1e-5, rtol=0)
    embeddings_VD = model.lm_head.weight.detach()
    clip_WD = embeddings_VD[word_ids(processor.tokenizer, *WORDS)] @ turn_DD.T
    text = processor.tokenizer("Without the red cube, what will happen?").input_ids
    clip_side = torch.linalg.qr(clip_WD.T).Q
    shares = (embeddings_VD[text] @ clip_side).norm(dim=1) / embeddings_VD[text].norm(dim=1)
    assert shares.mean() < 0.5  # by chance it would be sqrt(57 / 128) = 0.67


def test_only_attention_and_what_drowns_it_is_changed(
    fresh: Tiny, scenes: list[PretrainScene], weights: Callable[..., dict[str, torch.Tensor]]
) -> None:
    before = weights(fresh[0])
    start_by_similarity(*parts(fresh), clip_rotation(*parts(fresh), scenes))
    changed = {
        name.rsplit(".", 2)[-2]
        for name, tensor in fresh[0].state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert changed == {"q_proj", "k_proj", "v_proj", "o_proj", "down_proj"}
