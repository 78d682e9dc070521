"""A start for small attention: heads that look up what resembles the query and copy what they find.

With random heads a narrow model needs thousands of steps before it finds an object of the clip by
its word, because matching and copying are each useless without the other. The tower speaks in the
words' embeddings (`vtk.train.pretrain.vision`), so that both can be there from the first step:

* In the first layer one key-value group looks at the token before, by its place alone (biases that
  the rotary embedding turns into a peak at distance one), and adds that token's words. " red" of
  "p red" then stands for red at moment p.
* In the next layers every group attends to what holds the same words in the clip, through the
  dimensions that the rotary embedding hardly turns over the length of a prompt, and copies words
  as they are: the first group places and moments, the second colours and partners. The places of
  " red" at p are what comes next. So that a word finds the clip and not itself, the tower's
  features are turned by a fixed rotation, which keys and values undo.

Everything else stays random, and training sharpens what is there.

Shape suffixes: D hidden size, W words, H head size.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from vtk.mini.language import STRATEGIES
from vtk.train.pretrain.data import PretrainScene, question_example
from vtk.train.pretrain.words import WORDS, word_ids

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2.tokenization_qwen2 import Qwen2Tokenizer
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLAttention

_MATCHED = ("colors", "moments", "collides with", "on course for")
# One entry a key-value group; a head is wide enough for the words of each.
_COPIED = (
    ("tenths of the width", "tenths of the depth", "moments"),
    ("colors", "collides with", "on course for"),
)
_NUM_TEXT_SCENES = 30
_LOOKUP_LAYERS = (1, 2, 3)
_NUM_TURNING_PAIRS = 5  # of a head's rotary pairs, from the fastest
_LOOKUP_GAIN = 2.0  # of queries and keys alike
_PREVIOUS_GAIN = 6.0  # the same for the biases
# Copies are of normalised features, about fourteen times as long as a word's embedding.
_PREVIOUS_COPY = 0.06
_LOOKUP_COPY = 0.15
_RANDOM_GAIN = 0.03  # of what the random parts add: at 1 it would drown the words


def clip_rotation(
    model: "Qwen2_5_VLForConditionalGeneration",
    tokenizer: "Qwen2Tokenizer",
    scenes: Sequence[PretrainScene],
) -> torch.Tensor:
    """The rotation from words to what the tower says for them.

    The tower's words are turned into the directions in which texts have least.

    Args:
        model: Its embeddings are those of before the training.
        tokenizer: Gives the words' ids.
        scenes: The texts about the first of them are looked at.

    Returns:
        (D, D) orthonormal.
    """
    embeddings_VD = model.lm_head.weight.detach()  # tied
    texts = [
        tokenizer(f"<|im_start|>{example.problem}<|im_end|>\n{example.completion}").input_ids
        for scene in scenes[:_NUM_TEXT_SCENES]
        for question in scene.questions
        for example in (question_example(scene.scene, question, s) for s in STRATEGIES)
    ]
    used_LD = embeddings_VD[[token for text in texts for token in text]].double()
    quiet_first_DD = torch.linalg.eigh(used_LD.T @ used_LD).eigenvectors.float()
    words_WD = embeddings_VD[word_ids(tokenizer, *WORDS)]
    told_first_DD: torch.Tensor = torch.linalg.qr(words_WD.T, mode="complete").Q
    turn_DD: torch.Tensor = quiet_first_DD @ told_first_DD.T
    return turn_DD


def start_by_similarity(
    model: "Qwen2_5_VLForConditionalGeneration",
    tokenizer: "Qwen2Tokenizer",
    turn_DD: torch.Tensor,
) -> None:
    """Set the heads' weights, once, before training.

    Args:
        model: Its language model is changed in place.
        tokenizer: Gives the words' ids.
        turn_DD: The rotation that the tower was finished with, see `clip_rotation`.
    """
    embeddings_VD = model.lm_head.weight.detach()  # tied
    matched_DW = _basis(embeddings_VD[word_ids(tokenizer, *_MATCHED)])
    copied = [_basis(embeddings_VD[word_ids(tokenizer, *groups)]) for groups in _COPIED]
    generator = torch.Generator().manual_seed(0)
    layers = model.model.language_model.layers
    with torch.no_grad():
        for layer in layers:
            layer.self_attn.o_proj.weight.mul_(_RANDOM_GAIN)
            layer.mlp.down_proj.weight.mul_(_RANDOM_GAIN)
        _look_back(layers[0].self_attn, matched_DW, group=1)
        for index in _LOOKUP_LAYERS:
            for group, copied_DW in enumerate(copied):
                attention = layers[index].self_attn
                _look_up(attention, matched_DW, turn_DD, group, generator)
                _copy(attention, turn_DD @ copied_DW, copied_DW, group, _LOOKUP_COPY)


def _basis(words_WD: torch.Tensor) -> torch.Tensor:
    """(D, W) orthonormal columns that span the words."""
    basis_DW: torch.Tensor = torch.linalg.qr(words_WD.T).Q
    return basis_DW


def _look_back(attention: "Qwen2_5_VLAttention", words_DW: torch.Tensor, group: int) -> None:
    """Attend to the token before, and add its words."""
    size = attention.head_dim
    half = size // 2
    keys = slice(group * size, (group + 1) * size)
    attention.k_proj.weight[keys] = 0.0
    attention.k_proj.bias[keys] = 0.0
    turning = torch.arange(_NUM_TURNING_PAIRS)
    attention.k_proj.bias[keys][turning] = _PREVIOUS_GAIN
    # Rotary pairs are (i, i + half); the query is the key turned one position back.
    exponents = turning.float() / half
    rope: Any = attention.config.rope_parameters
    angles = rope["rope_theta"] ** -exponents
    for head in _heads(attention, group):
        attention.q_proj.weight[head] = 0.0
        attention.q_proj.bias[head] = 0.0
        attention.q_proj.bias[head][turning] = _PREVIOUS_GAIN * angles.cos()
        attention.q_proj.bias[head][turning + half] = -_PREVIOUS_GAIN * angles.sin()
    _copy(attention, words_DW[:, :size], words_DW[:, :size], group, _PREVIOUS_COPY)


def _look_up(
    attention: "Qwen2_5_VLAttention",
    words_DW: torch.Tensor,
    turn_DD: torch.Tensor,
    group: int,
    generator: torch.Generator,
) -> None:
    """Attend to what holds the same words in the clip."""
    size = attention.head_dim
    half = size // 2
    still = [i for i in range(size) if i % half >= _NUM_TURNING_PAIRS]
    turn_WW = torch.linalg.qr(
        torch.randn(words_DW.shape[1], words_DW.shape[1], generator=generator)
    ).Q
    looked_at = (words_DW @ turn_WW[:, : len(still)]).T * _LOOKUP_GAIN
    rows_HD = torch.zeros(size, words_DW.shape[0])
    rows_HD[still[: len(looked_at)]] = looked_at
    attention.k_proj.weight[group * size : (group + 1) * size] = rows_HD @ turn_DD.T
    for head in _heads(attention, group):
        attention.q_proj.weight[head] = rows_HD


def _copy(
    attention: "Qwen2_5_VLAttention",
    read_DW: torch.Tensor,
    written_DW: torch.Tensor,
    group: int,
    gain: float,
) -> None:
    """Add what is attended to, as far as these words tell it."""
    size, heads = attention.head_dim, _heads(attention, group)
    num_words = read_DW.shape[1]
    rows_HD = torch.zeros(size, len(read_DW))
    rows_HD[:num_words] = read_DW.T
    attention.v_proj.weight[group * size : (group + 1) * size] = rows_HD
    columns_DH = torch.zeros(len(read_DW), size)
    columns_DH[:, :num_words] = written_DW * gain / len(heads)
    for head in heads:
        attention.o_proj.weight[:, head] = columns_DH


def _heads(attention: "Qwen2_5_VLAttention", group: int) -> list[slice]:
    """Rows of each query head of a key-value group."""
    size, num = attention.head_dim, attention.num_key_value_groups
    return [slice(h * size, (h + 1) * size) for h in range(group * num, (group + 1) * num)]
