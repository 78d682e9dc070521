"""S2: a path that data name stays below its root, links that are swapped meanwhile included."""

import os
import random
import threading
from pathlib import Path

from tests.reliability.figures import Figures
from vtk.data.resolve import resolve_under
from vtk.errors import DataError

PIECES = (
    "..", ".", "...", "videos", "a.mp4", "in", "out", "out/deep", "loop", "", " ", "~", "~root",
    "C:", "c:a", "\\", "\\..\\", "\\\\host\\share", "//host/share", "file:", "http://h", "data:",
    "\0", "\n", "\u202e", "\u2215", "\uff0e\uff0e", "%2e%2e", "$HOME", "aux", "x" * 300, "é", "🎲",
)  # fmt: skip


def nothing_leaves_its_root(num_paths: int, folder: Path, seed: int = 0) -> Figures:
    """Random references of hostile pieces; then a link that changes its target all the time."""
    result = Figures("S2", "No path from data leaves its root")
    root, outside = folder / "root", folder / "outside"
    (root / "videos").mkdir(parents=True)
    (outside / "deep").mkdir(parents=True)
    (root / "out").symlink_to(outside)
    (root / "in").symlink_to(root / "videos")
    (root / "loop").symlink_to(root / "loop")
    draw, num_refused, real = random.Random(seed), 0, root.resolve()
    for _ in range(num_paths):
        pieces = [draw.choice(PIECES) for _ in range(draw.randint(1, 6))]
        reference = draw.choice(("", "", "/", "./")) + draw.choice("/////\\.").join(pieces)
        try:
            target = resolve_under(root, reference)
        except DataError:
            num_refused += 1
            continue
        is_inside = target.is_relative_to(real) and Path(os.path.realpath(target)) == target
        result.check(is_inside and target != real, f"{reference!r} leads to {target}")
    num_swapped = _swap(root, outside, min(num_paths, 20_000), result)
    result.count = f"{num_paths} references of hostile pieces, {num_swapped} beside a changing link"
    result.figures = [f"0 escapes; {num_refused} refused, the others below the root"]
    return result


def _swap(root: Path, outside: Path, num: int, result: Figures) -> int:
    """What is given back was inside when it was looked at, however often a link changes."""
    link, is_over = root / "swapped", threading.Event()

    def swap() -> None:
        targets = (root / "videos", outside)
        for number in range(10**9):
            if is_over.is_set():
                return
            fresh = root / "fresh"
            fresh.symlink_to(targets[number % 2])
            fresh.replace(link)

    link.symlink_to(root / "videos")
    thread = threading.Thread(target=swap, daemon=True)
    thread.start()
    real = root.resolve()
    for _ in range(num):
        try:
            target = resolve_under(root, "swapped/a.mp4")
        except DataError:
            continue
        result.check(target == real / "videos" / "a.mp4", f"a changing link leads to {target}")
    is_over.set()
    thread.join()
    return num
