"""The words in which the tiny model's tower says what it sees; each is a single token.

A token of the clip that shows an object says its colour, place, shape, material and moment, whom it
collides with at that moment ("-blue") and, at the clip's beginning, for whom it is on course
(">blue").
"""

from typing import TYPE_CHECKING

from vtk.mini.language import COLLIDE, COLORS, MATERIALS, MOMENTS, SHAPES, WOULD_COLLIDE
from vtk.train.pretrain.data import PLACE_WORDS

if TYPE_CHECKING:
    from transformers.models.qwen2.tokenization_qwen2 import Qwen2Tokenizer

WORDS = {
    "colors": tuple(f" {word}" for word in COLORS),
    "tenths of the width": PLACE_WORDS[0],
    "tenths of the depth": PLACE_WORDS[1],
    "shapes": tuple(f" {word}" for word in SHAPES),
    "materials": tuple(f" {word}" for word in MATERIALS),
    "moments": tuple(f" {word}" for word in MOMENTS),
    "collides with": tuple(f"{COLLIDE}{word}" for word in COLORS),
    "on course for": tuple(f"{WOULD_COLLIDE}{word}" for word in COLORS),
}


def word_ids(tokenizer: "Qwen2Tokenizer", *groups: str) -> list[int]:
    """Ids of the `WORDS` of some groups."""
    ids = [tokenizer(word).input_ids for group in groups for word in WORDS[group]]
    assert all(len(one) == 1 for one in ids), groups
    return [one[0] for one in ids]
