"""Where pictures stand on the screen, and which of them an update has written over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, ConsoleOptions, RenderResult
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.geometry import Region
from typing_extensions import override

from vtk.runs.frame_strip import FrameStrip

Update = LayoutUpdate | ChopsUpdate
"""What the compositor sends to a screen of its own."""


@dataclass(frozen=True, slots=True)
class Place:
    """One frame of a strip on the screen; all of its width is seen, of its height what is.

    Attributes:
        frame: Which frame of the strip, from 0.
        seen: The cells of the screen on which it is seen.
        rows: Cells that it would be high if all of it was seen.
        first_row: The first of them that is seen.
    """

    frame: int
    seen: Region
    rows: int
    first_row: int


@dataclass(frozen=True, slots=True)
class Shown:
    """The pictures that belong on the screen: frames of one strip."""

    strip: FrameStrip | None = None
    places: tuple[Place, ...] = ()


class Painter(Protocol):
    """Says what to send to a terminal so that it shows pictures, and knows what it shows."""

    def paint(self, shown: Shown, overwritten: Sequence[Place]) -> str:
        """Control sequences after which exactly these pictures are shown.

        Args:
            shown: The pictures.
            overwritten: Those of its places whose cells were just written.
        """

    def clear(self) -> str:
        """Control sequences after which no picture is left in the terminal."""

    def forget(self) -> None:
        """The terminal has lost all pictures."""


class UpdateWithPictures(CompositorUpdate):
    """An update of the screen with its pictures after it, in one piece.

    Args:
        update: The cells.
        shown: The pictures that belong on them.
        painter: What draws these.
    """

    def __init__(self, update: Update, shown: Shown, painter: Painter) -> None:
        self.update, self.shown, self.painter = update, shown, painter

    @override
    def render_segments(self, console: Console) -> str:
        places = [place for place in self.shown.places if is_written(self.update, place.seen)]
        return self.update.render_segments(console) + self.painter.paint(self.shown, places)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self.update.__rich_console__(console, options)


def is_written(update: Update, region: Region) -> bool:
    """Whether an update writes into a region of the screen."""
    if isinstance(update, LayoutUpdate):
        return update.region.overlaps(region)
    return any(
        region.y <= y < region.bottom and start < region.right and region.x < end
        for y, start, end in update.spans
    )


def move_to(region: Region) -> str:
    """Moves the cursor to the first cell of a region."""
    return f"\x1b[{region.y + 1};{region.x + 1}H"
