"""Make the pictures of the README from what the commands really print.

Usage: python docs/make_pictures.py DEMO_FOLDER

DEMO_FOLDER is what `vtk demo --out DEMO_FOLDER` filled. Each picture is the output of one command,
drawn as an SVG terminal of 100 columns.
"""

import io
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

_WIDTH = 100
_HERE = Path(__file__).parent


def main(demo: Path) -> None:
    """Write the pictures beside this file."""
    _draw("demo.svg", ["vtk", "demo", "--out", str(demo)], "vtk demo", last_lines=34)
    dashboard = ["vtk", "dashboard", "cdpo", "--once", "--runs-dir", str(demo / "runs")]
    _draw("dashboard.svg", dashboard, "vtk dashboard cdpo --once")


def _draw(name: str, command: list[str], title: str, last_lines: int | None = None) -> None:
    environment = {**os.environ, "COLUMNS": str(_WIDTH), "FORCE_COLOR": "1"}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True
    )
    lines = done.stdout.decode().splitlines()
    console = Console(record=True, width=_WIDTH, file=io.StringIO())
    console.print(Text.from_ansi("\n".join(lines[-last_lines:] if last_lines else lines)))
    (_HERE / name).write_text(console.export_svg(title=title), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
