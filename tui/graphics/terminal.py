"""Asks the terminal, once and before the dashboard opens, which pictures it can draw.

The last question is one that every terminal answers, so that waiting ends with that answer and
only a silent terminal costs the whole time. Answers are numbers of a bounded range or nothing.
"""

import fcntl
import os
import re
import select
import struct
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

WAIT_S: Final = 0.5
"""Longest wait for answers; a round trip over a slow line takes less."""
_KITTY: Final = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
_CELL_SIZE: Final = "\x1b[16t"
_COLOURS: Final = "\x1b[?1;1;0S"
_ATTRIBUTES: Final = "\x1b[c"
QUERY: Final = f"{_KITTY}{_CELL_SIZE}{_COLOURS}{_ATTRIBUTES}"
"""Kitty's own question (https://sw.kovidgoyal.net/kitty/graphics-protocol/), then xterm's for the
size of a cell, the number of Sixel colours and what kind of terminal it is
(https://invisible-island.net/xterm/ctlseqs/ctlseqs.html)."""
_ERASE_LINE: Final = "\r\x1b[K"
_IS_KITTY: Final = re.compile(rb"\x1b_Gi=31;OK\x1b\\")
_CELL_ANSWER: Final = re.compile(rb"\x1b\[6;(\d{1,4});(\d{1,4})t")
_COLOURS_ANSWER: Final = re.compile(rb"\x1b\[\?1;0;(\d{1,9})[;\d]*S")
_ATTRIBUTES_ANSWER: Final = re.compile(rb"\x1b\[\?([\d;]*)c")
_SIXEL_ATTRIBUTE: Final = b"4"
_MAX_ANSWER_BYTES: Final = 4096
_MAX_CELL_PX: Final = 256
MAX_COLOURS: Final = 256


@dataclass(frozen=True, slots=True)
class Answers:
    """What a terminal said of itself.

    Attributes:
        has_kitty: It draws pictures of the Kitty protocol.
        has_sixel: It draws Sixel.
        cell_px: Width and height of a cell in pixels; None if it did not say.
        num_colours: Colours of one Sixel picture.
    """

    has_kitty: bool = False
    has_sixel: bool = False
    cell_px: tuple[int, int] | None = None
    num_colours: int = MAX_COLOURS


def ask_terminal(reading: int, writing: int, wait_s: float = WAIT_S) -> Answers:
    """What the terminal answers in time; keys that are pressed meanwhile are lost.

    Args:
        reading: Descriptor of the terminal to read from.
        writing: Descriptor of the terminal to write to.
        wait_s: Longest wait in seconds.
    """
    said, end_s = b"", time.monotonic() + wait_s
    with _without_echo(reading):
        os.write(writing, QUERY.encode())
        while not _ATTRIBUTES_ANSWER.search(said) and len(said) < _MAX_ANSWER_BYTES:
            left_s = end_s - time.monotonic()
            if left_s <= 0 or not select.select([reading], [], [], left_s)[0]:
                break
            if not (piece := os.read(reading, _MAX_ANSWER_BYTES)):
                break
            said += piece
        os.write(writing, _ERASE_LINE.encode())  # where a terminal printed what it did not know
    return read_answers(said)


def read_answers(said: bytes) -> Answers:
    """What bytes from a terminal say; anything else among them is passed over.

    Example:
        >>> read_answers(bytes([27]) + b"[6;20;10t" + bytes([27]) + b"[?62;4;22c")
        Answers(has_kitty=False, has_sixel=True, cell_px=(10, 20), num_colours=256)
    """
    attributes, colours = _ATTRIBUTES_ANSWER.search(said), _COLOURS_ANSWER.search(said)
    num_colours = MAX_COLOURS if colours is None else int(colours[1])
    cell = _CELL_ANSWER.search(said)
    return Answers(
        has_kitty=_IS_KITTY.search(said) is not None,
        has_sixel=attributes is not None and _SIXEL_ATTRIBUTE in attributes[1].split(b";"),
        cell_px=None if cell is None else _possible(int(cell[2]), int(cell[1])),
        num_colours=min(max(2, num_colours), MAX_COLOURS),
    )


def cell_size_px(writing: int) -> tuple[int, int] | None:
    """Width and height of a cell as the kernel knows them now; None where it does not."""
    try:
        packed = fcntl.ioctl(writing, termios.TIOCGWINSZ, bytes(8))
    except OSError:
        return None  # a terminal that has gone is noticed by whoever reads from it
    rows, columns, width_px, height_px = struct.unpack("HHHH", packed)
    return _possible(width_px // columns, height_px // rows) if rows and columns else None


def is_terminal() -> bool:
    """Whether this process has a terminal to ask."""
    streams = (sys.__stdin__, sys.__stderr__)
    return all(stream is not None and stream.isatty() for stream in streams)


def _possible(width_px: int, height_px: int) -> tuple[int, int] | None:
    is_possible = 0 < width_px <= _MAX_CELL_PX and 0 < height_px <= _MAX_CELL_PX
    return (width_px, height_px) if is_possible else None


@contextmanager
def _without_echo(reading: int) -> Iterator[None]:
    before = termios.tcgetattr(reading)
    tty.setcbreak(reading, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(reading, termios.TCSANOW, before)
