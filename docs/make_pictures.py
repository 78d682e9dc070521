"""Make the pictures of the README from what the commands really print on a terminal.

Usage: python docs/make_pictures.py DEMO_FOLDER

DEMO_FOLDER is what `vtk demo --out DEMO_FOLDER` filled. Each picture is the result of one command,
drawn as an SVG terminal of 100 columns.
"""

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

_WIDTH = 100
_HERE = Path(__file__).parent
_WEB_FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def main(demo: Path) -> None:
    """Write the pictures beside this file."""
    shown = ["--runs-dir", f"{demo.name}/runs"]
    _draw("demo.svg", ["demo", "--out", demo.name], demo.parent)
    _draw("dashboard.svg", ["dashboard", "cdpo", "--once", *shown], demo.parent)


def _draw(name: str, arguments: list[str], folder: Path) -> None:
    """Draw what `vtk ARGUMENTS` prints as its result; a reader needs no network to see it."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO())
    console.print(Text.from_ansi(_terminal_output(arguments, folder)))
    svg = console.export_svg(title=" ".join(["vtk", *arguments]))
    (_HERE / name).write_text(_WEB_FONT.sub("", svg), encoding="utf-8")


def _terminal_output(arguments: list[str], folder: Path) -> str:
    environment = {**os.environ, "COLUMNS": str(_WIDTH), "TERM": "xterm-256color"}
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["vtk", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(theirs)
        output = _read_to_end(ours)
    os.close(ours)
    if process.returncode != 0:
        raise SystemExit(f"vtk {' '.join(arguments)} ended with {process.returncode}")
    return output.decode().replace("\r\n", "\n").strip("\n")


def _read_to_end(descriptor: int) -> bytes:
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(descriptor, 65536)
        except OSError:  # Linux's way of saying that the other end of a terminal was closed
            part = b""
        if not part:
            return b"".join(parts)
        parts.append(part)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
