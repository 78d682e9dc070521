"""`python -m tests.reliability`: measure the promises D1 to D10 and T1 to T12 as a table.

Without options the full counts, about two hours on two cores; `--share 0.1` does a tenth.
Rows that are named are measured again, the others stay as the table has them.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from tests.reliability import (
    clips,
    damage,
    disk,
    downloads,
    kills,
    memory,
    nonfinite,
    refusals,
    repulsion,
    resume,
    sameness,
    series,
    signals,
)
from tests.reliability.bench import Bench, World, make_world
from tests.reliability.figures import Figures

TABLE = Path(__file__).parents[2] / "docs" / "reliability.md"
Measure = Callable[[Bench, Callable[[int], int], Path], list[Figures]]
MeasureDownload = Callable[[Callable[[int], int], Path], list[Figures]]

DOWNLOADS: dict[str, MeasureDownload] = {
    "D1": lambda n, folder: [downloads.kill_at_random(n(200), folder)],
    "D2": lambda n, folder: [downloads.damage_in_transit(n(300), folder)],
    "D3": lambda _, folder: [refusals.never_a_splice(folder)],
    "D4": lambda n, folder: [downloads.bad_networks(n(500), folder)],
    "D5": lambda n, folder: [refusals.too_little_room(n(20), folder)],
    "D6": lambda n, folder: [downloads.together(n(50), 4, folder)],
    "D7": lambda n, folder: [downloads.kill_while_unpacking(n(100), folder)],
    "D8": lambda _, folder: [refusals.hostile_archives(folder)],
    "D9": lambda _, folder: [refusals.only_who_was_named(folder)],
    "D10": lambda n, folder: [downloads.interrupts(n(100), folder)],
}
"""What a download survives; needs no model."""

MEASURES: dict[str, Measure] = {
    "T1": lambda bench, n, _: [
        kills.kill_at_random(bench, n(200)),
        kills.kill_before_each_write(bench),
    ],
    "T2": lambda bench, n, _: [damage.damage_every_file(bench, n(20))],
    "T3": lambda bench, n, _: [resume.stop_at_every_step(bench, max(2, n(12)))],
    "T4": lambda bench, n, _: [signals.stop_everywhere(bench, n(20))],
    "T5": lambda bench, n, folder: [
        disk.fault_at_each_change(bench),
        disk.file_size_limits(bench, n(20)),
        *([disk.small_disk(bench, n(20), folder)] if disk.can_mount(folder) else []),
    ],
    "T6": lambda bench, n, _: [clips.broken_shares(bench, n(200), [0.0, 0.01, 0.05, 0.2])],
    "T7": lambda bench, *_: [
        nonfinite.poison_each_source(bench, [float("nan"), float("inf"), float("-inf")])
    ],
    "T8": lambda _, n, __: [repulsion.worst_gaps(n(20_000)), repulsion.push_a_toy(n(2000), 5)],
    "T9": lambda bench, *_: [
        memory.address_space_limits(bench, [200, 100, 70, 50, 40, 30, 20, 10])
    ],
    "T10": lambda _, n, __: [series.watch_series(n(100), n(100))],
    "T11": lambda bench, *_: [sameness.same_seed_same_run(bench, 4)],
    "T12": lambda bench, *_: [sameness.video_reaches_the_model(bench)],
}

ROWS = [*DOWNLOADS, *MEASURES]


def main(arguments: list[str]) -> int:
    """Measure; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("rows", nargs="*", help="D1 ... D10, T1 ... T12; all without")
    parser.add_argument("--share", type=float, default=1.0, help="of the full counts")
    parser.add_argument("--out", type=Path, default=TABLE, help="the table")
    options = parser.parse_args(arguments)
    unknown = set(options.rows) - set(ROWS)
    if unknown:
        parser.error(f"no such rows: {sorted(unknown)}; there are {', '.join(ROWS)}")
    torch.set_num_threads(1)
    is_kept = True
    with tempfile.TemporaryDirectory(prefix="reliability-") as name:
        root = Path(name)
        rows = options.rows or ROWS
        world = make_world(root / "world") if set(rows) & set(MEASURES) else None
        for row in rows:
            began_s = time.monotonic()
            found = _measure(row, world, lambda n: max(1, round(n * options.share)), root / row)
            is_kept &= not any(each.broken for each in found)
            _write(options.out, row, found, time.monotonic() - began_s)
            for each in found:
                print(json.dumps(asdict(each)), flush=True)  # noqa: T201
    return 0 if is_kept else 1


def _measure(
    row: str, world: World | None, count: Callable[[int], int], folder: Path
) -> list[Figures]:
    if world is None or row in DOWNLOADS:
        return DOWNLOADS[row](count, folder)
    return MEASURES[row](Bench(world, folder), count, folder)


def _write(path: Path, row: str, found: list[Figures], took_s: float) -> None:
    """Replace one row's lines in the table; the others stay."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    heading = _TESTS.strip().splitlines()[0]
    lines = lines[: lines.index(heading)] if heading in lines else lines
    kept = {name: [line for line in lines if line.startswith(f"| {name} |")] for name in ROWS}
    kept[row] = [_line(each, took_s) for each in found]
    table = "\n".join(line for name in ROWS for line in kept[name])
    tests = "\n".join(f"| {name} | {where} |" for name, where in SHORT_FORMS.items())
    path.write_text(f"{_HEAD}{table}\n{_TESTS}{tests}\n", encoding="utf-8")


def _line(each: Figures, took_s: float) -> str:
    verdict = "kept" if not each.broken else f"BROKEN: {'; '.join(each.broken[:5])}"
    cells = [each.row, each.promise, each.count, "<br>".join(each.figures), verdict]
    where = f"{time.strftime('%Y-%m-%d')}, {took_s / 60:.1f} min"
    return "| " + " | ".join(cell.replace("|", "/") for cell in [*cells, where]) + " |"


def _machine() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{len(names)} cores of {names[0]}, {versions}"


_TESTS = """
## The same promises in `make test`

| | tests |
| --- | --- |
"""

SHORT_FORMS = {
    "D1": "test_download_process (whole processes and 4 kills), test_partial",
    "D2": "test_transfer (bit, block, swap), test_get (an archive without a hash)",
    "D3": "test_reply (the table), test_transfer, test_download_process",
    "D4": "test_transfer (each fault), test_download_process (4 schedules)",
    "D5": "test_get, test_small_parts, test_download_process (RLIMIT_FSIZE)",
    "D6": "test_claim, test_download_process (3 processes)",
    "D7": "test_archives, test_download_process (1 kill)",
    "D8": "test_archives (25 kinds, names as a property), test_get",
    "D9": "test_get (offline, token), test_download_process (proxy, connections)",
    "D10": "test_download_process",
    "T1": "test_reliability (3 kills), test_training_process (`kill -9`), test_checkpoint",
    "T2": "test_reliability (every file), test_checkpoint, test_training_resume",
    "T3": "test_training_resume: each step, both passes, evaluation, LoRA",
    "T4": "test_reliability (each phase), test_training_process, test_training_resume",
    "T5": "test_reliability (RLIMIT_FSIZE, tmpfs), test_checkpoint, test_training_run",
    "T6": "test_reliability (20 % of eight kinds), test_training_run (order, empty steps, budget)",
    "T7": "test_reliability (NaN in five places), test_training_run",
    "T8": "test_losses (bounds as a property, the formula in numpy), test_repulsion_step",
    "T9": "test_training_memory (refused allocations in each phase), test_microbatch, test_shared",
    "T10": "test_reliability (100 healthy runs, 8 faults), test_guards",
    "T11": "test_training_run, test_dataset_order",
    "T12": "test_reliability, test_prompts",
}

_HEAD = f"""# What was measured of reliability

D rows: `vtk download` as a process of its own against a server on loopback that misbehaves as the
row says; its archives hold no real videos. T rows: real worker processes train the tiny
architecture on clips of clevrer-mini; they are killed, starved and given damaged files. `make
reliability` measures this table anew (one row with a tenth of the counts: `make reliability
ARGS="T4 --share 0.1"`), `make test` does a short form of each row. Seeds are fixed; the moments of
signals are not. To save time a process is forked from one that has imported the libraries already;
the tests of the commands start whole processes. T10's thresholds (`tests/reliability/series.py`)
were chosen with the recorded runs in view: its zero alarms say that such thresholds exist, its
delays what they cost.

Machine: {_machine()}, shared with other work; one torch thread per process.

| | promise | done | came out | | when, in |
| --- | --- | --- | --- | --- | --- |
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
