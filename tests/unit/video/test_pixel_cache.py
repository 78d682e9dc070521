"""The cache on disk: the same clip to the last bit, never a damaged one, never in the way."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vtk.errors import DataError, MissingEnvironmentError
from vtk.video import decoders, pixel_cache
from vtk.video.cache import ClipCache
from vtk.video.cache_folder import CacheFolder
from vtk.video.entries import DamagedEntry, encode_entry, frames_checksum, read_entry
from vtk.video.frames import Clip, FrameSettings, read_clip
from vtk.video.pixel_cache import PixelCache, entry_key, open_pixel_cache

WriteClip = Callable[..., Path]
MINI = FrameSettings(num_frames=8, fps=None, min_pixels_px=784, max_pixels_px=4704, decoder="pyav")
KEY = "0" * 64


@pytest.fixture
def clip_path(tmp_path: Path, write_clip: WriteClip) -> Path:
    return write_clip(tmp_path / "clip.mp4", square=True)


def open_cache(tmp_path: Path, max_bytes: int = 10**8, min_free_bytes: int = 0) -> PixelCache:
    """The cache as a process finds it; a file may have been written a moment ago."""
    return PixelCache(CacheFolder(tmp_path / "cache", max_bytes, min_free_bytes), min_age_s=0)


def entries(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "clips").iterdir())


def same(left: Clip, right: Clip) -> bool:
    facts = replace(left, frames_FCHW=right.frames_FCHW)
    return torch.equal(left.frames_FCHW, right.frames_FCHW) and facts == right


@pytest.mark.parametrize("decoder", ["pyav", "decord", "torchcodec", "auto"])
@pytest.mark.parametrize("fps", [None, 7.0])
def test_a_cached_clip_is_the_decoded_one(
    tmp_path: Path, clip_path: Path, decoder: str, fps: float | None
) -> None:
    try:
        decoders.choose_decoder(decoder)
    except MissingEnvironmentError as error:
        pytest.skip(error.message)
    asked = replace(MINI, decoder=decoder, fps=fps)
    decoded = read_clip(clip_path, asked)
    first, second = (open_cache(tmp_path), open_cache(tmp_path))
    assert same(first.read(clip_path, asked), decoded)
    found = second.read(clip_path, asked)
    assert same(found, decoded)
    assert found.frames_FCHW.dtype == torch.uint8
    assert found.frames_FCHW.stride() == decoded.frames_FCHW.stride()
    assert (first.counts.num_hits, first.counts.num_misses) == (0, 1)
    assert (second.counts.num_hits, second.counts.num_misses) == (1, 0)


def test_the_memory_cache_stands_above_the_disk(tmp_path: Path, clip_path: Path) -> None:
    disk = open_cache(tmp_path)
    first, second = ClipCache(10**6, disk), ClipCache(10**6, disk)
    assert first.read(clip_path, MINI) is first.read(clip_path, MINI)
    assert same(second.read(clip_path, MINI), first.read(clip_path, MINI))
    assert (disk.counts.num_hits, disk.counts.num_misses) == (1, 1)


def test_the_same_content_elsewhere_is_found(tmp_path: Path, clip_path: Path) -> None:
    open_cache(tmp_path).read(clip_path, MINI)
    moved = shutil.copy(clip_path, tmp_path / "moved.mp4")
    cache = open_cache(tmp_path)
    cache.read(Path(moved), MINI)
    assert (cache.counts.num_hits, len(entries(tmp_path))) == (1, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"num_frames": 4},
        {"fps": 3.0},
        {"max_pixels_px": 3136},
        {"min_pixels_px": 4704, "max_pixels_px": 9408},
        {"size_factor_px": 14},
        {"span_s": (0.0, 1.0)},
        {"rounding": "down"},
    ],
    ids=str,
)
def test_every_setting_has_its_own_entry(change: dict[str, Any]) -> None:
    other = replace(MINI, **change)
    assert entry_key(KEY, other, "pyav") != entry_key(KEY, MINI, "pyav")


@pytest.mark.parametrize("name", ["decoder_version", "PIXELS_VERSION", "ENTRY_FORMAT"])
def test_another_version_has_its_own_entry(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = entry_key(KEY, MINI, "pyav")
    other = (lambda _: "0.0") if name == "decoder_version" else 99
    monkeypatch.setattr(pixel_cache, name, other)
    assert entry_key(KEY, MINI, "pyav") != before
    assert entry_key(KEY, MINI, "decord") != entry_key(KEY, MINI, "pyav")
    assert entry_key("1" * 64, MINI, "pyav") != entry_key(KEY, MINI, "pyav")


def test_a_rewritten_file_is_noticed_though_its_size_and_date_are_kept(
    tmp_path: Path, write_clip: WriteClip
) -> None:
    path = write_clip(tmp_path / "clip.mp4", square=True)
    before = path.stat()
    cache = open_cache(tmp_path)
    cache.read(path, MINI)
    other = write_clip(tmp_path / "other.mp4", square=False).read_bytes()
    path.write_bytes(other + bytes(before.st_size - len(other)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (
        before.st_size,
        before.st_mtime_ns,
        before.st_ino,
    )
    assert same(cache.read(path, MINI), read_clip(path, MINI))
    assert (cache.counts.num_hits, cache.counts.num_misses) == (0, 2)


def test_a_video_that_was_just_written_is_not_kept_yet(tmp_path: Path, clip_path: Path) -> None:
    cache = PixelCache(CacheFolder(tmp_path / "cache", 10**8, 0), min_age_s=3600)
    cache.read(clip_path, MINI)
    assert not (tmp_path / "cache").exists()
    assert cache.take_notice() is None


def test_a_video_that_changes_while_it_is_decoded_is_not_kept(
    tmp_path: Path, clip_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rewritten_after(path: Path, asked: FrameSettings) -> Clip:
        clip = read_clip(path, asked)
        path.write_bytes(path.read_bytes() + b"more")
        return clip

    monkeypatch.setattr(pixel_cache, "read_clip", rewritten_after)
    open_cache(tmp_path).read(clip_path, MINI)
    assert not (tmp_path / "cache" / "clips").exists()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut by one byte": lambda content: content[:-1],
    "cut in its header": lambda content: content[:60],
    "cut in its frames": lambda content: content[:4096],
    "empty": lambda _: b"",
    "longer": lambda content: content + bytes(64),
    "one bit of a frame": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "one bit of the header": lambda content: content[:70] + bytes([content[70] ^ 1]) + content[71:],
    "zeros from a page on": lambda content: content[:8192] + bytes(len(content) - 8192),
    "two pages exchanged": lambda content: (
        content[:4096] + content[8192:12288] + content[4096:8192] + content[12288:]
    ),
    "another file": lambda _: b"not an entry" * 1000,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_deleted_and_decoded_again(
    tmp_path: Path, clip_path: Path, damage: str
) -> None:
    decoded = open_cache(tmp_path).read(clip_path, MINI)
    [entry] = entries(tmp_path)
    whole = entry.read_bytes()
    entry.write_bytes(DAMAGES[damage](whole))
    assert entry.read_bytes() != whole
    cache = open_cache(tmp_path)
    assert same(cache.read(clip_path, MINI), decoded)
    assert (cache.counts.num_damaged, cache.counts.num_hits) == (1, 0)
    assert entry.read_bytes() == whole
    assert same(cache.read(clip_path, MINI), decoded)
    assert cache.counts.num_hits == 1


def test_an_entry_under_another_name_is_refused(tmp_path: Path, clip_path: Path) -> None:
    clip = read_clip(clip_path, MINI)
    path = tmp_path / "entry"
    path.write_bytes(b"".join(encode_entry(KEY, clip)))
    assert same(read_entry(path, KEY), clip)
    with pytest.raises(DamagedEntry, match="another clip"):
        read_entry(path, "1" * 64)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_no_single_changed_byte_is_served(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    frames = torch.arange(4 * 3 * 28 * 56).view(4, 3, 28, 56).to(torch.uint8)
    clip = Clip(frames, (0.0, 0.1, 0.2, 0.3), 10.0, 4, "pyav", (0, 1, 2, 3))
    content = bytearray(b"".join(encode_entry(KEY, clip)))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.getbasetemp() / "changed_entry"
    path.write_bytes(content)
    try:
        found = read_entry(path, KEY)
    except DamagedEntry:
        return
    assert same(found, clip), "only the zeros between header and frames may change unnoticed"


@given(st.integers(0, 40_000), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_the_checksum_sees_each_byte(num_bytes: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    payload = generator.integers(0, 256, num_bytes, dtype=np.uint8)
    whole = frames_checksum(payload)
    assert frames_checksum(payload.copy()) == whole
    if num_bytes:
        payload[generator.integers(num_bytes)] ^= 1
        assert frames_checksum(payload) != whole
        assert frames_checksum(payload[:-1]) != frames_checksum(payload)


def test_missing_and_damaged_videos_fail_as_without_a_cache(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"this is not a video" * 100)
    (tmp_path / "empty.mp4").touch()
    cache = open_cache(tmp_path)
    for name in ("absent.mp4", "broken.mp4", "empty.mp4", "."):
        with pytest.raises(DataError) as plain:
            read_clip(tmp_path / name, MINI)
        for _ in range(2):
            with pytest.raises(DataError) as cached:
                cache.read(tmp_path / name, MINI)
            assert cached.value.message == plain.value.message
    assert not (tmp_path / "cache" / "clips").exists()


def test_a_decoder_that_is_not_here_fails_as_without_a_cache(
    tmp_path: Path, clip_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_cache(tmp_path).read(clip_path, MINI)
    monkeypatch.setattr(decoders, "_import_fault", lambda _: "gone")
    with pytest.raises(MissingEnvironmentError, match="pyav does not work here: gone"):
        open_cache(tmp_path).read(clip_path, MINI)


def test_zero_switches_it_off_and_the_environment_moves_it(tmp_path: Path) -> None:
    environ = {"VTK_CACHE_DIR": str(tmp_path / "here")}
    assert open_pixel_cache(0.0, environ) is None
    cache = open_pixel_cache(0.5, environ)
    assert cache is not None
    assert cache.folder.root == tmp_path / "here"
    assert cache.folder.max_bytes == 2**29


READER = """
import sys
from pathlib import Path
from vtk.video.cache_folder import CacheFolder
from vtk.video.frames import FrameSettings
from vtk.video.pixel_cache import PixelCache
root, max_bytes, seed, *videos = sys.argv[1:]
cache = PixelCache(CacheFolder(Path(root), int(max_bytes), 0), min_age_s=0)
import random
order = videos * 8
random.Random(int(seed)).shuffle(order)
for video in order:
    clip = cache.read(Path(video), FrameSettings(8, None, 784, 4704, "pyav"))
    print(video, hash(clip.frames_FCHW.numpy().tobytes()), flush=True)
print(cache.counts.num_damaged, cache.take_notice())
"""


@pytest.mark.slow
def test_processes_read_write_and_evict_at_once(tmp_path: Path, write_clip: WriteClip) -> None:
    """Room for two of five clips, so that each process deletes what the others read."""
    videos = [
        str(write_clip(tmp_path / f"{number}.mp4", num_frames=16 + number, square=True))
        for number in range(5)
    ]
    entry_bytes = 8 * 3 * 56 * 84 + 2048
    command = [sys.executable, "-c", READER, str(tmp_path / "cache"), str(2 * entry_bytes)]
    environ = os.environ | {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    children = [
        subprocess.Popen([*command, seed, *videos], stdout=subprocess.PIPE, text=True, env=environ)
        for seed in "123"
    ]
    told = [child.communicate(timeout=120)[0].splitlines() for child in children]
    assert [child.returncode for child in children] == [0, 0, 0]
    assert [lines[-1] for lines in told] == ["0 None"] * 3
    pixels = {line for lines in told for line in lines[:-1]}
    assert len(pixels) == 5, "each clip has one content, whoever read it from where"
    assert all(path.suffix == ".clip" for path in entries(tmp_path))
    assert len(entries(tmp_path)) <= 5
