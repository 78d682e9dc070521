"""Clips probed in real child processes: what is found, and what a clip can cost."""

import os
import random
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.data.benchmarks.layouts import FPS, NUM_FRAMES, write_clip, write_frame_folder
from vtk.errors import DataError
from vtk.video.frames import FrameSettings, read_clip
from vtk.video.probe import MAX_WHOLE_FRAMES, Probe, probe_clip
from vtk.video.prober import ProbeLimits, Prober

LIMITS = ProbeLimits()


def child_of(prober: Prober) -> int:
    assert prober._child is not None
    return prober._child.pid


def test_a_clip_is_described(tmp_path: Path) -> None:
    clip, folder = write_clip(tmp_path / "a.mp4"), write_frame_folder(tmp_path / "frames")
    with Prober(LIMITS) as prober:
        assert prober.probe(clip) == Probe(None, NUM_FRAMES, FPS, 3.0, 64, 64, "h264")
        assert prober.probe(folder) == Probe(None, 12, 3.0, 4.0, 64, 64, "images")
        assert prober.num_children == 1


def test_a_long_clip_is_decoded_at_some_places(tmp_path: Path) -> None:
    long = write_clip(tmp_path / "long.mp4", MAX_WHOLE_FRAMES + 1)
    found = probe_clip(long)
    assert (found.problem, found.num_frames, found.codec) == (None, MAX_WHOLE_FRAMES + 1, "h264")


def test_damaged_missing_and_odd_files_have_a_problem(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    (tmp_path / "torn.mp4").write_bytes(clip.read_bytes()[:1000])
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n{clip.name}\n")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder").mkdir()
    write_clip(tmp_path / "one.mp4", 1)
    names = ["torn.mp4", "empty.mp4", "text.mp4", "list.m3u8", "pipe.mp4", "folder", "one.mp4"]
    with Prober(LIMITS) as prober:
        problems = {name: prober.probe(tmp_path / name).problem for name in (*names, "no\n.mp4")}
        assert prober.num_children == 1
        assert prober.probe(clip).problem is None
    assert all(problems.values()), problems
    assert "does not exist" in str(problems["no\n.mp4"])
    assert "1 frame" in str(problems["one.mp4"])


def test_a_codec_that_nothing_decodes_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.avi")
    clip.write_bytes(clip.read_bytes().replace(b"FMP4", b"ZZZZ"))
    assert "codec is unknown" in str(probe_clip(clip).problem)
    frames = FrameSettings(num_frames=2, fps=None, min_pixels_px=784, max_pixels_px=4096)
    with pytest.raises(DataError, match="codec is unknown"):
        read_clip(clip, frames)


@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGSEGV, "crashes the decoder (SIGSEGV)"), (signal.SIGXCPU, "60 s of processor time")],
)
def test_a_child_that_dies_costs_one_clip(tmp_path: Path, number: int, said: str) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    with Prober(LIMITS) as prober:
        prober.probe(clip)
        os.kill(child_of(prober), number)
        assert said in str(prober.probe(clip).problem)
        assert prober.probe(clip).problem is None
        assert prober.num_children == 2


def test_a_clip_that_hangs_is_given_up(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    with Prober(LIMITS) as prober:
        prober.probe(clip)
        os.kill(child_of(prober), signal.SIGSTOP)
        prober.limits = replace(LIMITS, wall_s=0.2)
        assert prober.probe(clip).problem == "decoding it takes more than 0.2 s"
        prober.limits = LIMITS
        assert prober.probe(clip).problem is None


def test_a_clip_that_eats_memory_is_refused_and_the_next_is_not(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    huge = tmp_path / "huge"
    huge.mkdir()
    for number in range(2):
        Image.fromarray(np.zeros((4000, 4000, 3), np.uint8)).save(huge / f"{number}.png")
    with Prober(LIMITS) as prober:
        assert prober.probe(huge).problem is None
    with Prober(replace(LIMITS, memory_bytes=350 * 2**20)) as prober:
        assert prober.probe(huge).problem is not None
        assert prober.probe(clip).problem is None


def test_no_child_is_left_behind(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    with Prober(LIMITS) as prober:
        prober.probe(clip)
        child = child_of(prober)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def mutated(rng: random.Random, content: bytes) -> bytes:
    """A clip with bytes flipped, cut off, emptied, moved or put in."""
    data, at = bytearray(content), rng.randrange(1, len(content))
    match rng.randrange(5):
        case 0:
            for _ in range(rng.randint(1, 30)):
                data[rng.randrange(len(data))] = rng.randrange(256)
        case 1:
            del data[at:]
        case 2:
            data[at : at + 200] = bytes(len(data[at : at + 200]))
        case 3:
            data = data[at:] + data[:at]
        case _:
            data[at:at] = rng.randbytes(rng.randint(1, 300))
    return bytes(data)


def test_mutated_clips_are_read_or_refused_and_never_a_surprise(tmp_path: Path) -> None:
    rng = random.Random(7)
    seeds = [write_clip(tmp_path / f"seed{suffix}") for suffix in (".mp4", ".webm", ".avi", ".mkv")]
    frames = FrameSettings(num_frames=4, fps=None, min_pixels_px=784, max_pixels_px=4096)
    outcomes: Counter[tuple[bool, bool]] = Counter()
    with Prober(LIMITS) as prober:
        for _ in range(200):
            seed = rng.choice(seeds)
            clip = tmp_path / f"mutated{seed.suffix}"
            clip.write_bytes(mutated(rng, seed.read_bytes()))
            probe = prober.probe(clip)
            try:
                is_read = read_clip(clip, frames).num_source_frames >= 2
            except DataError:  # what training skips
                is_read = False
            outcomes[probe.problem is None, is_read] += 1
        assert prober.num_children == 1
    assert outcomes[True, False] <= 1
    assert min(outcomes[True, True], outcomes[False, False]) > 30
