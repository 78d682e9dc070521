"""From each official layout to samples: words, options, solutions, types, clips, spans."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.data.benchmarks.layouts import (
    WRITERS,
    mmvu_row,
    mvbench_row,
    write_json,
    write_parquet,
)
from vtk.data.benchmarks.rows import Questions
from vtk.data.benchmarks.table import BENCHMARKS
from vtk.data.sample import Judging, VideoSample
from vtk.errors import DataError


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The five layouts."""
    folder = tmp_path_factory.mktemp("data")
    for name, write in WRITERS.items():
        write(folder / name)
    return folder


def converted(data_dir: Path, name: str) -> Questions:
    return BENCHMARKS[name].convert(data_dir / name)


def by_id(data_dir: Path, name: str) -> dict[str, VideoSample]:
    return {sample.sample_id: sample for sample in converted(data_dir, name).samples}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_clip_of_a_layout_is_found(data_dir: Path, name: str) -> None:
    samples = converted(data_dir, name).samples
    assert len(samples) >= 2
    assert all(sample.video.exists() for sample in samples)
    assert all(sample.video == (data_dir / name / sample.clip_id).resolve() for sample in samples)
    assert all(sample.types and sample.num_correct == 1 for sample in samples)


def test_mmvu_keeps_the_multiple_choice_questions(data_dir: Path) -> None:
    found = converted(data_dir, "mmvu")
    assert found.not_asked == {"open-ended: a judge model scores them": 1}
    second = by_id(data_dir, "mmvu")["validation_1"]
    assert second.problem == (
        "Which law does experiment 1 show?\nA. law A1\nB. law B1\nC. law C1\nD. law D1\nE. law E1"
    )
    assert (second.solution, second.types) == ("B", {"subject": "Computer Science"})
    assert second.clip_id == "videos/Computer_Science/0.mp4"


def test_video_holmes_looks_where_its_archive_unpacks(data_dir: Path) -> None:
    samples = by_id(data_dir, "video-holmes")
    assert {sample.clip_id for sample in samples.values()} == {"videos_cropped/fH6b-_x.mp4"}
    order = samples["fH6b-_x-2"]
    assert order.question == "Order these:\n1. door\n2. phone (2)"
    assert (order.options[5], order.solution, order.types) == ("answer F", "F", {"type": "TA"})


def test_mvbench_finds_every_kind_of_clip_and_crops(data_dir: Path) -> None:
    samples = by_id(data_dir, "mvbench")
    clips = {sample.types["task"]: sample.clip_id for sample in samples.values()}
    assert clips == {
        "action_antonym": "video/ssv2_video/166583.webm",
        "action_sequence": "video/data0613/star/Charades_v1_480/ZS9XR.mp4",
        "episodic_reasoning": "video/tvqa/frames_fps3_hq/s01_clip_00",
        "fine_grained_pose": "video/nturgbd/S001.avi",
        "moving_count": "video/clevrer/video_validation/video_10009.mp4",
    }
    spans = {key: sample.span_s for key, sample in samples.items() if sample.span_s}
    assert spans == {"action_sequence-000": (1.0, 2.0), "episodic_reasoning-000": (1.0, 3.0)}
    assert {sample.solution for sample in samples.values()} == {"B"}


def test_tempcompass_reads_each_task_and_leaves_captions_out(data_dir: Path) -> None:
    assert converted(data_dir, "tempcompass").not_asked == {
        "captioning: a judge model scores it": 1
    }
    samples = by_id(data_dir, "tempcompass")
    kinds = {sample.types["task"]: sample.kind for sample in samples.values()}
    expected = {"multi-choice": "choice", "yes_no": "yes_no"}
    assert kinds == expected | {"caption_matching": "caption_matching"}
    yes = samples["yes_no-0000"]
    assert (yes.options, yes.solution, yes.question) == (("yes", "no"), "A", "Is it slow?")
    caption = samples["caption_matching-0000"]
    assert caption.options == ("Caption A: It is fast.", "Caption B: It is slow.")
    assert (caption.question, caption.solution) == ("Which caption matches?", "B")
    assert caption.types["task and aspect"] == "caption_matching, speed"
    choice = samples["multi-choice-0000"]
    assert (choice.options, choice.solution) == (("fast", "slow"), "B")


def test_captions_are_kept_apart_for_a_judge_with_the_choice_that_it_makes(data_dir: Path) -> None:
    found = converted(data_dir, "tempcompass").with_judged()
    assert (len(found.samples), found.not_asked) == (4, {})
    caption = found.samples[-1]
    assert (caption.sample_id, caption.kind, caption.options) == (
        "captioning-0000",
        "captioning",
        (),
    )
    assert caption.question == caption.problem == "Describe it.\nGenerated Caption:"
    assert caption.judging == Judging("How fast?", ("fast", "slow"), "B")
    assert caption.types["task and aspect"] == "captioning, speed"


def test_answers_in_words_are_kept_apart_for_a_judge_with_the_reference(data_dir: Path) -> None:
    found = converted(data_dir, "mmvu").with_judged()
    assert (len(found.samples), found.not_asked) == (4, {})
    assert [sample.types["question"] for sample in found.samples] == [
        *["multiple-choice"] * 3,
        "open-ended",
    ]
    last = found.samples[-1]
    assert (last.sample_id, last.kind, last.options) == ("validation_3", "open_ended", ())
    question = "Which law does experiment 3 show?"
    assert last.question == last.problem == question
    assert last.judging == Judging(question, (), "Lenz's law")
    assert (last.clip_id, last.types["subject"]) == ("videos/Art/0.mp4", "Art")


def test_a_third_type_of_question_in_mmvu_is_named(data_dir: Path, tmp_path: Path) -> None:
    rows = json.loads((data_dir / "mmvu" / "validation.json").read_text())
    (tmp_path / "validation.json").write_text(json.dumps([rows[0] | {"question_type": "essay"}]))
    with pytest.raises(DataError, match="'question_type' must be one of multiple-choice, open-end"):
        BENCHMARKS["mmvu"].convert(tmp_path)


def test_video_mme_drops_letters_and_keeps_four_groupings(data_dir: Path) -> None:
    samples = by_id(data_dir, "video-mme")
    assert {sample.clip_id for sample in samples.values()} == {
        "videos/fFjv93ACGo8.mp4",
        "data/-k_x.mkv",
    }
    third = samples["001-3"]
    assert (third.options, third.solution) == (("1.", "4.", "2.", "3."), "D")
    assert third.types == {
        "duration": "long",
        "domain": "Knowledge",
        "task_type": "Counting Problem",
        "sub_category": "Humanity & History",
    }


def test_a_part_of_a_benchmark_is_said(data_dir: Path) -> None:
    note = BENCHMARKS["mmvu"].counts_note(converted(data_dir, "mmvu"))
    assert note == "mmvu: a part is here, 3 of 625 questions about 2 of 379 clips"
    benchmark = BENCHMARKS["mmvu"]
    whole = [VideoSample(str(n), "p", "A", Path("v"), f"c{n % 379}", ("x",)) for n in range(625)]
    assert benchmark.counts_note(Questions(whole)) is None


def test_a_missing_clip_is_left_for_the_evaluation_to_name(tmp_path: Path) -> None:
    root = WRITERS["mmvu"](tmp_path)
    clip = root / "videos" / "Art" / "0.mp4"
    clip.unlink()
    samples = BENCHMARKS["mmvu"].convert(root).samples
    assert samples[0].video == clip.resolve()


HOSTILE = [
    ("mmvu", "validation.json", [mmvu_row(0, "Art") | {"video": "https://x/videos/../../etc"}]),
    ("mmvu", "validation.json", [mmvu_row(0, "Art") | {"video": "https://x/clips/0.mp4"}]),
    ("mmvu", "validation.json", [mmvu_row(0, "Art") | {"answer": "F"}]),
    ("mmvu", "validation.json", [mmvu_row(0, "Art") | {"choices": {"A": "x", "C": "y"}}]),
    ("mmvu", "validation.json", [mmvu_row(0, "Art"), mmvu_row(0, "Art")]),
    ("mmvu", "validation.json", ["text"]),
    ("mvbench", "json/action_count.json", [mvbench_row("../../../passwd")]),
    ("mvbench", "json/action_count.json", [mvbench_row("http://x/v.m3u8")]),
    ("mvbench", "json/action_count.json", [mvbench_row("v.mp4") | {"answer": "He flew."}]),
    ("mvbench", "json/action_count.json", [mvbench_row("v.mp4", start=3.0, end=2.0)]),
    ("mvbench", "json/action_count.json", [mvbench_row("v.mp4", start=-1.0, end=2.0)]),
]


@pytest.mark.parametrize(("name", "file", "rows"), HOSTILE)
def test_hostile_and_malformed_rows_are_refused_by_name(
    tmp_path: Path, name: str, file: str, rows: list[Any]
) -> None:
    source = write_json(tmp_path / file, rows)
    with pytest.raises(DataError) as told:
        BENCHMARKS[name].convert(tmp_path)
    assert str(source) in told.value.message
    assert told.value.hint is not None


@pytest.mark.parametrize(
    ("name", "file", "change"),
    [
        ("tempcompass", "yes_no/test-0.parquet", {"video_id": "a/../../b"}),
        ("tempcompass", "yes_no/test-0.parquet", {"answer": "maybe"}),
        ("tempcompass", "yes_no/test-0.parquet", {"dim": "colour"}),
    ],
)
def test_malformed_parquet_rows_are_refused_by_name(
    tmp_path: Path, name: str, file: str, change: dict[str, str]
) -> None:
    row = {"video_id": "1", "question": "Is it?", "answer": "no", "dim": "speed"}
    source = write_parquet(tmp_path / file, [row, row | change])
    with pytest.raises(DataError, match="row 2"):
        BENCHMARKS[name].convert(tmp_path)
    source.write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="cannot read"):
        BENCHMARKS[name].convert(tmp_path)


@pytest.mark.parametrize("change", [{"mc_question": "How fast?"}, {"mc_answer": "E. at rest"}])
def test_a_caption_without_a_choice_is_refused_by_name(
    tmp_path: Path, change: dict[str, str]
) -> None:
    row = {"video_id": "1", "question": "Describe it.", "answer": "slow", "dim": "speed"}
    choice = {"mc_question": "How fast?\nA. fast\nB. slow", "mc_answer": "B. slow"}
    write_parquet(tmp_path / "captioning/test-0.parquet", [row | choice, row | choice | change])
    with pytest.raises(DataError, match="row 2"):
        BENCHMARKS["tempcompass"].convert(tmp_path)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_an_empty_folder_says_what_is_expected(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError) as told:
        BENCHMARKS[name].convert(tmp_path)
    assert str(tmp_path) in told.value.message
