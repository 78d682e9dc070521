"""A comparison as lines of text: a column a run where all of them fit, else a line a run.

The columns are the same in every section but the settings', whose paths would widen all others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import wrap
from typing import Final

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from tui.compare.table import Cell, Section, TableRow, Tone

_STYLES: Final[dict[Tone, str]] = {
    "plain": "",
    "good": "$text-success",
    "bad": "$text-error",
    "faint": "$text-muted",
    "warn": "$text-warning",
}
_GAP: Final = "  "
_BASELINE: Final = "(baseline)"

Grid = list[list[tuple[tuple[str, ...], str]]]
"""Rows of cells; a cell is its lines and its style."""


@dataclass(frozen=True, slots=True)
class Head:
    """What stands for a run: its marker, and its name."""

    marker: str
    name: str


@dataclass(frozen=True, slots=True)
class _Columns:
    """How a section is laid out in columns: what goes to a second line of a row."""

    is_difference_below: bool = False
    is_name_split: bool = False

    def grid(self, section: Section, heads: Sequence[Head]) -> Grid:
        """The section's rows, its title and the runs' names above them."""
        if not section.rows:
            return [[((section.title,), "bold")]] if section.note else []
        title = _halves(section.title, ", ") if self.is_difference_below else (section.title,)
        first, *others = (f"{head.marker} {head.name}" for head in heads)
        titles = [self._pair(first, _BASELINE, " "), *((other,) for other in others)]
        top = [(title, "bold"), *((each, "bold") for each in titles)]
        return [top, *map(self._row, section.rows)]

    def _row(self, row: TableRow) -> list[tuple[tuple[str, ...], str]]:
        names = _halves(row.name, " ") if self.is_name_split else (row.name,)
        cells = [(self._pair(c.value, c.difference), _STYLES[c.tone]) for c in row.cells]
        return [(names, ""), *cells]

    def _pair(self, first: str, second: str, gap: str = _GAP) -> tuple[str, ...]:
        return (first, second) if self.is_difference_below else (_joined(first, second, gap),)


_NUMBERS: Final = (
    _Columns(),
    _Columns(is_difference_below=True),
    _Columns(is_difference_below=True, is_name_split=True),
)
_SETTINGS: Final = (_Columns(),)
"""From the widest to the narrowest; the first that fits is drawn."""


def drawn(sections: Sequence[Section], heads: Sequence[Head], width: int) -> Content:
    """The sections below each other; nothing in them is read as markup, and nothing is cut.

    Args:
        sections: From `tui.compare.table.comparison`, the settings last.
        heads: The runs, in the order of the cells; the first is the baseline.
        width: Cells across; what fits no layout is wider.
    """
    *numbers, settings = sections
    lines = [
        *_laid_out(numbers, heads, _NUMBERS, width),
        *_laid_out([settings], heads, _SETTINGS, width),
    ]
    return Content("\n").join(lines)


def _laid_out(
    sections: Sequence[Section], heads: Sequence[Head], layouts: Sequence[_Columns], width: int
) -> Iterator[Content]:
    for layout in layouts:
        grids = [layout.grid(section, heads) for section in sections]
        widths = _widths([row for grid in grids for row in grid if len(row) > 1])
        if sum(widths) + len(_GAP) * (len(widths) - 1) <= width:
            made = [[line for row in grid for line in _lines(row, widths)] for grid in grids]
            break
    else:
        made = [list(_stacked(section, heads, width)) for section in sections]
    for section, block in zip(sections, made, strict=True):
        if block:
            yield from block
            told = (part for line in section.note.splitlines() for part in wrap(line, width))
            yield from map(partial(Content.styled, style="$text-muted"), told)
            yield Content("")


def _widths(rows: Grid) -> list[int]:
    """Cells of each column."""
    columns = zip(*rows, strict=True)
    return [max(cell_len(line) for lines, _ in column for line in lines) for column in columns]


def _lines(row: list[tuple[tuple[str, ...], str]], widths: Sequence[int]) -> Iterator[Content]:
    """As many lines as the row needs."""
    for number in range(max(len(lines) for lines, _ in row)):
        texts = [(lines[number : number + 1] or ("",))[0] for lines, _ in row]
        if number and not any(texts):
            return
        parts = [
            _styled(text if len(row) == 1 else set_cell_size(text, width), style)
            for text, (_, style), width in zip(texts, row, widths or [0], strict=False)
        ]
        yield Content(_GAP).join(parts)


def _stacked(section: Section, heads: Sequence[Head], width: int) -> Iterator[Content]:
    """Each name with all runs behind it where they fit, else with a line for each below it."""
    if not section.rows and not section.note:
        return
    yield _styled(section.title, "bold")
    for place, head in enumerate(heads if section.rows else ()):
        yield _styled(
            _joined(f"{_GAP}{head.marker} {head.name}", "" if place else _BASELINE, " "), "bold"
        )
    for row in section.rows:
        told = [
            _styled(
                f"{_GAP}{head.marker} {_joined(cell.value, cell.difference)}", _STYLES[cell.tone]
            )
            for head, cell in zip(heads, row.cells, strict=True)
        ]
        whole = Content("").join([Content(row.name), *told])
        yield from [whole] if whole.cell_length <= width else [Content(row.name), *told]


def _halves(text: str, separator: str) -> tuple[str, ...]:
    """The text up to the last separator, and what stands behind it."""
    first, found, second = text.rpartition(separator)
    return (first + found.rstrip(), second) if found else (text,)


def _styled(text: str, style: str) -> Content:
    return Content.styled(text, style) if style else Content(text)


def _told(head: Head, cell: Cell) -> str:
    return f"{_GAP}{head.marker} {_joined(cell.value, cell.difference)}"


def _joined(first: str, second: str, gap: str = _GAP) -> str:
    return f"{first}{gap}{second}" if second else first
