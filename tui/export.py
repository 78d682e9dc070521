"""What is on the screen as files: a picture, its text, and the points of its curves."""

import csv
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tui.legend import Curve
from tui.png import png_of
from vtk.errors import VtkError
from vtk.format import visible_text
from vtk.runs.files import write_bytes_atomic

_WEB_FONT: Final = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class View:
    """What was on the screen at one moment.

    Attributes:
        name: What its files begin with.
        svg: The screen as Textual draws it.
        text: Its characters, as lines.
        curves: The curves of its charts.
    """

    name: str
    svg: str
    text: str
    curves: Sequence[Curve]

    def files(self) -> tuple[dict[str, bytes], str]:
        """Name to content of NAME.svg, NAME.txt, NAME.csv where there are curves, and NAME.png.

        The second is why there is no PNG, with what mends it; empty where there is one.
        """
        svg = _WEB_FONT.sub("", self.svg)  # a reader needs no network to see it
        texts = {"svg": svg, "txt": self.text, "csv": _csv(self.curves)}
        files = {
            f"{self.name}.{kind}": text.encode(errors="replace")
            for kind, text in texts.items()
            if text
        }
        try:
            return files | {f"{self.name}.png": png_of(svg)}, ""
        except VtkError as error:
            return files, error.message + ("" if error.hint is None else f": {error.hint}")


def export_name(run_id: str, screen: str, step: int) -> str:
    """The name that the files of one view begin with."""
    return _UNFIT.sub("_", f"vtk-{run_id}-{screen}-step{step}")


def write_files(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write each file whole or not at all; return their paths.

    Raises:
        VtkError: A file cannot be written.
    """
    paths = [folder / name for name in files]
    for path in paths:
        write_bytes_atomic(path, files[path.name])
    return paths


def zipped(files: Mapping[str, bytes]) -> bytes:
    """The same files as one archive."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return written.getvalue()


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
