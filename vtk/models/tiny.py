"""The tiny model: the real Qwen2.5-VL classes at about two million parameters.

Its config, processor and weights lie in `vtk/models/tiny_weights/` and travel in the wheel, so
`--model tiny` needs no network. The weights are made by `vtk mini pretrain`; `build_tiny_model`
gives the same architecture with random weights for tests.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtk.errors import DataError

if TYPE_CHECKING:
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
    )
    from transformers.models.qwen2.tokenization_qwen2 import Qwen2Tokenizer

TINY_NUM_FRAMES = 16
TINY_FRAME_HEIGHT_PX = 56
TINY_FRAME_WIDTH_PX = 84
TINY_HIDDEN_SIZE = 128
TINY_VISION_HIDDEN_SIZE = 96
TINY_PATCH_PX = 14
TINY_MERGE = 1  # a token sees 14x14 px, about one object; merging four would mix them
END_TOKENS = ("<|im_end|>", "<|endoftext|>")  # of a turn and of a text; both end a completion

_VOCAB_SIZE = 512
_SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
# Qwen's turn layout without its default system prompt, which would be a third of a tiny prompt.
_CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_model_dir() -> Path:
    """Folder of the shipped tiny model.

    Raises:
        DataError: The weights are not there, which only happens in a broken install.
    """
    folder = Path(__file__).parent / "tiny_weights"
    if not (folder / "model.safetensors").is_file():
        raise DataError(
            f"the tiny model's weights are missing from {folder}",
            hint="Install vtk again, or make them anew with: vtk mini pretrain",
        )
    return folder


def build_tiny_tokenizer() -> "Qwen2Tokenizer":
    """A byte-level BPE tokenizer with Qwen's special tokens and the words of clevrer-mini."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX, Qwen2Tokenizer

    from vtk.mini.language import tokenizer_corpus

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCAB_SIZE - len(_SPECIAL_TOKENS) - len(_TAGS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(tokenizer_corpus(), trainer)
    trained = json.loads(bpe.to_str())["model"]
    merges: Any = [tuple(merge) for merge in trained["merges"]]  # pairs, though annotated as lines
    tokenizer = Qwen2Tokenizer(
        vocab=trained["vocab"],
        merges=merges,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(_SPECIAL_TOKENS)})
    tokenizer.add_tokens(list(_TAGS))
    tokenizer.chat_template = _CHAT_TEMPLATE
    return tokenizer


def build_tiny_processor() -> "Qwen2_5_VLProcessor":
    """The real processor around the tiny tokenizer; frames arrive already sized."""
    from transformers import Qwen2_5_VLProcessor
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    area_px = TINY_FRAME_HEIGHT_PX * TINY_FRAME_WIDTH_PX
    size = {"shortest_edge": area_px, "longest_edge": area_px}
    processor_class: Any = Qwen2_5_VLProcessor  # its constructor has no types
    processor: Qwen2_5_VLProcessor = processor_class(
        image_processor=Qwen2VLImageProcessor(size=size, merge_size=TINY_MERGE),
        tokenizer=build_tiny_tokenizer(),
        video_processor=Qwen2VLVideoProcessor(
            size=size, merge_size=TINY_MERGE, cap_pixels_per_frame=False
        ),
        chat_template=_CHAT_TEMPLATE,
    )
    return processor


def build_tiny_config(tokenizer: "Qwen2Tokenizer") -> "Qwen2_5_VLConfig":
    """Qwen2.5-VL's config at about two million parameters.

    The initializer range is 0.07: at the default 0.02 a model this narrow does not learn to copy a
    word.
    """
    from transformers import Qwen2_5_VLConfig

    def token_id(token: str) -> int:
        index = tokenizer.convert_tokens_to_ids(token)
        assert isinstance(index, int)
        return index

    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": _VOCAB_SIZE,
            "hidden_size": TINY_HIDDEN_SIZE,
            "intermediate_size": 384,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 2048,
            "initializer_range": 0.07,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [4, 6, 6],
            },
            "tie_word_embeddings": True,
            "bos_token_id": None,
            "eos_token_id": token_id("<|im_end|>"),
            "pad_token_id": token_id("<|endoftext|>"),
        },
        vision_config={
            "depth": 4,
            "hidden_size": TINY_VISION_HIDDEN_SIZE,
            "intermediate_size": 256,
            "num_heads": 4,
            "patch_size": TINY_PATCH_PX,
            "spatial_merge_size": TINY_MERGE,
            "temporal_patch_size": 2,
            "tokens_per_second": 4,
            "window_size": 112,
            "fullatt_block_indexes": [0, 1, 2, 3],
            "out_hidden_size": TINY_HIDDEN_SIZE,
            "initializer_range": 0.05,
        },
        image_token_id=token_id("<|image_pad|>"),
        video_token_id=token_id("<|video_pad|>"),
        vision_start_token_id=token_id("<|vision_start|>"),
        vision_end_token_id=token_id("<|vision_end|>"),
        tie_word_embeddings=True,
    )


def build_tiny_model(
    seed: int = 0,
) -> "tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]":
    """The tiny architecture with random weights, and its processor.

    The global random state is left as it was.
    """
    import torch
    from transformers import GenerationConfig, Qwen2_5_VLForConditionalGeneration

    processor = build_tiny_processor()
    config = build_tiny_config(processor.tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(config)
    end_of_turn, end_of_text = (processor.tokenizer.convert_tokens_to_ids(t) for t in END_TOKENS)
    model.generation_config = GenerationConfig.from_dict(
        {"eos_token_id": [end_of_turn, end_of_text], "pad_token_id": end_of_text}
    )
    return model, processor
