"""Tokens' columns and strips of frames: what is written is what is read back."""

import math
import zlib
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from vtk.config.sections import RecordSettings
from vtk.models.tiny import tiny_model_dir
from vtk.rollout.token_texts import TokenTexts
from vtk.runs.frame_strip import decode_strip, encode_strip
from vtk.runs.token_columns import (
    pack_token_chars,
    pack_token_kl,
    unpack_token_chars,
    unpack_token_kl,
)
from vtk.train.step import _token_kl
from vtk.train.thumbnails import Thumbnails, shrink
from vtk.video.frames import Clip, FrameSettings


def clip(num_frames: int = 16) -> Clip:
    frames_FCHW = torch.arange(num_frames, dtype=torch.uint8).view(-1, 1, 1, 1) * 10
    return Clip(
        frames_FCHW=frames_FCHW.expand(num_frames, 3, 56, 84).contiguous(),
        timestamps_s=tuple(0.25 * index for index in range(num_frames)),
        source_fps=4.0,
        num_source_frames=num_frames,
        decoder="pyav",
        source_indices=tuple(range(num_frames)),
    )


def test_signed_kl_comes_back_to_a_thousandth_of_a_nat() -> None:
    values = [0.0, 1.2344, -0.0004, -31.5, 99.0, -math.inf]
    found = unpack_token_kl(pack_token_kl(values))
    assert found == pytest.approx([0.0, 1.234, 0.0, -31.5, 32.766, -32.766])
    assert math.isnan(unpack_token_kl(pack_token_kl([math.nan]))[0])


def test_the_trainer_packs_what_the_pure_function_packs() -> None:
    signed_kl_NL = torch.tensor([[0.1, -2.0, math.nan, 7.0], [math.inf, -math.inf, 0.0, 7.0]])
    mask_NL = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
    expected = [pack_token_kl([0.1, -2.0, math.nan]), pack_token_kl([math.inf, -math.inf])]
    assert _token_kl(signed_kl_NL, mask_NL) == expected


@pytest.mark.parametrize("damaged", ["a", "AA=", "AAA=AAA=", "?", "A" * 4])
def test_a_damaged_column_is_refused(damaged: str) -> None:
    with pytest.raises(ValueError, match="no column of tokens"):
        unpack_token_kl(damaged)


def test_lengths_of_tokens_come_back() -> None:
    assert unpack_token_chars(pack_token_chars([0, 7, 65_535]) or "") == [0, 7, 65_535]
    assert pack_token_chars([65_536]) is None


@pytest.mark.parametrize(
    "text",
    ["<think>Red hits blue.</think><answer>[B]</answer>", "", " a  b\n\n", "naïve 衝突 🎲🎲 ok"],
)
def test_characters_of_tokens_add_up_to_the_completion(text: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir())
    ids = [*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    completion = str(tokenizer.decode(ids, skip_special_tokens=True))
    lengths = TokenTexts(tokenizer).lengths(ids, completion)
    assert lengths is not None
    assert len(lengths) == len(ids)
    assert sum(lengths) == len(completion)
    assert lengths[-1] == 0


def test_a_strip_holds_the_first_and_the_last_frame_that_the_model_saw() -> None:
    strip = decode_strip(encode_strip(shrink(clip(), RecordSettings(frames_per_clip=4))))
    assert strip.indices == (0, 5, 10, 15)
    assert strip.timestamps_s == (0.0, 1.25, 2.5, 3.75)
    assert (strip.width_px, strip.height_px, strip.num_model_frames) == (48, 32, 16)
    starts = [3 * strip.width_px * place for place in range(4)]
    assert [strip.rgb[start] for start in starts] == [0, 50, 100, 150]


def test_a_strip_is_written_once_and_not_at_all_where_none_is_wanted(tmp_path: Path) -> None:
    key = ("clip.mp4", 1, 2, FrameSettings(16, None, 3136, 4704))
    kept = Thumbnails(tmp_path, RecordSettings())
    name = kept.keep(clip(), key)
    assert name is not None
    (tmp_path / name).write_bytes(b"mine")
    assert kept.keep(clip(), key) == Thumbnails(tmp_path, RecordSettings()).keep(clip(), key)
    assert (tmp_path / name).read_bytes() == b"mine"
    assert Thumbnails(tmp_path, RecordSettings(frames_per_clip=0)).keep(clip(), key) is None
    assert Thumbnails(None, RecordSettings()).keep(clip(), key) is None


def test_a_damaged_strip_is_refused_at_every_byte() -> None:
    content = encode_strip(shrink(clip(2), RecordSettings(frames_per_clip=2, frame_width_px=8)))
    decode_strip(content)
    for place in range(len(content) - 12):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        with pytest.raises(ValueError, match=r"strip|damaged|filters|share"):
            decode_strip(bytes(damaged))
    with pytest.raises(ValueError, match="strip"):
        decode_strip(b"")


def test_a_strip_cannot_unpack_into_more_than_it_says() -> None:
    small = shrink(clip(2), RecordSettings(frames_per_clip=2, frame_width_px=8))
    content = encode_strip(small)
    start = content.index(b"IDAT") - 4
    bomb = zlib.compress(bytes(10_000_000))
    chunk = len(bomb).to_bytes(4, "big") + b"IDAT" + bomb
    check = zlib.crc32(b"IDAT" + bomb).to_bytes(4, "big")
    with pytest.raises(ValueError, match="too many"):
        decode_strip(content[:start] + chunk + check + content[content.index(b"IEND") - 4 :])
