"""The line of keys at the bottom: as many as fit, each of them whole."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Footer
from textual.widgets._footer import FooterKey
from typing_extensions import override

_ALWAYS: Final = "help"
"""The action whose key is there on every screen: it tells all the others."""


class KeysFooter(Footer):
    """Textual's own, which would cut the last key; the help has those that are left out."""

    @override
    def compose(self) -> ComposeResult:
        yield from fitting(list(super().compose()), self.app.size.width)

    def on_resize(self) -> None:
        """Another width has room for other keys."""
        if self.is_attached:
            self.call_after_refresh(self.recompose)


def fitting(found: Sequence[Widget], width: int) -> Iterator[Widget]:
    """The first keys that fit beside the palette's and the help's, in their own order.

    Args:
        found: What Textual would show.
        width: Cells of the line.
    """
    keys = [each for each in found if isinstance(each, FooterKey)]
    kept = [key for key in keys if _is_always(key)]
    free = width - sum(map(cells_of, kept))
    for key in keys:
        if key not in kept:
            free -= cells_of(key)
            if free < 0:
                break
            kept.append(key)
    yield from (each for each in found if each in kept)


def cells_of(key: FooterKey) -> int:
    """Cells that a key takes with what stands around it."""
    return cell_len(key.key_display) + cell_len(key.description) + (4 if _is_palette(key) else 3)


def _is_palette(key: FooterKey) -> bool:
    return key.has_class("-command-palette")


def _is_always(key: FooterKey) -> bool:
    return key.action == _ALWAYS or _is_palette(key)
