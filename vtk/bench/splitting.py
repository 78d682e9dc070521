"""Time and memory of `vtk split`, and of reading what it writes, in processes of their own."""

import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from vtk.bench.clevrer import num_questions, write_clevrer
from vtk.data.registry import PARTS, split_file
from vtk.errors import VtkError

_NAME: Final = "clevrer"
_SPLIT: Final = """
import sys
from vtk.cli.app import main
assert main(sys.argv[1:]) == 0
"""
_READ: Final = """
import sys
from pathlib import Path
from vtk.data.sample import load_samples
print(sum(len(load_samples(Path(path))) for path in sys.argv[1:]))
"""
_PEAK: Final = """
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print(line.split()[1], file=sys.stderr)
"""
"""Its own largest memory; what the system counts for a child includes its parent's at the fork."""

_QUESTIONS: Final = """
import sys
from pathlib import Path
from vtk.data.clevrer import iter_scenes
scenes = (scene for path in sys.argv[1:] for _, scene in iter_scenes(Path(path)))
print(sum(len(scene.raw_questions) for scene in scenes))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took.

    Attributes:
        wall_s: Seconds by the clock.
        processor_s: Seconds of the processor.
        peak_bytes: Its largest resident memory.
    """

    wall_s: float
    processor_s: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class SplitCost:
    """What one size of the set took.

    Attributes:
        share: Of the official size.
        num_questions: In both parts.
        num_bytes: Of questions and annotations.
        split: `vtk split clevrer`.
        questions: Going through both question files, one scene at a time.
        rows: Reading the training file that was written, as a run does.
    """

    share: float
    num_questions: int
    num_bytes: int
    split: Cost
    questions: Cost
    rows: Cost

    def as_json(self) -> dict[str, Any]:
        """The numbers as plain data."""
        return asdict(self)


def measure_split(data_dir: Path, share: float) -> SplitCost:
    """Write a set of this share of CLEVRER's size, and measure.

    Args:
        data_dir: An empty folder with room for 3 GB times `share`.
        share: Of the official number of scenes.

    Raises:
        VtkError: The command failed.
    """
    root = data_dir / _NAME
    num_bytes = write_clevrer(root, share)
    asked = [str(root / "questions" / f"{part}.json") for part in PARTS]
    options = ["split", _NAME, "--data-dir", str(data_dir), "--json"]
    return SplitCost(
        share=share,
        num_questions=sum(num_questions(share).values()),
        num_bytes=num_bytes,
        split=_cost(_SPLIT, options),
        questions=_cost(_QUESTIONS, asked),
        rows=_cost(_READ, [str(split_file(data_dir, _NAME, "train"))]),
    )


def _cost(code: str, arguments: list[str]) -> Cost:
    began_s = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-c", code + _PEAK, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    said = child.stderr.read().strip().splitlines()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stderr.close()
    if child.returncode != 0:
        raise VtkError(f"a measured process ended with exit code {child.returncode}: {said[-1:]}")
    peak_bytes = 1024 * int(said[-1])
    return Cost(time.monotonic() - began_s, used.ru_utime + used.ru_stime, peak_bytes)
