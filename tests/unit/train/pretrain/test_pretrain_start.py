"""Attention starts by finding what looks like the word that asks."""

from collections.abc import Callable

import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from vtk.mini.language import COLORS
from vtk.train.pretrain_start import start_by_similarity

Tiny = tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]
Weights = Callable[[torch.nn.Module], dict[str, torch.Tensor]]


def preference(fresh: Tiny) -> torch.Tensor:
    """How much more a word attends to itself further back than to each of four other words.

    For every colour, in the first layer's heads of the first key-value group.
    """
    model, processor = fresh
    model.set_attn_implementation("eager")
    ratios = []
    for number, color in enumerate(COLORS):
        others = [COLORS[(number + step) % len(COLORS)] for step in range(1, 5)]
        ids = processor.tokenizer("".join(f" {w}" for w in (color, *others, color))).input_ids
        assert len(ids) == 6
        with torch.no_grad():
            found = model(input_ids=torch.tensor([ids]), output_attentions=True)
        weights_HL = found.attentions[0][0, :2, -1]
        ratios.append(weights_HL[:, 0] / weights_HL[:, 1:5].mean(dim=1))
    return torch.cat(ratios)


def test_a_word_attends_to_itself_from_the_start(fresh: Tiny, weights: Weights) -> None:
    before = weights(fresh[0])
    assert preference(fresh).median() < 2.0
    start_by_similarity(fresh[0])
    assert preference(fresh).min() > 10.0
    changed = {
        name.rsplit(".", 2)[-2]
        for name, tensor in fresh[0].state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert changed == {"q_proj", "k_proj", "o_proj"}


def test_what_is_found_is_added_as_it_is(fresh: Tiny) -> None:
    start_by_similarity(fresh[0])
    for layer in fresh[0].model.language_model.layers:
        attention = layer.self_attn
        size = attention.head_dim
        found = attention.o_proj.weight[:, :size] @ attention.v_proj.weight[:size]
        share = torch.diagonal(found).mean() / found.abs().mean()
        assert share > 3.0  # close to a multiple of the identity
        assert torch.equal(attention.q_proj.weight[:size], attention.k_proj.weight[:size])
