"""The published recipe's evaluation files: paths re-rooted, missing labels recovered."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.data.benchmarks.layouts import WRITERS, write_clip, write_json
from vtk.data.benchmarks.published import read_published
from vtk.data.benchmarks.table import BENCHMARKS
from vtk.data.sample import VideoSample
from vtk.errors import DataError


def row(**changes: Any) -> dict[str, Any]:
    return {
        "problem_id": 1,
        "problem": "Which?",
        "data_type": "video",
        "problem_type": "multiple choice",
        "options": ["A. one", "B. two", "C. three"],
        "solution": "<answer>B</answer>",
        "video": "/yale-nlp/MMVU/videos/Computer_Science/0.mp4",
        **changes,
    }


def read(tmp_path: Path, name: str, *rows: dict[str, Any]) -> list[VideoSample]:
    return read_published(write_json(tmp_path / "eval.json", rows), name, tmp_path / name).samples


def test_absolute_paths_are_re_rooted_and_the_subject_is_the_folder(tmp_path: Path) -> None:
    WRITERS["mmvu"](tmp_path / "mmvu")
    (sample,) = read(tmp_path, "mmvu", row())
    assert sample.video == tmp_path.resolve() / "mmvu/videos/Computer_Science/0.mp4"
    assert (sample.types, sample.options) == (
        {"subject": "Computer Science"},
        ("one", "two", "three"),
    )
    assert (sample.sample_id, sample.question, sample.solution) == ("1", "Which?", "B")


def test_the_official_and_the_published_file_name_the_same_clips(tmp_path: Path) -> None:
    root = WRITERS["mvbench"](tmp_path / "mvbench")
    official = {s.types["task"]: s.clip_id for s in BENCHMARKS["mvbench"].convert(root).samples}
    rows = [
        row(problem_id=1, video="/MVBench/video/ssv2_video/166583.mp4", start=1, end=2),
        row(problem_id=900, video="/MVBench/video/star/Charades_v1_480/ZS9XR.mp4"),
        row(problem_id=1800, video="/MVBench/video/tvqa/frames_fps3_hq/s01_clip_00.mp4"),
        row(problem_id=2200, video="/MVBench/elsewhere/S001.mp4", ori_video="S001.avi"),
        row(problem_id=2600, video="/OpenGVLab/MVBench/video/clevrer/video_10009.mp4"),
    ]
    samples = read(tmp_path, "mvbench", *rows)
    assert {s.types["task"]: s.clip_id for s in samples} == official
    assert [s.span_s for s in samples] == [(1.0, 2.0), None, None, None, None]


@pytest.mark.parametrize(
    ("problem_id", "task"),
    [
        (1, "action_antonym"),
        (200, "action_antonym"),
        (201, "action_count"),
        (4000, "unexpected_action"),
    ],
)
def test_the_task_of_mvbench_is_its_block_of_200(
    tmp_path: Path, problem_id: int, task: str
) -> None:
    (sample,) = read(tmp_path, "mvbench", row(problem_id=problem_id, video="/MVBench/video/v.mp4"))
    assert sample.types == {"task": task}


@pytest.mark.parametrize("problem_id", [0, 4001, "x"])
def test_a_block_that_there_is_not_is_refused(tmp_path: Path, problem_id: Any) -> None:
    with pytest.raises(DataError, match="problem_id"):
        read(tmp_path, "mvbench", row(problem_id=problem_id, video="/MVBench/video/v.mp4"))


def test_video_holmes_has_lettered_problems_and_no_problem_type(tmp_path: Path) -> None:
    WRITERS["video-holmes"](tmp_path / "video-holmes")
    holmes = {
        "video": "/Video-Holmes/videos/fH6b-_x.mp4",
        "question_id": "7",
        "question_type": "CTI",
        "question": "What is meant?",
        "problem": "What is meant? \nA. one\nB. two",
        "solution": "<answer>A</answer>",
        "options": ["one", "two"],
    }
    (sample,) = read(tmp_path, "video-holmes", holmes)
    assert (sample.types, sample.sample_id) == ({"type": "CTI"}, "7")
    assert sample.problem == holmes["problem"]
    assert sample.clip_id == "videos_cropped/fH6b-_x.mp4"


def test_video_mme_keeps_its_groupings(tmp_path: Path) -> None:
    groups = {
        "duration": "long",
        "domain": "Knowledge",
        "sub_category": "Law",
        "task_type": "OCR Problems",
    }
    WRITERS["video-mme"](tmp_path / "video-mme")
    path = "/lmms-lab/Video-MME/data/-k_x.mp4"
    (sample,) = read(tmp_path, "video-mme", row(video=path, **groups))
    assert (sample.types, sample.clip_id) == (groups, "data/-k_x.mkv")


def test_clevrer_questions_may_have_several_answers(tmp_path: Path) -> None:
    clip = tmp_path / "clevrer/videos/validation/video_12000-13000/video_12176.mp4"
    write_clip(clip)
    clevrer = {
        "problem": "Without the sphere, what happens?\nA. x\nB. y\nC. z",
        "solution": "<answer>A,C</answer>",
        "video": "/CLEVRER/validation_video/video_12000-13000/video_12176.mp4",
    }
    (sample,) = read(tmp_path, "clevrer", clevrer)
    assert (sample.solution, sample.num_correct, sample.video) == ("A,C", 2, clip.resolve())
    assert (sample.sample_id, sample.types) == ("1", {})


def test_numbers_and_texts_have_no_options(tmp_path: Path) -> None:
    rows = [
        row(problem_id=1, problem_type="numerical", solution="<answer>3.14</answer>", options=[]),
        row(problem_id=2, problem_type="regression", solution="<answer> 2 </answer>", options=[]),
        row(problem_id=3, problem_type="OCR", solution="<answer>EXIT</answer>", options=[]),
    ]
    samples = read(tmp_path, "mmvu", *rows)
    assert [(s.kind, s.solution) for s in samples] == [
        ("numerical", "3.14"),
        ("regression", "2"),
        ("free-form", "EXIT"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"video": "/yale-nlp/MMVU/../../../etc/passwd"},
        {"video": "https://example.org/v.mp4"},
        {"video": "//server/share/v.mp4"},
        {"solution": "<answer>D</answer>"},
        {"solution": "<answer>two</answer>"},
        {"problem_type": "poem"},
        {"problem": 7.5},
        {"options": "A. one"},
    ],
)
def test_hostile_rows_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        read(tmp_path, "mmvu", row(**change))


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mmvu" / "videos").mkdir(parents=True)
    (tmp_path / "mmvu" / "videos" / "Computer_Science").symlink_to("/etc")
    with pytest.raises(DataError, match="symbolic link"):
        read(tmp_path, "mmvu", row())
