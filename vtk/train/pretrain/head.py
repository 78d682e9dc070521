"""The head through which the tower is trained, and thrown away after.

It says for every token which colours' objects have their centre in its 14x14 px cell, where in the
whole frame the object is in both frames of the token's pair (as numbers and as tenths of the view),
its shape and material, how much of the clip is over, whom it collides with, and in the first pair
for whom it is on course. The tower knows relative positions only: place and time come from the
light on the table.

The head's rows are the language model's own embeddings of the words for all this. So the tower
learns to speak in words: a token's feature is the sum of the embeddings of what is true of it, and
the language model finds " red" in the clip as it finds it in a question.

Shape suffixes: B frame pairs, M tokens, D hidden size, K colours, W words, O the head's outputs.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from vtk.mini.language import COLORS
from vtk.models.tiny import TINY_FRAME_HEIGHT_PX, TINY_FRAME_WIDTH_PX
from vtk.train.pretrain.targets import Targets, true_words
from vtk.train.pretrain.words import WORDS, word_ids

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2.tokenization_qwen2 import Qwen2Tokenizer

_SHARPNESS = 6.0  # of the choice among a group's words at first; it is learned


class SceneHead(nn.Module):
    """Per token: two places (linear), scores of the words of each group (embeddings), and how often
    the feature holds each of all these words.
    """

    def __init__(
        self, model: "Qwen2_5_VLForConditionalGeneration", tokenizer: "Qwen2Tokenizer"
    ) -> None:
        super().__init__()
        embeddings = model.lm_head.weight.detach()  # tied to the input embeddings
        self.places = nn.Linear(embeddings.shape[1], 4)
        self.sharpness = nn.Parameter(torch.full((len(WORDS),), _SHARPNESS))
        self.color_bias = nn.Parameter(torch.full((len(COLORS),), -3.0))
        self.partner_bias = nn.Parameter(torch.full((2, len(COLORS)), -3.0))
        for number, group in enumerate(WORDS):
            self.register_buffer(f"words_{number}", embeddings[word_ids(tokenizer, group)].clone())

    def forward(self, features_BMD: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, M, D) features -> colours, places, then the other groups, each (B, M, outputs)."""
        words = [getattr(self, f"words_{number}") for number in range(len(WORDS))]
        colors, *others, hits, courses = (
            self.sharpness[number] * features_BMD @ words_KD.T
            for number, words_KD in enumerate(words)
        )
        partners = torch.stack([hits, courses], dim=-2) + self.partner_bias
        told_KD = torch.cat(words)
        shares = features_BMD @ (told_KD / told_KD.pow(2).sum(dim=1, keepdim=True)).T
        return (colors + self.color_bias, self.places(features_BMD), *others, partners, shares)


def head_loss(
    outputs: Sequence[torch.Tensor], targets: Targets
) -> tuple[torch.Tensor, dict[str, float]]:
    """Sum of the head's losses, and how much of each kind of word it gets right."""
    colors, places, bins_x, bins_y, shapes, materials, pairs, partners, shares = outputs
    own = targets.owned_BM
    presence = functional.binary_cross_entropy_with_logits(
        colors, targets.present_BMK, pos_weight=torch.tensor(4.0)
    )
    place = functional.smooth_l1_loss(places[own], targets.places_BM4[own], beta=0.05)
    cross_entropy = functional.cross_entropy
    bins = cross_entropy(bins_x[own], targets.bins_BM2[own][:, 0]) + cross_entropy(
        bins_y[own], targets.bins_BM2[own][:, 1]
    )
    kinds = cross_entropy(shapes[own], targets.shape_BM[own]) + cross_entropy(
        materials[own], targets.material_BM[own]
    )
    time = cross_entropy(pairs[own], targets.pair_BM[own])
    partner_losses = functional.binary_cross_entropy_with_logits(
        partners[own], targets.partners_BM2K[own], reduction="none", pos_weight=torch.tensor(2.0)
    ).sum(dim=-1)
    is_first = targets.pair_BM[own] == 0
    hits = partner_losses[:, 0].mean()
    courses, no_courses = (
        _mean_where(partner_losses[:, 1], is_asked) for is_asked in (is_first, ~is_first)
    )
    loss = 8.0 * presence + 4.0 * place + 0.3 * bins + 0.1 * kinds + 0.2 * time
    loss = loss + 3.0 * hits + 0.5 * courses + 0.2 * no_courses
    # A word is in the feature once or not at all: logits alone would leave every absent word in it
    # with a minus sign.
    errors = (shares - true_words(targets)).pow(2).sum(dim=-1)
    loss = loss + errors[own].mean() + 0.5 * errors[~own].mean()
    with torch.no_grad():
        error = (places[own] - targets.places_BM4[own]).abs() / 2.0
        sides = torch.tensor([TINY_FRAME_WIDTH_PX, TINY_FRAME_HEIGHT_PX] * 2)
        is_right = ((colors > 0) == targets.present_BMK.bool()).all(dim=-1)
        report = {
            "presence_accuracy": float(is_right.float().mean()),
            "place_error_px": float((error * sides).mean()),
            "shape_accuracy": _accuracy(shapes[own], targets.shape_BM[own]),
            "material_accuracy": _accuracy(materials[own], targets.material_BM[own]),
            "time_accuracy": _accuracy(pairs[own], targets.pair_BM[own]),
            "hits_f1": _f1(partners[own][:, 0], targets.partners_BM2K[own][:, 0]),
            "courses_f1": _f1(partners[own][:, 1], targets.partners_BM2K[own][:, 1]),
        }
    return loss, report


def _mean_where(losses: torch.Tensor, is_asked: torch.Tensor) -> torch.Tensor:
    """Mean of the losses that are asked for; 0 where none is, as in a batch without first pairs."""
    return (losses * is_asked).sum() / is_asked.sum().clamp(min=1)


def _accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    return float((logits.argmax(-1) == labels).float().mean())


def _f1(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """F1 score of the positive ones; 1 where there are none and none is claimed."""
    claimed, true = logits > 0, labels.bool()
    both = float((claimed & true).sum())
    total = float(claimed.sum() + true.sum())
    return 2 * both / total if total else 1.0
