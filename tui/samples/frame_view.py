"""The frames that the model saw, drawn in cells, with their times."""

from typing import Final, Literal

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui.samples.pictures import GAP_COLUMNS, Layout, draw, layout
from vtk.format import visible_text
from vtk.runs.frame_strip import FrameStrip

FrameSize = Literal["strip", "large", "off"]
FRAME_SIZES: Final[tuple[FrameSize, ...]] = ("strip", "large", "off")


class FrameView(Widget):
    """A strip of frames, or one line that says why there is none.

    Args:
        ascii_only: Draw with ASCII characters and without colours.
        id: The widget's.
    """

    DEFAULT_CSS = "FrameView { height: auto; width: 1fr; }"

    frame_size: reactive[FrameSize] = reactive[FrameSize]("strip", layout=True)

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.ascii_only = ascii_only
        self._strip: FrameStrip | None = None
        self._said = ""
        self._drawn: tuple[Layout, list[list[list[Segment]]]] | None = None

    def show(self, strip: FrameStrip | None, said: str = "") -> None:
        """Show other frames, or say in their place why there are none."""
        self._strip, self._said, self._drawn = strip, visible_text(said), None
        self.refresh(layout=True)

    @property
    def strip(self) -> FrameStrip | None:
        """The frames that are drawn now."""
        return None if self.frame_size == "off" else self._strip

    def frame_areas(self, width: int) -> list[Region]:
        """The cells of each frame, from the widget's own first cell, at a width."""
        if self.strip is None:
            return []
        sizes = self._sizes(width)
        places = [divmod(place, sizes.num_across) for place in range(len(self.strip.indices))]
        return [
            Region(
                column * (sizes.columns + GAP_COLUMNS), line * (sizes.rows + 1),
                sizes.columns, sizes.rows,
            )
            for line, column in places
        ]  # fmt: skip

    def get_content_height(
        self,
        container: Size,  # noqa: ARG002
        viewport: Size,  # noqa: ARG002
        width: int,
    ) -> int:
        """Lines that the frames take at a width."""
        if self.frame_size == "off":
            return 0
        if self._strip is None:
            return 1 if self._said else 0
        sizes = self._sizes(width)
        num_lines = -(-len(self._strip.indices) // sizes.num_across)
        return num_lines * (sizes.rows + 1)

    def render_line(self, y: int) -> Strip:
        """One line of cells, or of times."""
        width, base = self.size.width, self.rich_style
        if self._strip is None:
            said = self._said if y == 0 else ""
            text = set_cell_size(said, width)
            return Strip([Segment(text, base + Style(dim=True))], width)
        sizes, frames = self._cells(self._strip, width)
        line, row = divmod(y, sizes.rows + 1)
        first = line * sizes.num_across
        places = range(first, min(first + sizes.num_across, len(frames)))
        segments: list[Segment] = []
        for place in places:
            if row < sizes.rows:
                segments += frames[place][row]
            else:
                time_s = self._strip.timestamps_s[place]
                segments.append(Segment(set_cell_size(f"{time_s:.2f} s", sizes.columns), base))
            segments.append(Segment(" " * GAP_COLUMNS, base))
        return Strip(segments).adjust_cell_length(width, base)

    def _sizes(self, width: int) -> Layout:
        assert self._strip is not None
        return layout(self._strip, max(1, width), is_large=self.frame_size == "large")

    def _cells(self, strip: FrameStrip, width: int) -> tuple[Layout, list[list[list[Segment]]]]:
        sizes = self._sizes(width)
        if self._drawn is None or self._drawn[0] != sizes:
            self._drawn = sizes, draw(strip, sizes, ascii_only=self.ascii_only)
        return self._drawn
