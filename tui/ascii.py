"""The whole screen in ASCII, for terminals and fonts that carry no more.

Charts draw ASCII of their own; this turns what is left (signs, borders, words of other languages)
into a likeness of the same width, so that nothing moves.
"""

import unicodedata
from typing import Final

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter
from typing_extensions import override

_LIKENESS: Final = {
    "–": "-", "—": "-", "−": "-", "…": "~", "·": "|", "×": "x", "→": ">", "←": "<", "↑": "^",
    "↓": "v", "⇧": "^", "⏎": "/", "°": "'", "±": "+", "●": "*", "■": "#", "✗": "X", "‖": "=",
    "▶": ">", "○": "o", "“": '"', "”": '"', "’": "'", "━": "=", "─": "-", "█": "#", "▏": "|",
    "│": "|", "▌": "|",
}  # fmt: skip


class AsciiFilter(LineFilter):
    """Leaves nothing but ASCII on a line."""

    @override
    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment if segment.text.isascii() else segment._replace(text=ascii_text(segment.text))
            for segment in segments
        ]


def ascii_text(text: str) -> str:
    """Return text of the same width in ASCII; what has no likeness is a question mark."""
    return "".join(char if char.isascii() else _likeness(char) for char in text)


def _likeness(char: str) -> str:
    known = _LIKENESS.get(char)
    if known is None:
        base = unicodedata.normalize("NFKD", char)[:1]
        is_block = "\u2500" <= char <= "\u259f"
        known = base if base.isascii() else " " if is_block else "?"
    return known.ljust(cell_len(char), "?")[: cell_len(char)]
