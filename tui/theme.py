"""The themes, and the colours of lines and marks in each.

Lines differ by marker too (`tui.plot_parts.MARKERS`), statuses by word and sign: colour is never
the only difference. The palette is that of Okabe and Ito (2008), made for all kinds of colour
vision; darkened on light ground so that every line keeps a contrast of 3 to 1.
"""

from typing import Final

from rich.style import Style
from textual.theme import Theme

_DARK_LINES: Final = ("#56b4e9", "#e69f00", "#2fc79a", "#f0e442", "#cc79a7", "#ff7a33")
_LIGHT_LINES: Final = ("#0072b2", "#b35900", "#00785a", "#8a6d00", "#a3417a", "#c04000")
_SAFE_LINES: Final = ("#6fc3ff", "#ffb000", "#ffffff", "#9d8cff", "#ff8f5c", "#b8c4cc")

THEMES: Final = (
    Theme(
        name="vtk-dark", primary="#56b4e9", secondary="#e69f00", accent="#f0e442",
        foreground="#e6e6e6", background="#101418", surface="#161c22", panel="#1f272f",
        success="#2fc79a", warning="#e6b800", error="#ff7a5c", dark=True,
    ),
    Theme(
        name="vtk-light", primary="#0072b2", secondary="#b35900", accent="#8a6d00",
        foreground="#1a1a1a", background="#fbfbf8", surface="#f1f1ec", panel="#e4e4dd",
        success="#00785a", warning="#8a6d00", error="#c02a00", dark=False,
    ),
    Theme(
        name="vtk-colour-blind", primary="#6fc3ff", secondary="#ffb000", accent="#ffffff",
        foreground="#ffffff", background="#000000", surface="#0a0a0a", panel="#1c1c1c",
        success="#6fc3ff", warning="#ffb000", error="#ff8f5c", dark=True,
    ),
)  # fmt: skip
_LINES: Final = {"vtk-light": _LIGHT_LINES, "vtk-colour-blind": _SAFE_LINES}


def line_colours(theme: Theme) -> tuple[str, ...]:
    """The colours of lines in a theme, Textual's own included."""
    return _LINES.get(theme.name, _DARK_LINES if theme.dark else _LIGHT_LINES)


def chart_styles(theme: Theme) -> dict[str, Style]:
    """The style behind each name that `tui.plot` gives a cell."""
    muted = "#8a949e" if theme.dark else "#63696f"
    faint = "#4d5963" if theme.dark else "#b4bac0"
    styles = {
        "": Style(),
        "axis": Style(color=muted),
        "zero": Style(color=muted),
        "faint": Style(color=faint),
        "mark": Style(color=muted, bold=True),
        "alert": Style(color=theme.error, bold=True),
        "bad": Style(color=theme.error, bold=True),
        "cursor": Style(color=theme.accent or theme.primary, bold=True),
        "title": Style(bold=True),
        "note": Style(color=muted),
    }
    lines = {f"line{n}": Style(color=colour) for n, colour in enumerate(line_colours(theme))}
    return styles | lines
