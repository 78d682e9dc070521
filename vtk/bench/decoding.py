"""How long a clip takes from file to frames: decoders, caches, and qwen-vl-utils as it comes."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import torch

from vtk.bench.clips import Workload, make_workloads
from vtk.bench.machine import this_machine
from vtk.bench.readers import (
    BASELINE,
    DISK,
    MEMORY,
    QwenReader,
    Way,
    find_decoders,
    make_ways,
    require_same_frames,
)
from vtk.bench.timing import Rounds, time_rounds
from vtk.video.decoders import decoder_version
from vtk.video.frames import read_clip

TARGETS: Final = {"cached": 50.0, "uncached": 1.5}
"""How many times as fast as qwen-vl-utils the disk cache and vtk's choice of decoder should be."""

_UINT8, _FLOAT32 = "resize uint8", "resize float32"
_CPU: Final = torch.device("cpu")

OnRound = Callable[[], None]


def bench_decoding(
    num_clips: int, num_rounds: int, on_round: OnRound = lambda: None
) -> dict[str, Any]:
    """Render clips, compare every way's frames, then time all ways in interleaved rounds.

    Args:
        num_clips: Clips of each kind.
        num_rounds: Measured rounds; one more is not measured.
        on_round: Called after each round of each kind.

    Returns:
        The document of `vtk bench decode --json`. Times are of one clip, in milliseconds; ratios
        are how many times as long qwen-vl-utils takes, of processor time unless they say wall.

    Raises:
        MissingEnvironmentError: qwen-vl-utils does not import.
        VtkError: The ways do not give the same frames.
    """
    qwen = QwenReader()
    decoders, absent = find_decoders()
    with TemporaryDirectory(prefix="vtk-bench-") as name:
        folder = Path(name)
        found = {}
        for workload in make_workloads(folder, num_clips):
            ways = make_ways(workload, decoders, qwen, folder / workload.preset)
            gate = require_same_frames(workload, ways, decoders, qwen)
            found[workload.name] = gate | _measure(workload, ways, num_rounds, on_round)
    return {
        "machine": this_machine(_CPU).as_json(),
        "num_rounds": num_rounds,
        "decoders": {name: decoder_version(name) for name in decoders},
        "absent": absent,
        "baseline_decoder": qwen.decoder,
        "targets": TARGETS,
        "workloads": found,
    }


def _measure(
    workload: Workload, ways: Mapping[str, Way], num_rounds: int, on_round: OnRound
) -> dict[str, Any]:
    """Times and ratios of one kind of clip."""
    over_clips = {name: partial(_read_all, way, workload.clips) for name, way in ways.items()}
    watch = _Stopwatch(over_clips | _resizes(workload))
    rounds = time_rounds(watch.variants, num_rounds, _CPU, lambda _: on_round())
    clip = read_clip(workload.clips[0], workload.settings)
    num_clips = len(workload.clips)
    return workload.as_json() | {
        "frames_FCHW": list(clip.frames_FCHW.shape),
        "variants": {name: _facts(name, rounds, watch.walls(), num_clips) for name in ways},
        "resize": {
            "uint8_ms": _per_clip_ms(rounds, _UINT8, num_clips),
            "float32_ms": _per_clip_ms(rounds, _FLOAT32, num_clips),
            "ratio": rounds.ratio(_FLOAT32, _UINT8),
        },
        "ratio": {
            "cached": rounds.ratio(BASELINE, DISK),
            "memory": rounds.ratio(BASELINE, MEMORY),
            "uncached": rounds.ratio(BASELINE, clip.decoder),
        },
        "chosen_decoder": clip.decoder,
    }


def _read_all(way: Way, clips: Sequence[Path]) -> None:
    for path in clips:
        way(path)


def _resizes(workload: Workload) -> dict[str, Callable[[], None]]:
    """Resizing alone, as vtk does it and on floats."""
    sources = [read_clip(path, workload.unresized).frames_FCHW for path in workload.clips]
    size = read_clip(workload.clips[0], workload.settings).frames_FCHW.shape[2:]

    def resize(dtype: torch.dtype) -> None:
        for frames_FCHW in sources:
            torch.nn.functional.interpolate(
                frames_FCHW.to(dtype), size=size, mode="bicubic", antialias=True
            )

    return {_UINT8: partial(resize, torch.uint8), _FLOAT32: partial(resize, torch.float32)}


class _Stopwatch:
    """Notes wall time beside the processor time that rounds are made of.

    qwen-vl-utils lets its decoder use every core, which processor time charges it for in full.
    """

    def __init__(self, runs: Mapping[str, Callable[[], None]]) -> None:
        self._seconds: dict[str, list[float]] = {name: [] for name in runs}
        self.variants = {name: partial(self._run, name, run) for name, run in runs.items()}

    def walls(self) -> Rounds:
        """Wall seconds of the measured rounds."""
        return Rounds({name: seconds[1:] for name, seconds in self._seconds.items()})

    def _run(self, name: str, run: Callable[[], None]) -> None:
        start_s = perf_counter()
        run()
        self._seconds[name].append(perf_counter() - start_s)


def _facts(name: str, rounds: Rounds, walls: Rounds, num_clips: int) -> dict[str, Any]:
    return {
        "cpu_ms": _per_clip_ms(rounds, name, num_clips),
        "wall_ms": _per_clip_ms(walls, name, num_clips),
        "ratio": rounds.ratio(BASELINE, name),
        "wall_ratio": walls.ratio(BASELINE, name),
    }


def _per_clip_ms(rounds: Rounds, name: str, num_clips: int) -> float:
    return 1000 * rounds.median_s(name) / num_clips
