"""Events become one line of JSON and come back as they were."""

import json
import math
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtk.runs import events
from vtk.runs.events import decode_event, decode_line, encode_event, encode_line

ENVELOPE: dict[str, Any] = {"v": 1, "seq": 0, "time": 1.5, "mono": 2.5, "type": "step"}

_words = st.sampled_from(["NaN", "Infinity", "-Infinity", "\\NaN", "\\\\-Infinity", "nan", "\\"])
_surrogate = st.text(st.characters(categories=["Cs"]), max_size=1)  # two would pair up in JSON
_any_text = st.text() | st.text(st.characters(categories=["Cc"])) | _surrogate | _words
_json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | _any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_any_text, inner, max_size=4),
    max_leaves=12,
)


def same(left: Any, right: Any) -> bool:
    """Equality in which NaN equals NaN and 1 does not equal True or 1.0."""
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


@given(st.dictionaries(_any_text, _json_values, max_size=5))
def test_what_is_encoded_comes_back(payload: dict[str, Any]) -> None:
    event = payload | ENVELOPE
    line = encode_event(event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert same(decode_event(line), event)


@given(_json_values)
def test_lines_are_strict_json(value: Any) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"bare {constant} is not JSON")

    json.loads(encode_line({"value": value}), parse_constant=refuse)


@pytest.mark.parametrize(
    ("number", "word"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")]
)
def test_non_finite_numbers_are_words_on_the_line(number: float, word: str) -> None:
    line = encode_event(ENVELOPE | {"metrics": {"loss/total": number}})
    assert json.loads(line)["metrics"]["loss/total"] == word
    assert same(decode_event(line)["metrics"]["loss/total"], number)


def test_a_completion_that_says_nan_stays_text() -> None:
    line = encode_line({"completion": "NaN", "reward": math.nan})
    row = decode_line(line)
    assert row["completion"] == "NaN"
    assert math.isnan(row["reward"])


def test_scalars_paths_and_tuples_become_plain_json() -> None:
    payload = {"a": np.float32(0.5), "b": np.int64(7), "c": np.bool_(True), "d": Path("x/y")}
    row = decode_line(encode_line(payload | {"e": (1, np.float64(math.inf)), "f": np.array(3)}))
    assert row == {"a": 0.5, "b": 7, "c": True, "d": "x/y", "e": [1, math.inf], "f": 3}


@pytest.mark.parametrize("value", [{1, 2}, object(), Decimal(1), np.array([1, 2]), b"bytes"])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="has no JSON form"):
        encode_line({"value": value})


def test_bottomless_nesting_is_refused_both_ways() -> None:
    deep: Any = 0
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ValueError, match="nested more than 64 deep"):
        encode_line({"value": deep})
    with pytest.raises(ValueError, match="nested more than 64 deep"):
        decode_line(b'{"value":' + b"[" * 100 + b"]" * 100 + b"}")
    with pytest.raises(ValueError, match="nested"):
        decode_line(b'{"value":' + b"[" * 200_000 + b"]" * 200_000 + b"}")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"garbage",
        b"[]",
        b"3",
        b"\xff\xfe",
        b"{}",
        b'{"v":1,"seq":0,"time":0}',
        b'{"v":1,"seq":0,"time":0,"type":""}',
        b'{"v":1,"seq":0,"time":0,"type":7}',
        b'{"v":1,"seq":-1,"time":0,"type":"step"}',
        b'{"v":1,"seq":true,"time":0,"type":"step"}',
        b'{"v":1,"seq":0,"time":"NaN","type":"step"}',
        b'{"v":1,"seq":0,"time":1e999,"type":"step"}',
        b'{"v":1,"seq":0,"time":0,"mono":"x","type":"step"}',
        b'{"v":"1","seq":0,"time":0,"type":"step"}',
        b'{"v":1,"seq":0,"time":0,"type":"step"',
    ],
)
def test_what_is_no_event_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_event(line)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_a_value_error(line: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(decode_event(line)["type"], str)


def test_unknown_types_fields_and_newer_versions_are_kept() -> None:
    line = b'{"v":9,"seq":3,"time":1,"mono":1,"type":"surprise","colour":"blue"}'
    assert decode_event(line)["colour"] == "blue"


def test_an_event_needs_its_envelope() -> None:
    for name in ("v", "seq", "time", "type"):
        with pytest.raises(ValueError, match=name):
            encode_event({key: value for key, value in ENVELOPE.items() if key != name})


def test_metric_names_say_their_unit() -> None:
    suffixes = {
        "_s": "s",
        "_gib": "GiB",
        "_pct": "%",
        "_w": "W",
        "_frac": "fraction",
        "_n": "count",
    }
    suffixes |= {"_tokens": "tokens", "tokens_per_s": "tokens/s"}
    for name, metric in events.METRICS.items():
        ending = max((s for s in suffixes if name.endswith(s)), key=len, default=None)
        assert ending is None or metric.unit == suffixes[ending], name
        assert metric.sentence
