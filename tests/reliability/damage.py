"""T2: a damaged checkpoint is noticed, put aside, and the one before it taken."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.reliability.bench import Bench
from tests.reliability.figures import Figures
from vtk.runs.store import RunPaths
from vtk.train.checkpoint import CheckpointStore


def damage_every_file(bench: Bench, num_offsets: int, seed: int = 0) -> Figures:
    """Cut, flip and delete each file of a run's newest checkpoint; ask for the newest good one."""
    result = Figures("T2", "A damaged checkpoint is noticed and the one before it is used")
    paths = bench.train("grpo", optim__num_steps=2, checkpoint__every_steps=1)
    files = sorted(path for path in paths.checkpoint_dir(2).iterdir())
    num_cases = 0
    for place, path in enumerate(files):
        for what, break_it in _ways(path, num_offsets, random.Random(seed + place)):
            silent = _try(paths, path, break_it)
            result.check(not silent, f"{path.name}, {what}: {silent}")
            num_cases += 1
    ways = f"cut at {num_offsets} places, as many bits flipped, and lost"
    result.count = f"each of {len(files)} files {ways}"
    num_noticed = num_cases - len(result.broken)
    result.figures = [f"{num_noticed} of {num_cases} noticed, the checkpoint before taken"]
    return result


def _ways(
    path: Path, num_offsets: int, draw: random.Random
) -> Iterator[tuple[str, Callable[[], object]]]:
    size = path.stat().st_size
    yield "deleted", path.unlink
    for _ in range(num_offsets):
        offset, bit = draw.randrange(size), draw.randrange(8)
        yield f"cut at {offset}", partial(os.truncate, path, offset)
        yield f"bit {bit} of {offset}", partial(_flip, path, offset, bit)


def _flip(path: Path, offset: int, bit: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)[0]
        stream.seek(offset)
        stream.write(bytes([byte ^ (1 << bit)]))


def _try(paths: RunPaths, path: Path, break_it: Callable[[], object]) -> str:
    """What was not noticed, or nothing; the folder is whole again afterwards."""
    folder, keep = path.parent, path.read_bytes()
    break_it()
    step, damaged = CheckpointStore(paths, num_kept=2).newest_good()
    for each in damaged:
        shutil.move(each.path, folder)
    path.write_bytes(keep)
    return "" if step == 1 and len(damaged) == 1 else f"taken as step {step}"
