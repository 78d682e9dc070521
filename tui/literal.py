"""The one place where text from files becomes something a screen may show.

Control characters turn into symbols and the length is bounded (`vtk.format.visible_text`); the
result is literal content, which reads no markup: `<answer>[B]</answer>` stands there as it is.
"""

from collections.abc import Iterable

from textual.content import Content

from vtk.format import visible_text

MAX_CHARS = 400


def literal(text: object, style: str = "", max_chars: int = MAX_CHARS) -> Content:
    """Return untrusted text as one safe line.

    Args:
        text: From a file, a model or a path.
        style: A Textual style of ours.
        max_chars: What is longer ends in an ellipsis.
    """
    return Content.styled(visible_text(text, max_chars), style)


def lines(parts: Iterable[Content], width: int) -> Content:
    """Return the lines one below another, each cut to `width` cells with an ellipsis."""
    return Content("\n").join([part.truncate(width, ellipsis=True) for part in parts])


def joined(*parts: Content | str) -> Content:
    """Return the parts one after another; a `str` among them is our own text, also taken as is."""
    return Content("").join([Content(part) if isinstance(part, str) else part for part in parts])
