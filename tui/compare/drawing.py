"""A comparison as lines of text: one column a run.

The columns are the same in every section but the settings', whose paths would widen all others.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from tui.compare.table import Cell, Section, Tone

_STYLES: Final[dict[Tone, str]] = {
    "plain": "",
    "good": "$text-success",
    "bad": "$text-error",
    "faint": "$text-muted",
    "warn": "$text-warning",
}
_GAP: Final = "  "
_MAX_CELLS: Final = 70


def drawn(sections: Sequence[Section], run_ids: Sequence[str], max_name_cells: int) -> Content:
    """The sections below each other; nothing in them is read as markup.

    Args:
        sections: From `tui.compare.table.comparison`, the settings last.
        run_ids: The runs, in the order of the cells; the first is the baseline.
        max_name_cells: The names' column is no wider.
    """
    heads = [f"{name}{'' if place else ' (baseline)'}" for place, name in enumerate(run_ids)]
    *numbers, settings = sections
    lines: list[Content] = []
    for together in (numbers, [settings]):
        widths = _widths(together, heads)
        widths[0] = min(widths[0], max_name_cells)
        lines += [line for section in together for line in _section_lines(section, heads, widths)]
    return Content("\n").join(lines)


def _widths(sections: Sequence[Section], heads: Sequence[str]) -> list[int]:
    """Cells of the names' column and of each run's."""
    rows = [row for section in sections for row in section.rows]
    names = [row.name for row in rows] + [section.title for section in sections]
    columns = [
        [head, *(_told(row.cells[place]) for row in rows)] for place, head in enumerate(heads)
    ]
    return [min(_MAX_CELLS, max(map(cell_len, texts))) for texts in (names, *columns)]


def _section_lines(
    section: Section, heads: Sequence[str], widths: Sequence[int]
) -> Iterator[Content]:
    if not section.rows and not section.note:
        return
    titles = [section.title, *(heads if section.rows else [])]
    yield _line([(title, "bold") for title in titles], widths)
    for row in section.rows:
        cells = [(_told(cell), _STYLES[cell.tone]) for cell in row.cells]
        yield _line([(row.name, ""), *cells], widths)
    if section.note:
        yield Content.styled(section.note, "$text-muted")
    yield Content("")


def _line(parts: Sequence[tuple[str, str]], widths: Sequence[int]) -> Content:
    padded = [
        Content.styled(_fitted(text, width), style) if style else Content(_fitted(text, width))
        for (text, style), width in zip(parts, widths, strict=False)
    ]
    return Content(_GAP).join(padded)


def _fitted(text: str, width: int) -> str:
    """Exactly so many cells; what does not fit ends in an ellipsis."""
    is_cut = cell_len(text) > width
    return set_cell_size(text, width - 1) + "…" if is_cut else set_cell_size(text, width)


def _told(cell: Cell) -> str:
    return f"{cell.value}{_GAP}{cell.difference}" if cell.difference else cell.value
