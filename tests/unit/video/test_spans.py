"""A part of a clip, other containers, and clips kept as a folder of frames."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.unit.data.benchmarks.layouts import (
    FPS,
    NUM_FRAMES,
    frame,
    write_clip,
    write_frame_folder,
)
from vtk.errors import DataError
from vtk.video.cache import ClipCache
from vtk.video.cache_folder import CacheFolder
from vtk.video.frame_folder import folder_sha256
from vtk.video.frames import (
    Clip,
    FrameSettings,
    frames_in_span,
    num_sampled_frames,
    read_clip,
)
from vtk.video.pixel_cache import PixelCache

SETTINGS = FrameSettings(
    num_frames=4, fps=None, min_pixels_px=784, max_pixels_px=4096, decoder="pyav"
)


def greys(clip: Clip) -> list[int]:
    return [round(float(picture.float().mean())) for picture in clip.frames_FCHW]


def expected_greys(indices: tuple[int, ...], num_frames: int = NUM_FRAMES) -> list[int]:
    return [int(frame(index, num_frames)[0, 0, 0]) for index in indices]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".avi"])
def test_a_span_shows_its_frames_and_no_other(tmp_path: Path, suffix: str) -> None:
    path = write_clip(tmp_path / f"clip{suffix}")
    clip = read_clip(path, replace(SETTINGS, span_s=(1.0, 2.0)))
    assert clip.source_indices == (8, 11, 13, 16)
    assert clip.timestamps_s == pytest.approx(
        [index / FPS for index in clip.source_indices], abs=0.01
    )
    assert greys(clip) == pytest.approx(expected_greys(clip.source_indices), abs=4)
    assert read_clip(path, SETTINGS).source_indices == (0, 8, 15, 23)


@pytest.mark.parametrize(
    ("span_s", "found"),
    [
        (None, (0, 24)),
        ((0.0, 3.0), (0, 24)),
        ((1.0, 2.0), (8, 9)),
        ((2.0, 99.0), (16, 8)),
        ((1.0, 1.01), (8, 2)),
        ((2.9, 3.0), (22, 2)),
    ],
)
def test_spans_in_frames(span_s: tuple[float, float] | None, found: tuple[int, int]) -> None:
    assert frames_in_span(24, 8.0, span_s) == found


def test_a_span_beyond_the_clip_is_an_error_that_names_both() -> None:
    with pytest.raises(
        DataError, match=r"seconds 5 to 6 are asked for, but the clip ends after 3\.0 s"
    ):
        frames_in_span(24, 8.0, (5.0, 6.0))


def test_a_rate_counts_the_seconds_of_the_span(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    clip = read_clip(path, replace(SETTINGS, num_frames=32, fps=2.0, span_s=(0.0, 2.0)))
    assert len(clip.source_indices) == 4


def test_rounding_down_counts_frames_as_qwen_vl_utils_does() -> None:
    vision = importlib.import_module("qwen_vl_utils.vision_process")
    recipe = replace(SETTINGS, num_frames=32, fps=2.0, rounding="down")
    for fps in (3.0, 8.0, 23.976, 25.0, 29.97, 60.0):
        for num_source_frames in (*range(4, 140), 500, 1799, 20_000):
            wanted = {"fps": 2.0, "max_frames": min(32, num_source_frames)}
            expected = vision.smart_nframes(wanted, num_source_frames, fps)
            assert num_sampled_frames(num_source_frames, fps, recipe) == expected


def test_spans_of_one_clip_are_kept_apart_in_memory_and_on_disk(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    folder = CacheFolder(tmp_path / "cache", 2**24)
    spans = [None, (0.0, 1.0), (1.0, 2.0)]
    for _ in range(2):
        clips = ClipCache(2**24, PixelCache(folder, min_age_s=0.0))
        read = [clips.read(path, replace(SETTINGS, span_s=span)).source_indices for span in spans]
        assert read == [(0, 8, 15, 23), (0, 3, 5, 8), (8, 11, 13, 16)]


def test_tags_that_are_not_utf8_do_no_harm(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    before = read_clip(clip, SETTINGS)
    clip.write_bytes(clip.read_bytes().replace(b"VideoHandler", b"Vid\xe9oHandler"))
    assert read_clip(clip, SETTINGS).frames_FCHW.equal(before.frames_FCHW)


def test_a_folder_of_frames_is_a_clip_at_three_a_second(tmp_path: Path) -> None:
    folder = write_frame_folder(tmp_path / "frames")
    clip = read_clip(folder, replace(SETTINGS, span_s=(1.0, 3.0)))
    assert (clip.decoder, clip.source_fps, clip.num_source_frames) == ("pillow", 3.0, 12)
    assert clip.source_indices == (3, 5, 7, 9)
    assert clip.timestamps_s == pytest.approx((1.0, 5 / 3, 7 / 3, 3.0))
    assert greys(clip) == pytest.approx(expected_greys(clip.source_indices, 12), abs=3)


def test_the_hash_of_a_folder_sees_names_and_contents(tmp_path: Path) -> None:
    folder = write_frame_folder(tmp_path / "frames")
    first = folder_sha256(folder)
    assert folder_sha256(folder) == first
    (folder / "00001.jpg").rename(folder / "00000.jpg")
    renamed = folder_sha256(folder)
    Image.fromarray(frame(23)).save(folder / "00003.jpg")
    assert len({first, renamed, folder_sha256(folder)}) == 3


def test_hostile_folders_are_refused(tmp_path: Path) -> None:
    folder = write_frame_folder(tmp_path / "frames")
    (folder / "00002.jpg").write_bytes(b"GIF89a not a jpeg")
    with pytest.raises(DataError, match="00002"):
        read_clip(folder, replace(SETTINGS, num_frames=12))
    Image.new("RGB", (32, 64)).save(folder / "00002.jpg")
    with pytest.raises(DataError, match="change their size"):
        read_clip(folder, replace(SETTINGS, num_frames=12))
    (folder / "00002.jpg").unlink()
    (folder / "00002.jpg").symlink_to("/etc/hostname")
    with pytest.raises(DataError, match=r"00002\.jpg is no plain file"):
        read_clip(folder, SETTINGS)
