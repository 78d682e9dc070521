"""How the frames of samples are drawn: as pictures where the terminal has them, else in cells."""

import os
import sys
from collections.abc import Mapping
from typing import Final, Literal

from tui.graphics.kitty import KittyPainter
from tui.graphics.places import Painter
from tui.graphics.sixel import SixelPainter
from tui.graphics.terminal import Answers, ask_terminal, cell_size_px, is_terminal

Pictures = Literal["auto", "cells", "kitty", "sixel"]
_MUTE: Final = frozenset({"", "dumb", "linux"})
_BETWEEN: Final = ("screen", "tmux")


def painter_for(pictures: Pictures) -> Painter | None:
    """What draws real pictures on this terminal; None where cells do.

    Kitty's protocol goes before Sixel: it keeps all colours, and sends each pixel once.

    Args:
        pictures: As the user wants them; auto asks the terminal, for half a second at most.
    """
    if pictures == "cells" or not is_terminal():
        return None
    assert sys.__stdin__ is not None
    assert sys.__stderr__ is not None
    reading, writing = sys.__stdin__.fileno(), sys.__stderr__.fileno()
    answers = Answers(has_kitty=pictures == "kitty", has_sixel=pictures == "sixel")
    if pictures == "auto":
        if not is_worth_asking(os.environ):
            return None
        answers = ask_terminal(reading, writing)
    if answers.has_kitty:
        return KittyPainter()
    if answers.has_sixel:
        return SixelPainter(lambda: cell_size_px(writing) or answers.cell_px, answers.num_colours)
    return None


def is_worth_asking(environ: Mapping[str, str]) -> bool:
    """Whether the terminal itself would answer, and colours are wanted.

    tmux and screen stand between: they answer for themselves, and keep no picture where it was.

    Example:
        >>> is_worth_asking({"TERM": "xterm-kitty"}), is_worth_asking({"TERM": "tmux-256color"})
        (True, False)
    """
    term = environ.get("TERM", "")
    is_between = bool(environ.get("TMUX") or environ.get("STY")) or term.startswith(_BETWEEN)
    return not (is_between or term in _MUTE or environ.get("NO_COLOR"))
