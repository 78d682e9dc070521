"""Which frames of the screen in front can be real pictures: those with nothing upon them."""

from collections.abc import Iterator, Sequence
from typing import Final

from textual.geometry import Region
from textual.screen import Screen
from textual.widget import Widget

from tui.graphics.places import Place, Shown
from tui.samples.frame_view import FrameView
from vtk.runs.frame_strip import FrameStrip

_MAX_PIXELS: Final = 2**21
"""Of a strip that is sent to a terminal; a larger one stays cells."""

Layers = Sequence[Sequence[tuple[Widget, Region, Region]]]


def shown_on(screen: Screen[object]) -> Shown:
    """The frames of a screen that are seen in their whole width and lie under nothing."""
    compositor = screen._compositor
    for widget, (region, clip) in compositor.visible_widgets.items():
        strip = widget.strip if isinstance(widget, FrameView) else None
        if isinstance(widget, FrameView) and strip is not None and _is_small(strip):
            # A picture that ends on the last line would scroll some terminals.
            free = clip.intersection(screen.size.region.shrink((0, 0, 1, 0)))
            places = _places(widget, region, free, compositor.layers_visible)
            return Shown(strip, tuple(places))
    return Shown()


def _is_small(strip: FrameStrip) -> bool:
    return strip.width_px * strip.height_px * len(strip.indices) <= _MAX_PIXELS


def _places(view: FrameView, region: Region, free: Region, layers: Layers) -> Iterator[Place]:
    for frame, area in enumerate(view.frame_areas(region.width)):
        whole = area.translate(region.offset)
        seen = whole.intersection(free)
        if seen.height and seen.width == whole.width and not _is_covered(view, seen, layers):
            yield Place(frame, seen, whole.height, seen.y - whole.y)


def _is_covered(view: FrameView, seen: Region, layers: Layers) -> bool:
    """Whether a widget above has a cell of it; a layer names those above first."""
    for y in seen.line_range:
        for widget, cropped, _ in layers[y]:
            if widget is view:
                break
            if cropped.overlaps(seen):
                return True
    return False
