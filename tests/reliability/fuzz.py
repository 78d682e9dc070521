"""S6: mutated and monstrous clips, through the checker's children and a run's own reader."""

import random
import struct
import time
from collections import Counter
from pathlib import Path

from tests.reliability.figures import Figures
from tests.unit.data.benchmarks.layouts import write_clip
from tests.unit.video.test_absurd_headers import patched
from tests.unit.video.test_prober import mutated
from vtk.errors import DataError
from vtk.video.frames import FrameSettings, read_clip
from vtk.video.prober import ProbeLimits, Prober

LIMITS = ProbeLimits(cpu_s=10, wall_s=30.0)
FRAMES = FrameSettings(num_frames=4, fps=None, min_pixels_px=784, max_pixels_px=4096)


def mutated_clips(num_clips: int, folder: Path, seed: int = 7) -> Figures:
    """Each clip is probed in a child with limits and read in this process."""
    result = Figures("S6", "A bad video cannot take the process down or eat the machine")
    draw = random.Random(seed)
    seeds = [write_clip(folder / f"seed{end}") for end in (".mp4", ".webm", ".avi", ".mkv")]
    outcomes: Counter[str] = Counter()
    slowest_s, largest_kib, before_kib = 0.0, 0, _own_kib("VmHWM")
    with Prober(LIMITS) as prober:
        clips = [*_monsters(folder), *(None for _ in range(num_clips))]
        for monster in clips:
            if monster is None:
                chosen = draw.choice(seeds)
                clip = folder / f"mutated{chosen.suffix}"
                clip.write_bytes(mutated(draw, chosen.read_bytes()))
            else:
                clip = monster
            began_s = time.monotonic()
            probe = prober.probe(clip)
            slowest_s = max(slowest_s, time.monotonic() - began_s)
            if prober._child is not None:
                largest_kib = max(largest_kib, _peak_kib(prober._child.pid))
            result.check(probe.problem is not None or probe.num_frames > 0, "no frames, accepted")
            result.check(monster is None or probe.problem is not None, f"{clip.name}: accepted")
            try:
                is_read = read_clip(clip, FRAMES).num_source_frames > 0
            except DataError:
                is_read = False
            outcomes[f"{'ok' if probe.problem is None else 'bad'}, {is_read}"] += 1
        num_died = prober.num_children - 1
    grown_mib = (_own_kib("VmHWM") - before_kib) / 1024
    result.check(slowest_s <= LIMITS.wall_s + 5, f"one took {slowest_s:.1f} s")
    result.check(grown_mib < 1024, f"reading grew this process by {grown_mib:.0f} MiB")
    result.count = f"{num_clips} mutations of 4 containers, {len(clips) - num_clips} monsters"
    result.figures = [
        f"0 deaths of the parent, {num_died} of a child; 0 clips without frames accepted",
        f"{outcomes['ok, True']} good for both, {outcomes['bad, False']} bad for both, "
        f"{outcomes['ok, False']} good for the checker alone, {outcomes['bad, True']} for the "
        "reader alone",
        f"at most {slowest_s:.2f} s a clip; child at most {largest_kib / 1024:.0f} MiB; reading in "
        f"the run's own process grew it by {grown_mib:.0f} MiB",
    ]
    return result


def _monsters(folder: Path) -> list[Path]:
    """Headers that promise what no file holds."""
    most = 0xFFFFFFF0
    made = [
        patched(folder / "samples.mp4", b"stsz", (4, 1), (8, 80_000_000)),
        patched(folder / "sync.mp4", b"stss", (4, 0x30000000)),
        patched(folder / "chunks.mp4", b"stco", (4, most), (8, 0)),
        patched(folder / "runs.mp4", b"stts", (4, 0x7FFFFFFF), (8, most)),
    ]
    content = write_clip(folder / "plain.mp4").read_bytes()
    moov = content.index(b"moov") - 4
    (size,) = struct.unpack_from(">I", content, moov)
    track_at = content.index(b"trak") - 4
    (track_size,) = struct.unpack_from(">I", content, track_at)
    track = content[track_at : track_at + track_size]
    tracks = track.replace(b"vide", b"soun") * 2000
    grown = struct.pack(">I", size + len(tracks)) + content[moov + 4 : track_at] + tracks
    many = folder / "tracks.mp4"
    many.write_bytes(content[:moov] + grown + content[track_at + track_size : moov + size])
    sparse = folder / "sparse.mp4"
    sparse.write_bytes(content[:32])
    with sparse.open("r+b") as stream:
        stream.truncate(1 << 40)
    return [*made, many, sparse]


def _peak_kib(pid: int) -> int:
    path = Path(f"/proc/{pid}/status")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def _own_kib(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
