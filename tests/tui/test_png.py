"""A view as PNG: drawn with the fonts there are, or refused with the mend; never an empty one."""

import asyncio
import importlib.util
import struct
import zlib
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.conftest import Drive, held, shown, until
from tui import png
from tui.app import DashboardApp
from tui.export import View
from vtk.errors import MissingEnvironmentError, VtkError
from vtk.runs.store import RunPaths

needs_renderer = pytest.mark.usefixtures("_renderer")
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20">'
    '<rect width="40" height="20" fill="#000"/>'
    '<text x="2" y="15" font-family="Fira Code, monospace" fill="#fff">{}</text></svg>'
)


@pytest.fixture
def _renderer() -> None:
    """Skips where the machine can make no picture."""
    pytest.importorskip("resvg_py", reason="the extra `png` is not installed")
    if png._fitting_family() is None:
        pytest.skip("no font of this machine has letters and braille")


def pixels_of(picture: bytes) -> tuple[int, int, set[int]]:
    """Columns, rows and the bytes that occur in the rows; filters do not hide an even colour."""
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    columns, rows = struct.unpack(">II", picture[16:24])
    data, at = b"", 8
    while at < len(picture):
        size, kind = struct.unpack(">I4s", picture[at : at + 8])
        data += picture[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    return columns, rows, set(zlib.decompress(data))


@needs_renderer
@pytest.mark.parametrize("text", ["A", "⣿", "│"])
def test_letters_braille_and_lines_are_drawn(text: str) -> None:
    columns, rows, values = pixels_of(png.png_of(SVG.format(text)))
    assert (columns, rows) == (40, 20)
    assert len(values) > 4, "an empty picture has its background and nothing else"
    assert len(pixels_of(png.png_of(SVG.format("")))[2]) <= 4


@needs_renderer
def test_what_is_no_svg_is_a_fault_with_words() -> None:
    with pytest.raises(VtkError, match="no PNG: "):
        png.png_of("<svg")


def test_without_the_renderer_the_mend_is_named_and_the_rest_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingEnvironmentError, match="resvg-py is not installed"):
        png.png_of(SVG)
    files, problem = View("view", SVG, "text", ()).files()
    assert set(files) == {"view.svg", "view.txt"}
    assert "pip install resvg-py" in problem


@needs_renderer
def test_a_machine_without_fonts_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    import resvg_py

    def without_fonts(svg: str, family: str) -> bytes:
        return resvg_py.svg_to_bytes(
            svg_string=svg, monospace_family=family, skip_system_fonts=True
        )

    monkeypatch.setattr(png, "_render", without_fonts)
    assert png._fitting_family() is None


@needs_renderer
@pytest.mark.slow
def test_the_screen_is_exported_as_png(drive: Drive, recording: RunPaths, tmp_path: Path) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "step 90/90")
        await pilot.press("e")
        path = tmp_path / "exported" / "vtk-cdpo-demo-overview-step90.png"
        await until(pilot, path.exists)
        columns, rows, values = await asyncio.to_thread(lambda: pixels_of(path.read_bytes()))
        assert columns > 1000
        assert rows > 700
        assert len(values) > 20

    drive(look, source=held(recording), size=(100, 32))
