"""An exported view as a PNG; a process of its own (`python -m tui.png`), a second or two of work.

The renderer, resvg, draws with the fonts of this machine and draws nothing where none fits: that is
looked for first, because an empty picture is worse than none.
"""

import importlib.util
import subprocess
import sys
from typing import Final

from vtk.errors import MissingEnvironmentError, VtkError
from vtk.format import visible_text

_FAMILIES: Final = ("DejaVu Sans Mono", "Liberation Mono", "Menlo", "Consolas")
_NOBODY: Final = "no font has this name"
_PROBE: Final = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">{}</svg>'
_NEEDED: Final = "A⣿│"
_NO_FONT_CODE: Final = 3
_PATIENCE_S: Final = 60.0


def png_of(svg: str) -> bytes:
    """Return the picture, drawn by another process so that the screen goes on.

    Raises:
        MissingEnvironmentError: The renderer or a font is missing.
        VtkError: The renderer failed.
    """
    if importlib.util.find_spec("resvg_py") is None:
        raise MissingEnvironmentError(
            "no PNG: resvg-py is not installed",
            "Install it: pip install resvg-py (uv pip install resvg-py in an environment of uv).",
        )
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tui.png"], input=svg.encode(errors="replace"),
            capture_output=True, check=False, timeout=_PATIENCE_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise VtkError(f"no PNG: {visible_text(error)}") from error
    if done.returncode == _NO_FONT_CODE:
        raise MissingEnvironmentError(
            "no PNG: no font of this machine has letters and braille",
            "Install DejaVu Sans Mono (Debian: fonts-dejavu-core).",
        )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise VtkError(f"no PNG: {visible_text(said[-1] if said else 'the renderer failed')}")
    return done.stdout


def _render(svg: str, family: str) -> bytes:
    import resvg_py

    return resvg_py.svg_to_bytes(svg_string=svg, monospace_family=family)


def _fitting_family() -> str | None:
    """The first family that is there and draws every kind of character the screens have.

    Where none of the names is there the renderer takes any font that has the character: `_NOBODY`
    is that case, and the answer only if it draws them all.
    """
    blank, unnamed = _render(_PROBE.format(""), _NOBODY), [_drawn(c, _NOBODY) for c in _NEEDED]
    for family in _FAMILIES:
        drawn = [_drawn(char, family) for char in _NEEDED]
        if blank not in drawn and drawn != unnamed:
            return family
    return None if blank in unnamed else _NOBODY


def _drawn(char: str, family: str) -> bytes:
    return _render(_PROBE.format(f'<text y="15" font-family="monospace">{char}</text>'), family)


def main() -> int:
    """Turn the SVG on stdin into a PNG on stdout."""
    svg, family = sys.stdin.buffer.read().decode(), _fitting_family()
    if family is None:
        return _NO_FONT_CODE
    sys.stdout.buffer.write(_render(svg, family))
    return 0


if __name__ == "__main__":
    sys.exit(main())
