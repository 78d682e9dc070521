"""Split files and published files become the same record; malformed rows are named."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtk.data.problem import build_problem, build_solution, parse_solution, split_problem
from vtk.data.sample import load_samples
from vtk.errors import DataError

PROBLEM = "What will happen?\nA. The cube and the sphere collide\nB. The sphere collides with X"


def published(**changes: Any) -> dict[str, Any]:
    row = {
        "problem": PROBLEM,
        "solution": "<answer>A,B</answer>",
        "video": "/CLEVRER/video_00001.mp4",
    }
    return row | changes


def split_row(**changes: Any) -> dict[str, Any]:
    row = {
        "sample_id": "train-00001-13",
        "scene_index": 1,
        "question_id": 13,
        "problem": PROBLEM,
        "options": ["The cube and the sphere collide", "The sphere collides with X"],
        "solution": "B",
        "video": "videos/train/video_00000-01000/video_00001.mp4",
        "clip_id": "train/video_00001",
        "label": "inferential",
        "polarity": "will_not",
        "num_correct": 1,
        "rule": "D1",
    }
    return row | changes


def write_json(path: Path, rows: list[Any]) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_published_file_becomes_samples(tmp_path: Path) -> None:
    path = write_json(tmp_path / "train.json", [published(), published(solution="B")])
    first, second = load_samples(path)
    assert first.problem == PROBLEM
    assert first.solution == "A,B"
    assert first.options == ("The cube and the sphere collide", "The sphere collides with X")
    assert first.video == (tmp_path / "CLEVRER/video_00001.mp4").resolve()
    assert first.clip_id == second.clip_id == "CLEVRER/video_00001.mp4"
    assert (first.sample_id, second.sample_id) == ("train-000000", "train-000001")
    assert second.solution == "B"
    assert (first.label, first.polarity, first.num_correct, first.scene_index) == (None,) * 4


def test_the_file_s_own_folder_is_the_root(tmp_path: Path) -> None:
    path = write_json(tmp_path / "train.json", [published(video="a.mp4")])
    assert load_samples(path)[0].video == (tmp_path / "a.mp4").resolve()


def test_a_split_row_keeps_every_field_and_its_video_starts_at_the_data_set(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "clevrer" / "split" / "train.jsonl", [split_row()])
    [sample] = load_samples(path)
    reference = "clevrer/videos/train/video_00000-01000/video_00001.mp4"
    assert sample.video == (tmp_path / reference).resolve()
    assert sample.sample_id == "train-00001-13"
    assert sample.clip_id == "train/video_00001"
    assert (sample.label, sample.polarity, sample.num_correct) == ("inferential", "will_not", 1)
    assert (sample.scene_index, sample.question_id) == (1, 13)
    assert sample.extra == {"rule": "D1"}
    assert hash(sample) == hash(load_samples(path)[0])


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ([], "expected an object, found list"),
        (published(problem=None), "'problem' is missing"),
        (published(problem="  "), "'problem' must be text"),
        (published(problem="What will happen?"), "no lettered lines"),
        (published(solution=None), "'solution' is missing"),
        (published(solution=1), "'solution' must be text"),
        (published(solution="<answer></answer>"), "'solution' is malformed: ''"),
        (published(solution="<answer>C</answer>"), "'C' is not one of the options A to B"),
        (published(solution="<answer>A,A</answer>"), "a letter is repeated"),
        (published(solution="AB"), "'AB' is not one of the options"),
        (published(video="../../etc/passwd"), "climbs with '..'"),
        (published(video="https://example.org/v.mp4"), "is a URL"),
        (published(video=7), "'video' must be text"),
        (split_row(label="easy"), "'label' must be one of observational, inferential"),
        (split_row(polarity="yes"), "'polarity' must be one of will, will_not"),
        (split_row(num_correct=2), "'num_correct' is 2 but 'solution' names 1"),
        (split_row(scene_index="1"), "'scene_index' must be a whole number"),
        (split_row(question_id=True), "'question_id' must be a whole number"),
        (split_row(options=[]), "'options' must be a list of texts"),
        (split_row(options="A"), "'options' must be a list of texts"),
    ],
)
def test_a_malformed_row_is_named_with_its_file_and_place(
    tmp_path: Path, row: Any, complaint: str
) -> None:
    good = published(video="ok.mp4")
    as_array = write_json(tmp_path / "a.json", [good, row])
    as_lines = write_lines(tmp_path / "a.jsonl", [good, row])
    for path, where in ((as_array, f"{as_array}, row 2: "), (as_lines, f"{as_lines}:2: ")):
        with pytest.raises(DataError) as caught:
            load_samples(path)
        assert caught.value.message.startswith(where)
        assert complaint in caught.value.message


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [split_row()])
    path.write_text(path.read_text() + '\n{"problem": "cut o', encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.jsonl:3: the line is not JSON"):
        load_samples(path)


def test_the_same_sample_id_twice_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [split_row(), split_row()])
    with pytest.raises(
        DataError, match=r"a\.jsonl:2: sample_id 'train-00001-13' is already at .*:1"
    ):
        load_samples(path)


def test_missing_and_empty_files_are_data_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no data file"):
        load_samples(tmp_path / "none.json")
    with pytest.raises(DataError, match="cannot read"):
        load_samples(tmp_path)
    for name, text in (("a.json", "[]"), ("b.jsonl", ""), ("c.jsonl", "\n\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match="holds no samples"):
            load_samples(tmp_path / name)


OPTION_TEXTS = st.lists(
    st.text(st.characters(categories=("Ll", "Nd", "Zs")), min_size=1).map(str.strip).filter(bool),
    min_size=1,
    max_size=26,
)


@given(question=st.text(st.characters(categories=("Lu", "Ll", "Zs"))), options=OPTION_TEXTS)
def test_problem_and_options_round_trip(question: str, options: list[str]) -> None:
    assert split_problem(build_problem(question, options)) == (question, tuple(options))


@given(st.sets(st.integers(0, 5), min_size=1))
def test_solutions_round_trip_plain_and_tagged(correct: set[int]) -> None:
    solution = build_solution(correct)
    assert parse_solution(solution, 6) == solution
    assert parse_solution(f"<answer> {solution.replace(',', ', ')} </answer>\n", 6) == solution


def test_letters_out_of_order_are_sorted() -> None:
    assert parse_solution("<answer>C,A</answer>", 3) == "A,C"


def test_more_options_than_letters_are_refused() -> None:
    with pytest.raises(ValueError, match="27 options"):
        build_problem("Which?", ["x"] * 27)
