"""Annotations without their motion: the same facts as the whole file, whatever its layout."""

import json
from typing import Any

import numpy as np
import pytest

from vtk.data.annotation_text import parse_annotation_text
from vtk.data.clevrer import _parse_annotation
from vtk.mini.annotations import to_annotation
from vtk.mini.scenes import sample_scenes


@pytest.fixture(scope="module")
def annotation() -> dict[str, Any]:
    return to_annotation(next(sample_scenes(np.random.default_rng(0))), 7)


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
def test_the_motion_is_passed_over_and_the_facts_are_the_same(
    annotation: dict[str, Any], indent: int | None, separators: tuple[str, str]
) -> None:
    text = json.dumps(annotation, indent=indent, separators=separators).encode()
    found = parse_annotation_text(text)
    assert len(found["motion_trajectory"]) == 1
    assert _parse_annotation(found, "") == _parse_annotation(annotation, "")


def test_another_order_or_shape_is_parsed_whole(annotation: dict[str, Any]) -> None:
    others: list[Any] = [
        dict(reversed(annotation.items())),
        annotation | {"motion_trajectory": []},
        {"motion_trajectory": [1, 2], "other": 3},
        {"motion_trajectory": [{"x": [1], "collision": 2}, 3]},
        {"motion_trajectory": [{"x": 1}, [{"y": [1], "collision": 2}]], "z": 1},
        {"note": '"motion_trajectory": [', "motion_trajectory": [1], "scene_index": 2},
        [1],
        {},
    ]
    for other in others:
        assert parse_annotation_text(json.dumps(other).encode()) == other


def test_what_is_cut_short_or_no_text_is_an_error(annotation: dict[str, Any]) -> None:
    text = json.dumps(annotation).encode()
    for cut in (0, 1, len(text) // 2, len(text) - 1):
        with pytest.raises(ValueError, match=r"\w"):
            parse_annotation_text(text[:cut])
    with pytest.raises(ValueError, match="utf-8"):
        parse_annotation_text(b"\xff" + text)
