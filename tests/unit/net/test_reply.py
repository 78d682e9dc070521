"""Each answer of a server has one outcome, and no outcome joins two versions of a file."""

import pytest

from vtk.net.content import Expected
from vtk.net.reply import read_reply, strong_validator

TAG, OTHER = '"one"', '"two"'
OLD = {"Last-Modified": "Mon, 01 Jun 2026 10:00:00 GMT"}
LATER = {"Date": "Mon, 01 Jun 2026 10:00:01 GMT"}
AT_ONCE = {"Date": "Mon, 01 Jun 2026 10:00:00 GMT"}
LONG = "1" * 5000
PACKED = {"Content-Encoding": "gzip"}
UNKNOWN, KNOWN = Expected(), Expected(100, sha256="0" * 64)


@pytest.mark.parametrize(
    ("status", "headers", "start", "validator", "expected", "kind"),
    [
        (200, {"Content-Length": "100"}, 0, None, UNKNOWN, "whole"),
        (200, {"Content-Length": "100"}, 40, TAG, UNKNOWN, "whole"),
        (200, {}, 0, None, UNKNOWN, "whole"),
        (200, {"Content-Length": "99"}, 0, None, KNOWN, "later"),
        (200, {"Content-Type": "text/html; charset=utf-8"}, 0, None, UNKNOWN, "later"),
        (206, {"Content-Range": "bytes 40-99/100", "ETag": TAG}, 40, TAG, UNKNOWN, "append"),
        (206, {"Content-Range": "bytes 40-99/*", "ETag": TAG}, 40, TAG, UNKNOWN, "append"),
        (206, {"Content-Range": "bytes 40-99/100"}, 40, TAG, UNKNOWN, "append"),
        (206, {"Content-Range": "bytes 40-99/100", "ETag": OTHER}, 40, TAG, UNKNOWN, "again"),
        (206, {"Content-Range": "bytes 41-99/100", "ETag": TAG}, 40, TAG, UNKNOWN, "again"),
        (206, {"Content-Range": "bytes 0-99/100", "ETag": TAG}, 40, TAG, UNKNOWN, "again"),
        (206, {"Content-Range": "bytes 40-120/121"}, 40, None, KNOWN, "again"),
        (206, {"Content-Type": "multipart/byteranges"}, 40, TAG, UNKNOWN, "again"),
        (206, {"Content-Range": "bytes 40-99/100", **PACKED}, 40, TAG, UNKNOWN, "again"),
        (206, {"Content-Range": "bytes 0-99/100"}, 0, None, UNKNOWN, "whole"),
        (206, {"Content-Range": "bytes 0-49/100"}, 0, None, UNKNOWN, "later"),
        (206, {"Content-Range": f"bytes {LONG}-99/100"}, 40, TAG, UNKNOWN, "again"),
        (206, {"Content-Range": f"bytes 40-99/{LONG}"}, 40, TAG, UNKNOWN, "again"),
        (206, {"Content-Range": f"bytes 0-{LONG}/100"}, 0, None, UNKNOWN, "later"),
        (416, {"Content-Range": f"bytes */{LONG}"}, 100, TAG, UNKNOWN, "again"),
        (416, {"Content-Range": "bytes */100"}, 100, TAG, UNKNOWN, "complete"),
        (416, {"Content-Range": "bytes */100"}, 100, None, KNOWN, "complete"),
        (416, {"Content-Range": "bytes */90"}, 100, TAG, UNKNOWN, "again"),
        (416, {}, 100, TAG, UNKNOWN, "again"),
        (429, {"Retry-After": "7"}, 0, None, UNKNOWN, "later"),
        (503, {}, 40, TAG, UNKNOWN, "later"),
        (401, {}, 0, None, UNKNOWN, "refused"),
        (403, {}, 0, None, UNKNOWN, "refused"),
        (404, {}, 0, None, UNKNOWN, "gone"),
        (451, {}, 0, None, UNKNOWN, "gone"),
    ],
)  # fmt: skip
def test_outcome_of_each_answer(
    status: int,
    headers: dict[str, str],
    start: int,
    validator: str | None,
    expected: Expected,
    kind: str,
) -> None:
    assert read_reply(status, headers, start, validator, expected).kind == kind


def test_what_an_answer_tells() -> None:
    whole = read_reply(200, {"Content-Length": "100", "ETag": TAG}, 0, None, UNKNOWN)
    assert (whole.total_bytes, whole.validator, whole.is_encoded) == (100, TAG, False)
    packed = {"Content-Length": "50", "Content-Encoding": "gzip", "ETag": TAG}
    encoded = read_reply(200, packed, 0, None, UNKNOWN)
    assert (encoded.total_bytes, encoded.validator, encoded.is_encoded) == (None, None, True)
    assert read_reply(200, {"ETag": TAG}, 0, None, KNOWN).validator is None, "its hash is enough"
    assert read_reply(429, {"Retry-After": "7"}, 0, None, UNKNOWN).retry_after_s == 7


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": TAG}, TAG),
        ({"ETag": f"W/{TAG}"}, None),
        ({"ETag": f"W/{TAG}", **OLD, **LATER}, None),
        ({"ETag": "one"}, None),
        ({"ETag": '"a"\r\nX: y"'}, None),
        ({**OLD, **LATER}, OLD["Last-Modified"]),
        ({**OLD, **AT_ONCE}, None),
        (OLD, None),
        ({"Last-Modified": "yesterday", **LATER}, None),
        ({}, None),
    ],
)
def test_only_a_strong_validator_names_a_version(
    headers: dict[str, str], validator: str | None
) -> None:
    assert strong_validator(headers) == validator
