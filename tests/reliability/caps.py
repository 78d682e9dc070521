"""S8: inputs that are too large, too deep or too many, each in a process that is measured."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from tests.reliability.figures import Figures
from tests.reliability.fuzz import _own_kib
from tests.reliability.process import fork
from vtk.errors import VtkError

REFUSED = 4
ROW = {
    "problem": "What happens?\nA. one\nB. two", "options": ["one", "two"], "solution": "A",
    "video": "videos/a.mp4", "label": "observational",
}  # fmt: skip


def absurd_inputs(num_mib: int, folder: Path, num_rows: int) -> Figures:
    """A huge row, deep nesting, a million rows: what it costs until they are refused or read."""
    result = Figures("S8", "Resource use is capped")
    cases: dict[str, tuple[Callable[[Path, int], None], bool, float]] = {
        f"one row of {num_mib} MiB in a list": (_huge_element, True, 700),
        f"one row of {num_mib} MiB on a line": (_huge_line, True, 700),
        "brackets 10^6 deep in a list": (_deep_element, True, 100),
        "brackets 10^6 deep on a line": (_deep_line, True, 100),
        f"{num_rows} rows": (_many_rows, False, 6000),
    }
    for number, (name, (write, is_refused, most_mib)) in enumerate(cases.items()):
        path, told = folder / f"{number}.json", folder / f"{number}.told"
        write(path, num_rows if write is _many_rows else num_mib)
        code = fork(lambda: _read(path, told), folder / "log").wait(600)  # noqa: B023
        result.check(code == (REFUSED if is_refused else 0), f"{name}: exit {code}")
        path.unlink()
        if not told.exists():
            result.check(False, f"{name}: the process died")
            continue
        took_s, grown_mib = json.loads(told.read_text())
        result.check(grown_mib < most_mib, f"{name}: {grown_mib:.0f} MiB")
        what = "refused" if code == REFUSED else "read"
        result.figures.append(f"{name}: {what} after {took_s:.1f} s with {grown_mib:.0f} MiB")
    result.count = f"{len(cases)} files of questions; packed bombs are D8, clips S6, logs L7"
    return result


def _read(path: Path, told: Path) -> int:
    from vtk.data.sample import load_samples

    before_kib, began_s, code = _own_kib("VmRSS"), time.monotonic(), 0
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    try:
        load_samples(path)
    except VtkError as error:
        code = error.exit_code
    grown_mib = (_own_kib("VmHWM") - before_kib) / 1024
    told.write_text(json.dumps([time.monotonic() - began_s, grown_mib]))
    return code


def _huge_element(path: Path, num_mib: int) -> None:
    with path.open("w") as stream:
        stream.write('[{"problem": "')
        for _ in range(num_mib):
            stream.write("x" * (1 << 20))
        stream.write('"}]')


def _huge_line(path: Path, num_mib: int) -> None:
    with path.open("w") as stream:
        stream.write(json.dumps(ROW) + '\n{"problem": "')
        for _ in range(num_mib):
            stream.write("x" * (1 << 20))
        stream.write('"}\n')


def _deep_element(path: Path, _: int) -> None:
    path.write_text("[" * 1_000_001 + "]" * 1_000_001)


def _deep_line(path: Path, _: int) -> None:
    path.write_text(json.dumps(ROW) + '\n{"a": ' + "[" * 1_000_000 + "]" * 1_000_000 + "}\n")


def _many_rows(path: Path, num_rows: int) -> None:
    before, after = json.dumps(ROW).split("videos/a.mp4")
    with path.open("w") as stream:
        for number in range(num_rows):
            stream.write(f"{before}videos/{number // 7}.mp4{after}\n")
