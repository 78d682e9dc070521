"""Suites by name, and subsets that everybody draws alike."""

import json
from pathlib import Path

import pytest

from tests.split_files import write_manifest
from tests.unit.evals.conftest import Script
from vtk.errors import ConfigError, DataError
from vtk.evals.suites import SUITES, draw_subset, find_suite, load_questions


def test_suites_are_found_by_name() -> None:
    assert find_suite("clevrer-mini") is SUITES["clevrer-mini"]
    assert all(suite.name == name for name, suite in SUITES.items())


def test_an_unknown_suite_is_answered_with_near_ones_and_all() -> None:
    with pytest.raises(ConfigError, match="clever-mini") as told:
        find_suite("clever-mini")
    assert told.value.hint is not None
    assert told.value.hint.startswith("Did you mean clevrer-mini?")
    with pytest.raises(ConfigError) as told:
        find_suite("xyzzy")
    assert told.value.hint == f"Suites: {', '.join(SUITES)}."


def test_a_missing_split_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as told:
        load_questions(find_suite("clevrer-mini"), tmp_path)
    assert told.value.hint is not None
    assert "vtk split clevrer-mini" in told.value.hint


def test_questions_come_from_the_split_of_the_part(tmp_path: Path) -> None:
    folder = tmp_path / "clevrer-mini" / "split"
    folder.mkdir(parents=True)
    row = {"problem": "What?\nA. x\nB. y", "solution": "B", "video": "videos/v.mp4"}
    (folder / "validation.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=r"there is no manifest\.json beside it"):
        load_questions(find_suite("clevrer-mini"), tmp_path)
    write_manifest(folder)
    (sample,) = load_questions(find_suite("clevrer-mini"), tmp_path)
    assert (sample.solution, sample.video.name) == ("B", "v.mp4")
    with pytest.raises(ConfigError, match="testing"):
        load_questions(find_suite("clevrer-mini"), tmp_path, "testing")


def test_subsets_are_nested_ordered_and_depend_on_the_seed_alone(script: Script) -> None:
    five = draw_subset(script.samples, 5, seed=1)
    eight = draw_subset(script.samples, 8, seed=1)
    assert [s for s in script.samples if s in five] == five
    assert {s.sample_id for s in five} < {s.sample_id for s in eight}
    turned = draw_subset(script.samples[::-1], 5, seed=1)
    assert {s.sample_id for s in turned} == {s.sample_id for s in five}
    assert draw_subset(script.samples, 5, seed=2) != five
    assert draw_subset(script.samples, None) == draw_subset(script.samples, 99) == script.samples
