"""Pictures by the Kitty graphics protocol (https://sw.kovidgoyal.net/kitty/graphics-protocol/).

A strip is sent once, as PNG; each frame is a placement of a part of it, which the terminal scales
to its cells. A placement stays where it is until it is placed elsewhere or deleted.
"""

from base64 import standard_b64encode
from collections.abc import Iterator, Sequence
from typing import Final

from typing_extensions import override

from tui.graphics.places import Painter, Place, Shown, move_to
from vtk.runs.frame_strip import FrameStrip, encode_strip

_IMAGE: Final = 0x76746B  # "vtk"; numbers belong to one window
_CHUNK_CHARS: Final = 4096
_DELETE_ALL: Final = f"\x1b_Ga=d,d=I,i={_IMAGE},q=2\x1b\\"


class KittyPainter(Painter):
    """Keeps the frames of one strip on a terminal that knows the protocol."""

    def __init__(self) -> None:
        self._sent: FrameStrip | None = None
        self._placed: dict[int, Place] = {}

    @override
    def paint(self, shown: Shown, overwritten: Sequence[Place]) -> str:
        parts: list[str] = []
        strip = shown.strip
        if strip is None or not shown.places:
            return self.clear()
        if strip is not self._sent:
            parts += [self.clear(), *_transmission(strip)]
            self._sent = strip
        wanted = {place.frame: place for place in shown.places}
        parts += [_deletion(frame) for frame in self._placed if frame not in wanted]
        for frame, place in wanted.items():
            if self._placed.get(frame) != place or place in overwritten:
                parts.append(_placement(strip, place))
        self._placed = wanted
        return "".join(parts)

    @override
    def clear(self) -> str:
        had_any = self._sent is not None
        self.forget()
        return _DELETE_ALL if had_any else ""

    @override
    def forget(self) -> None:
        self._sent, self._placed = None, {}


def _transmission(strip: FrameStrip) -> Iterator[str]:
    """The strip as PNG in pieces; none asks for an answer."""
    encoded = standard_b64encode(encode_strip(strip)).decode("ascii")
    starts = range(0, len(encoded), _CHUNK_CHARS)
    for start in starts:
        about = f"a=t,f=100,t=d,i={_IMAGE},q=2," if start == 0 else ""
        more = int(start != starts[-1])
        yield f"\x1b_G{about}m={more};{encoded[start : start + _CHUNK_CHARS]}\x1b\\"


def _placement(strip: FrameStrip, place: Place) -> str:
    """Puts a frame, or the part of it that is seen, over its cells; the cursor stays."""
    top, bottom = (
        round(row * strip.height_px / place.rows)
        for row in (place.first_row, place.first_row + place.seen.height)
    )
    source = (
        f"x={place.frame * strip.width_px},y={min(top, strip.height_px - 1)},"
        f"w={strip.width_px},h={max(1, bottom - top)}"
    )
    return (
        f"{move_to(place.seen)}\x1b_Ga=p,i={_IMAGE},p={place.frame + 1},{source},"
        f"c={place.seen.width},r={place.seen.height},C=1,q=2\x1b\\"
    )


def _deletion(frame: int) -> str:
    return f"\x1b_Ga=d,d=i,i={_IMAGE},p={frame + 1},q=2\x1b\\"
