"""Sampling, resizing and the faults of `vtk.video.frames`."""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vtk.errors import ConfigError, DataError, MissingEnvironmentError
from vtk.video import decoders
from vtk.video.cache import ClipCache
from vtk.video.frames import (
    FrameSettings,
    num_sampled_frames,
    read_clip,
    sample_indices,
    target_size,
)

WriteClip = Callable[..., Path]
MINI = FrameSettings(num_frames=8, fps=None, min_pixels_px=784, max_pixels_px=4704, decoder="pyav")


def require_decoder(name: str) -> None:
    try:
        decoders.choose_decoder(name)
    except MissingEnvironmentError as error:
        pytest.skip(error.message)


@pytest.fixture
def clip_path(tmp_path: Path, write_clip: WriteClip) -> Path:
    return write_clip(tmp_path / "clip.mp4", square=True)


def test_clip_has_the_mini_size_and_evenly_spread_frames(clip_path: Path) -> None:
    clip = read_clip(clip_path, MINI)
    assert clip.frames_FCHW.shape == (8, 3, 56, 84)
    assert clip.frames_FCHW.dtype == torch.uint8
    assert clip.source_indices == tuple(np.linspace(0, 31, 8).round().astype(int))
    assert clip.num_source_frames == 32
    assert clip.source_fps == 25.0
    assert clip.decoder == "pyav"
    assert clip.timestamps_s == pytest.approx([index / 25 for index in clip.source_indices])


def test_frames_are_the_sampled_ones(clip_path: Path) -> None:
    clip = read_clip(clip_path, MINI)
    levels = clip.frames_FCHW[:, :, 28:].float().mean(dim=(1, 2, 3))  # below the white square
    expected = torch.tensor([2.0 * index for index in clip.source_indices])
    assert torch.allclose(levels, expected, atol=2.0)


@pytest.mark.parametrize("decoder", ["decord", "torchcodec"])
def test_decoders_agree_with_pyav(tmp_path: Path, write_clip: WriteClip, decoder: str) -> None:
    require_decoder(decoder)
    path = write_clip(tmp_path / "square.mp4", square=True)
    settings = FrameSettings(8, None, 784, 10**6, decoder)
    other, ours = (
        read_clip(path, settings),
        read_clip(path, FrameSettings(8, None, 784, 10**6, "pyav")),
    )
    assert other.source_indices == ours.source_indices
    assert other.timestamps_s == pytest.approx(ours.timestamps_s, abs=1e-3)
    difference = (other.frames_FCHW.int() - ours.frames_FCHW.int()).abs()
    assert difference.max() <= 3
    assert other.decoder == decoder


def test_auto_names_a_decoder_that_imports(clip_path: Path) -> None:
    clip = read_clip(clip_path, FrameSettings(4, None, 784, 4704))
    assert clip.decoder == decoders.choose_decoder("auto")
    assert clip.decoder in decoders.AUTO_ORDER


def test_unknown_decoder_is_refused() -> None:
    with pytest.raises(MissingEnvironmentError, match="opencv"):
        decoders.choose_decoder("opencv")


def test_resize_equals_torchvision(tmp_path: Path, write_clip: WriteClip) -> None:
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    path = write_clip(tmp_path / "square.mp4", square=True)
    full = read_clip(path, FrameSettings(4, None, 784, 10**6, "pyav", size_factor_px=4))
    assert full.frames_FCHW.shape[2:] == (160, 240)
    small = read_clip(path, FrameSettings(4, None, 784, 4704, "pyav"))
    expected = functional.resize(
        full.frames_FCHW,
        [56, 84],
        interpolation=functional.InterpolationMode.BICUBIC,
        antialias=True,
    )
    assert torch.equal(small.frames_FCHW, expected)


def test_fps_sets_the_number_of_frames() -> None:
    settings = FrameSettings(num_frames=16, fps=2.0, min_pixels_px=784, max_pixels_px=4704)
    assert num_sampled_frames(128, 25.0, settings) == 10
    assert num_sampled_frames(1280, 25.0, settings) == 16
    assert num_sampled_frames(3, 25.0, settings) == 2


def test_short_clip_gives_fewer_frames_and_no_repeats(
    tmp_path: Path, write_clip: WriteClip
) -> None:
    clip = read_clip(write_clip(tmp_path / "five.mp4", num_frames=5), MINI)
    assert clip.source_indices == (0, 1, 3, 4)


@given(st.integers(2, 5000), st.integers(2, 64))
def test_indices_are_distinct_ascending_and_cover_the_clip(source: int, wanted: int) -> None:
    settings = FrameSettings(wanted, None, 784, 4704)
    num_frames = num_sampled_frames(source, 25.0, settings)
    indices = sample_indices(source, num_frames)
    assert num_frames % 2 == 0
    assert indices == sorted(set(indices))
    assert (indices[0], indices[-1]) == (0, source - 1)


@given(st.integers(16, 4000), st.integers(16, 4000), st.integers(1, 400))
def test_size_is_in_whole_groups_and_in_budget(height: int, width: int, groups: int) -> None:
    budget_px = groups * 784
    size = target_size(height, width, 28, 784, budget_px)
    assert all(side % 28 == 0 and side >= 28 for side in size)
    assert size[0] * size[1] <= budget_px


@pytest.mark.parametrize(
    ("source", "max_px", "expected"),
    [
        ((160, 240), 4704, (56, 84)),
        ((320, 480), 196 * 784, (308, 476)),
        ((320, 480), 105369, (252, 392)),
        ((28, 2800), 10 * 784, (28, 280)),
    ],
)
def test_size_of_known_cases(
    source: tuple[int, int], max_px: int, expected: tuple[int, int]
) -> None:
    assert target_size(*source, 28, 784, max_px) == expected


def test_small_frames_grow_to_the_least_area() -> None:
    height, width = target_size(32, 48, 28, 100 * 784, 196 * 784)
    assert height * width >= 100 * 784
    assert width / height == pytest.approx(1.5, rel=0.1)


def test_size_equals_the_library_rule() -> None:
    module = pytest.importorskip("transformers.models.qwen2_vl.image_processing_qwen2_vl")
    rng = np.random.default_rng(0)
    for height, width in rng.integers(56, 1500, size=(300, 2)).tolist():
        expected = module.smart_resize(height, width, 28, 16 * 784, 128 * 784)
        if expected[0] * expected[1] <= 128 * 784:
            assert target_size(height, width, 28, 16 * 784, 128 * 784) == expected


@pytest.mark.parametrize(
    "settings", [(1, None, 784, 4704), (8, 0.0, 784, 4704), (8, None, 784, 500)]
)
def test_impossible_settings_are_refused(settings: tuple[int, float | None, int, int]) -> None:
    with pytest.raises(ConfigError, match=r"video\."):
        FrameSettings(*settings)


def assert_data_error_names(path: Path, fragment: str) -> None:
    with pytest.raises(DataError) as caught:
        read_clip(path, MINI)
    assert str(path) in caught.value.message
    assert fragment in caught.value.message


def test_missing_empty_and_special_files(tmp_path: Path) -> None:
    assert_data_error_names(tmp_path / "absent.mp4", "does not exist")
    (tmp_path / "empty.mp4").touch()
    assert_data_error_names(tmp_path / "empty.mp4", "empty")
    assert_data_error_names(tmp_path, "holds no .jpg or .png frames")
    os.mkfifo(tmp_path / "pipe.mp4")
    assert_data_error_names(tmp_path / "pipe.mp4", "not a regular file")


def test_text_and_playlists_are_refused(tmp_path: Path, clip_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video in here")
    assert_data_error_names(text, "cannot decode")
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.28,\n{clip_path.name}\n")
    assert_data_error_names(playlist, "cannot decode")
    concat = tmp_path / "concat.ffconcat"
    concat.write_text(f"ffconcat version 1.0\nfile {clip_path.name}\n")
    assert_data_error_names(concat, "cannot decode")


def test_one_frame_is_too_short(tmp_path: Path, write_clip: WriteClip) -> None:
    assert_data_error_names(write_clip(tmp_path / "one.mp4", num_frames=1), "1 frame")


@pytest.mark.parametrize("decoder", ["pyav", "decord", "torchcodec"])
def test_truncated_file_is_damaged(tmp_path: Path, clip_path: Path, decoder: str) -> None:
    require_decoder(decoder)
    cut = tmp_path / "cut.mp4"
    whole = clip_path.read_bytes()
    for keep_bytes in (100, len(whole) // 2, len(whole) - 200):
        cut.write_bytes(whole[:keep_bytes])
        with pytest.raises(DataError, match=r"cut\.mp4"):
            read_clip(cut, FrameSettings(8, None, 784, 4704, decoder))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_long_stream_gives_the_same_frames_by_seeking(
    tmp_path: Path, write_clip: WriteClip, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    options = {"g": "12", "bf": "3", "crf": "20", "x264-params": "open-gop=1"}
    path = write_clip(tmp_path / f"long.{suffix}", num_frames=120, square=True, options=options)
    settings = FrameSettings(6, None, 784, 10**6, "pyav")
    whole = read_clip(path, settings)
    num_decoded = 0
    original = decoders._decode_all

    def counted(*arguments: Any) -> Any:
        nonlocal num_decoded
        num_decoded += 1
        return original(*arguments)

    monkeypatch.setattr(decoders, "_decode_all", counted)
    monkeypatch.setattr(decoders, "MAX_FULL_DECODE_FRAMES", 100)
    sought = read_clip(path, settings)
    assert torch.equal(sought.frames_FCHW, whole.frames_FCHW)
    assert sought.source_indices == whole.source_indices == (0, 24, 48, 71, 95, 119)
    assert sought.timestamps_s == whole.timestamps_s
    assert num_decoded == (1 if suffix == "avi" else 0)  # avi keeps no presentation times


@pytest.mark.parametrize("decoder", ["pyav", "decord", "torchcodec"])
def test_lying_clip_is_shown_upright(tmp_path: Path, clip_path: Path, decoder: str) -> None:
    """A phone's portrait clip: the track header turns the image by a quarter, clockwise."""
    require_decoder(decoder)
    raw = clip_path.read_bytes()
    upright = read_clip(clip_path, FrameSettings(2, None, 784, 10**6, "pyav", size_factor_px=4))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    quarter = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 160 * 65536, 0, 1 << 30)
    header = raw.index(b"tkhd")
    matrix = raw.index(identity, header)
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(raw[:matrix] + quarter + raw[matrix + len(quarter) :])
    settings = FrameSettings(2, None, 784, 10**6, decoder, size_factor_px=4)
    clip = read_clip(turned, settings)
    clockwise = upright.frames_FCHW.rot90(-1, dims=(2, 3))
    assert clip.frames_FCHW.shape == clockwise.shape
    assert (clip.frames_FCHW.int() - clockwise.int()).abs().max() <= 3


def test_zeroed_payload_is_never_a_clip_of_fewer_frames(tmp_path: Path, clip_path: Path) -> None:
    damaged = bytearray(clip_path.read_bytes())
    start = damaged.index(b"mdat") + 4
    end = damaged.index(b"moov") - 4
    damaged[start:end] = bytes(end - start)
    path = tmp_path / "zeros.mp4"
    path.write_bytes(damaged)
    assert_data_error_names(path, "cannot decode")


def test_cache_answers_from_memory_and_notices_a_new_file(
    tmp_path: Path, write_clip: WriteClip
) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    cache = ClipCache(max_bytes=10**6)
    first = cache.read(path, MINI)
    assert cache.read(path, MINI) is first
    other = cache.read(path, FrameSettings(4, None, 784, 4704, "pyav"))
    assert len(other.timestamps_s) == 4
    write_clip(path, num_frames=16)
    assert cache.read(path, MINI).num_source_frames == 16
    assert (cache.num_hits, cache.num_misses) == (1, 3)


def test_cache_forgets_the_oldest(tmp_path: Path, write_clip: WriteClip) -> None:
    paths = [write_clip(tmp_path / f"{number}.mp4") for number in range(3)]
    clip_bytes = 8 * 3 * 56 * 84
    cache = ClipCache(max_bytes=2 * clip_bytes)
    for path in (*paths, paths[0], paths[2]):
        cache.read(path, MINI)
    assert cache.num_bytes == 2 * clip_bytes
    assert (cache.num_hits, cache.num_misses) == (1, 4)


def test_cache_refuses_missing_files_like_the_reader(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        ClipCache(10**6).read(tmp_path / "absent.mp4", MINI)
