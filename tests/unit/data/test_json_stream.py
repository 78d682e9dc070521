"""Long JSON arrays are read one element at a time, and damage is located."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtk.data import json_stream
from vtk.data.json_stream import iter_json_array
from vtk.errors import DataError

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@settings(max_examples=60, deadline=None)
@given(elements=st.lists(JSON_VALUES, max_size=6), chunk=st.integers(1, 40), indent=st.booleans())
def test_elements_are_the_same_whatever_the_chunk_size(
    tmp_path_factory: pytest.TempPathFactory, elements: list[Any], chunk: int, indent: bool
) -> None:
    path = tmp_path_factory.mktemp("array") / "a.json"
    write(path, json.dumps(elements, indent=2 if indent else None, ensure_ascii=False))
    before = json_stream.CHUNK_CHARS
    json_stream.CHUNK_CHARS = chunk
    try:
        assert list(iter_json_array(path)) == list(enumerate(elements))
    finally:
        json_stream.CHUNK_CHARS = before


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "does not start with"),
        ('{"a": 1}', "does not start with"),
        ("[", "element 1 does not parse"),
        ('[{"a": 1}', "the file ends after element 1"),
        ('[{"a": 1},', "element 2 does not parse"),
        ('[{"a": 1}, {"b": "unfinish', "element 2 does not parse"),
        ('[{"a": 1} {"b": 2}]', "'{' stands after element 1"),
        ('[{"a": 1},]', "element 2 does not parse"),
        ("[1] [2]", "more text after"),
        ("[" * 200_000, "nested too deeply"),
        ('[{"a": 1}, {"b": ' + "1" * 5000 + "}]", "element 2 holds a number too long"),
    ],
)
def test_damage_is_reported_with_the_file_and_the_element(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = write(tmp_path / "a.json", text)
    with pytest.raises(DataError) as caught:
        list(iter_json_array(path))
    assert complaint in caught.value.message
    assert str(path) in caught.value.message


def test_damage_far_from_the_end_is_found_without_reading_the_rest(tmp_path: Path) -> None:
    rest = ", ".join(['{"a": 1}'] * 1_000_000)
    path = write(tmp_path / "a.json", f'[{{"a": }}, {rest}]')
    tracemalloc.start()
    with pytest.raises(DataError, match="at character 7: element 1"):
        list(iter_json_array(path))
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_memory_stays_flat_over_a_long_array(tmp_path: Path) -> None:
    element = {"text": "x" * 2_000}
    path = write(tmp_path / "a.json", json.dumps([element] * 15_000))
    tracemalloc.start()
    count = sum(1 for _ in iter_json_array(path))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 15_000
    assert peak_bytes < 16 << 20 < path.stat().st_size


def test_a_missing_file_and_one_that_is_not_text_are_data_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        list(iter_json_array(tmp_path / "none.json"))
    (tmp_path / "b.json").write_bytes(b'["\xff\xfe"]')
    with pytest.raises(DataError, match="not UTF-8"):
        list(iter_json_array(tmp_path / "b.json"))
