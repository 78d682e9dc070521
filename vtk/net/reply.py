"""What a server's answer means for a file of which some bytes are here already.

A pure function from status and headers to an outcome, so that each case is written once:

| answer | outcome |
| --- | --- |
| 206 that starts where we asked, of the same version and size | append |
| 206 with another start, size, version, or several parts | ask again for all |
| 200 to a request for the rest | take it as the whole file, from its first byte |
| 416 for a file that is here to its last byte | complete |
| 416 otherwise | ask again for all |
| 200 with an HTML page, or another size than expected | not the file: try again later |
| 408, 425, 429, 5xx | try again, not before Retry-After |
| 401, 403 | refused: not tried again |
| 404, 410 and every other | gone: not tried again |
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

from vtk.net.content import Expected
from vtk.net.patience import parse_retry_after

Kind = Literal["append", "whole", "complete", "again", "later", "refused", "gone"]
_NUMBER = "[0-9]{1,18}"
_CONTENT_RANGE = re.compile(rf"bytes (?:({_NUMBER})-({_NUMBER})|\*)/({_NUMBER}|\*)")
BUSY = {408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524}


@dataclass(frozen=True, slots=True)
class Reply:
    """The outcome of one answer.

    Attributes:
        kind: What to do.
        why: In words, for messages.
        total_bytes: The size of the whole file where the answer says it.
        validator: A strong validator of this version of the file, for If-Range.
        retry_after_s: Seconds that the server asked to wait.
        is_encoded: The body is compressed on the way: it must be decoded and cannot be resumed.
    """

    kind: Kind
    why: str = ""
    total_bytes: int | None = None
    validator: str | None = None
    retry_after_s: float | None = None
    is_encoded: bool = False


def read_reply(
    status: int,
    headers: Mapping[str, str],
    start: int,
    validator: str | None,
    expected: Expected,
) -> Reply:
    """Judge an answer to a request for a file from byte `start` on.

    Args:
        status: The HTTP status, after redirects.
        headers: Of the answer; names in any case, as requests gives them.
        start: Bytes that are here already; 0 if the whole file was asked for.
        validator: Of the version that they belong to, None if unknown.
        expected: What is known of the file.
    """
    if status == 206 and start:
        return _partial(headers, start, validator, expected)
    if status == 200 or status == 206:
        return _whole(status, headers, expected)
    if status == 416 and start:
        found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if found and found[3] == str(start) and expected.num_bytes in (None, start):
            return Reply("complete", total_bytes=start, validator=validator)
        return Reply("again", "the server has no such part of the file (416)")
    if status in BUSY:
        wait_s = parse_retry_after(headers.get("Retry-After"))
        return Reply("later", f"the server answers {status}", retry_after_s=wait_s)
    if status in (401, 403):
        return Reply("refused", f"the server answers {status}")
    return Reply("gone", f"the server answers {status}")


def _partial(
    headers: Mapping[str, str], start: int, validator: str | None, expected: Expected
) -> Reply:
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if found is None or found[1] is None:
        return Reply("again", "the server sent a part without saying which")
    if int(found[1]) != start:
        return Reply("again", f"the server sent a part from byte {found[1]}, not {start}")
    total = None if found[3] == "*" else int(found[3])
    if total is not None and expected.num_bytes not in (None, total):
        return Reply("again", f"the server has {total} bytes, not {expected.num_bytes}")
    if _is_encoded(headers):
        return Reply("again", "the server compressed a part")
    now = strong_validator(headers)
    if validator is not None and now is not None and now != validator:
        return Reply("again", "the file changed on the server")
    return Reply("append", total_bytes=total, validator=validator)


def _whole(status: int, headers: Mapping[str, str], expected: Expected) -> Reply:
    if status == 206 and not _is_all(headers):
        return Reply("later", "the server sent a part that nobody asked for")
    if headers.get("Content-Type", "").lower().startswith("text/html"):
        return Reply("later", "the server sent a web page instead of the file")
    is_encoded = _is_encoded(headers)
    length = headers.get("Content-Length", "")
    total = int(length) if re.fullmatch(_NUMBER, length) and not is_encoded else None
    if total is not None and expected.num_bytes not in (None, total):
        return Reply("later", f"the server offers {total} bytes, not {expected.num_bytes}")
    is_needed = not (is_encoded or expected.is_hashed)
    validator = strong_validator(headers) if is_needed else None
    return Reply("whole", total_bytes=total, validator=validator, is_encoded=is_encoded)


def _is_all(headers: Mapping[str, str]) -> bool:
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    return bool(found and found[1] == "0" and found[3] == str(int(found[2]) + 1))


def _is_encoded(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Encoding", "identity").lower() not in ("", "identity")


def strong_validator(headers: Mapping[str, str]) -> str | None:
    """What names this version of the file for If-Range (RFC 9110, 13.1.5); None if nothing does.

    A weak ETag does not. A date does if the answer is at least a second younger, because a file
    can change twice within a second (8.8.2.2).
    """
    tag = headers.get("ETag", "")
    if re.fullmatch(r'"[\x21\x23-\x7e]*"', tag):
        return tag
    modified = headers.get("Last-Modified")
    if modified is None or tag.startswith("W/"):
        return None
    try:
        age = parsedate_to_datetime(headers["Date"]) - parsedate_to_datetime(modified)
    except (KeyError, ValueError, TypeError):
        return None
    return modified if age.total_seconds() >= 1 else None
