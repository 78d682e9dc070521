"""Make the pictures of the documents from what the commands really show on a terminal.

Usage: python docs/make_pictures.py [DEMO_FOLDER]

The screens of the dashboard show the recording that ships with the package, the benchmarks' charts
the published numbers in it. DEMO_FOLDER is what `vtk demo --out DEMO_FOLDER` filled: with it the
result of that command is drawn too.
"""

import asyncio
import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tui.app import SCREENS, DashboardApp
from tui.recording import demo_run
from tui.replay import ReplaySource
from vtk.evals.published import published_numbers
from vtk.evals.published_chart import draw_published
from vtk.evals.suites import SUITES

_WIDTH = 100
_KEYS = {"samples": ("s", "i", "i", "down", "down", "down")}
"""Keys that are pressed on a screen before it is drawn: the fourth of the most repelled groups of
inferential questions, whose completions differ."""
_SCREEN, _SMALL = (120, 40), (60, 20)
_SETTLING_S = 1.5
_HERE = Path(__file__).parent
_WEB_FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def main(demo: Path | None) -> None:
    """Write the pictures beside this file."""
    draw_published_numbers(_HERE / "suites")
    if demo is not None:
        _draw("demo.svg", ["demo", "--out", demo.name], demo.parent)
    for entry in SCREENS:
        asyncio.run(_draw_screen(entry.name, _SCREEN, _HERE / f"dashboard-{entry.name}.svg"))
    asyncio.run(_draw_screen("overview", _SMALL, _HERE / "dashboard-small.svg"))


def draw_published_numbers(folder: Path) -> list[Path]:
    """Draw the published accuracies of every suite that has some; the files that were written."""
    written = []
    for name, suite in SUITES.items():
        numbers = published_numbers(name)
        if numbers:
            path = folder / f"published-{name}.svg"
            drawn = draw_published(suite.label or name, numbers)
            path.write_text(drawn, encoding="utf-8")
            written.append(path)
    return written


async def _draw_screen(name: str, size: tuple[int, int], path: Path) -> None:
    """Draw one screen of the dashboard at the end of the recording."""
    run = demo_run()
    app = DashboardApp(ReplaySource(run, at_share=1.0, is_playing=False), run.root.parent)
    async with app.run_test(size=size) as pilot:
        while app.snapshot.paths is None:
            await pilot.pause(0.05)
        app.open(name)
        await pilot.pause(_SETTLING_S)
        for key in _KEYS.get(name, ()):
            await pilot.press(key)
            await pilot.pause(_SETTLING_S)
        path.write_text(_WEB_FONT.sub("", app.export_screenshot()), encoding="utf-8")


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
    main(Path(sys.argv[1]).resolve() if sys.argv[1:] else None)
