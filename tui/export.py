"""What is on the screen as files: a picture, its text, and the points of its curves."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tui.legend import Curve
from vtk.format import visible_text
from vtk.runs.files import write_bytes_atomic

_WEB_FONT: Final = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]+")


def export_name(run_id: str, screen: str, step: int) -> str:
    """The name that the files of one view begin with."""
    return _UNFIT.sub("_", f"vtk-{run_id}-{screen}-step{step}")


def write_view(folder: Path, name: str, svg: str, text: str, curves: Iterable[Curve]) -> list[Path]:
    """Write NAME.svg, NAME.txt and, where there are curves, NAME.csv; return their paths.

    Raises:
        VtkError: A file cannot be written.
    """
    contents = {
        "svg": _WEB_FONT.sub("", svg),  # a reader needs no network to see it
        "txt": text,
        "csv": _csv(list(curves)),
    }
    paths = [folder / f"{name}.{kind}" for kind, content in contents.items() if content]
    for path in paths:
        write_bytes_atomic(path, contents[path.suffix[1:]].encode(errors="replace"))
    return paths


def _csv(curves: Sequence[Curve]) -> str:
    """Long form, one row a point: curve, step, value; non-finite values are words."""
    if not curves:
        return ""
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(["curve", "step", "value"])
    for curve in curves:
        name = visible_text(curve.label)
        safe = f"'{name}" if name[:1] in "=+-@" else name  # no formula for a spreadsheet
        rows.writerows([safe, step, value] for step, value in curve.view)
    return written.getvalue()
