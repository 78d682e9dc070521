"""`python -m tests.reliability`: measure the promises D1 to S8 as a table.

Without options the full counts, about three hours on two cores; `--share 0.1` does a tenth.
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

from tests.reliability.bench import Bench, World, make_world
from tests.reliability.figures import Figures
from tests.reliability.rows import PLAIN, ROWS, SHORT_FORMS, WITH_MODEL

TABLE = Path(__file__).parents[2] / "docs" / "reliability.md"


def main(arguments: list[str]) -> int:
    """Measure; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("rows", nargs="*", help="D1 ... S8; all without")
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
        world = make_world(root / "world") if set(rows) & set(WITH_MODEL) else None
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
    folder.mkdir(parents=True, exist_ok=True)
    if world is None or row in PLAIN:
        return PLAIN[row](count, folder)
    return WITH_MODEL[row](Bench(world, folder), count, folder)


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

_HEAD = f"""# What was measured of reliability

D rows: `vtk download` as a process of its own against a server on loopback that misbehaves as the
row says; its archives hold no real videos. T rows: real worker processes train the tiny
architecture on clips of clevrer-mini; they are killed, starved and given damaged files. `make
reliability` measures this table anew (one row with a tenth of the counts: `make reliability
ARGS="T4 --share 0.1"`), `make test` does a short form of each row. Seeds are fixed; the moments of
signals are not. To save time a process is forked from one that has imported the libraries already;
the tests of the commands start whole processes. T10's thresholds (`tests/reliability/series.py`)
were chosen with the recorded runs in view: its zero alarms say that such thresholds exist, its
delays what they cost. E rows: real `vtk eval` of an untaught tiny model on two clips, 8 questions
of 4 answers (E1, E2, E5, E9); grading and error bars need no model. L and S rows: real writers,
readers, terminals, children and servers on loopback. Rows count as their "done" says: some were
measured with a share of the full counts.

Machine: {_machine()}, shared with other work; one torch thread per process.

| | promise | done | came out | | when, in |
| --- | --- | --- | --- | --- | --- |
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
