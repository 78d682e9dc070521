"""Reads a JSON file that holds one long array, one element at a time.

CLEVRER's question files are arrays of 10,000 scenes (hundreds of megabytes); parsing them whole
costs gigabytes. Here at most one element and one chunk of text are in memory.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from vtk.errors import DataError

CHUNK_CHARS = 1 << 20
MAX_ELEMENT_CHARS = 64 << 20
# An error this close to the end of what was read may only mean "the rest is still in the file".
TORN_TAIL_CHARS = 16
_SPACE = " \t\n\r"


def iter_json_array(path: Path) -> Iterator[tuple[int, Any]]:
    """Yields `(position, element)` for each element of the array in `path`, from position 0.

    Raises:
        DataError: The file is missing, is not UTF-8, is not one JSON array, or ends early.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _ArrayReader(path, file).elements()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error.reason}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


class _ArrayReader:
    """A window of the file's text, and how far into it we are."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path = path
        self._file = file
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._forgotten_chars = 0
        self._is_exhausted = False

    def elements(self) -> Iterator[tuple[int, Any]]:
        if self._next_char() != "[":
            raise self._damaged("it does not start with '['; a JSON array was expected")
        self._at += 1
        position = 0
        while self._next_char() != "]":
            if position:
                self._take_comma(position)
            yield position, self._take_element(position)
            position += 1
        self._at += 1
        if self._next_char():
            raise self._damaged("there is more text after the closing ']'")

    def _take_comma(self, position: int) -> None:
        found = self._next_char()
        if found != ",":
            what = f"{found!r} stands" if found else "the file ends"
            raise self._damaged(f"{what} after element {position}, where ',' or ']' was expected")
        self._at += 1
        self._next_char()

    def _take_element(self, position: int) -> Any:
        while True:
            try:
                element, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._is_torn(error) and self._read_more():
                    continue
                what = f"element {position + 1} does not parse ({error.msg})"
                raise self._damaged(what, error.pos) from error
            except RecursionError as error:
                raise self._damaged(f"element {position + 1} is nested too deeply") from error
            except ValueError as error:  # Python converts no number of thousands of digits
                raise self._damaged(f"element {position + 1} holds a number too long") from error
            if end == len(self._text) and self._read_more():
                continue
            self._at = end
            return element

    def _is_torn(self, error: json.JSONDecodeError) -> bool:
        near_end = error.pos >= len(self._text) - TORN_TAIL_CHARS
        return near_end or error.msg.startswith("Unterminated string")

    def _next_char(self) -> str:
        """The next character that is not white space, left in place; empty at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._read_more():
                return ""

    def _read_more(self) -> bool:
        """Forgets what was used and reads on; False at the end of the file.

        It doubles what is held, so that one large element costs linear time.
        """
        if self._is_exhausted:
            return False
        self._text = self._text[self._at :]
        self._forgotten_chars += self._at
        self._at = 0
        if len(self._text) > MAX_ELEMENT_CHARS:
            raise self._damaged(f"one element is longer than {MAX_ELEMENT_CHARS} characters")
        chunk = self._file.read(max(CHUNK_CHARS, len(self._text)))
        self._is_exhausted = not chunk
        self._text += chunk
        return bool(chunk)

    def _damaged(self, what: str, at: int | None = None) -> DataError:
        place = self._forgotten_chars + (self._at if at is None else at)
        return DataError(
            f"{self._path} is damaged at character {place}: {what}",
            "The file may have been cut short: fetch or generate it again.",
        )
