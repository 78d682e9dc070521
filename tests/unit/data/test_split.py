"""`vtk split`: labels worked out by hand, files, manifest, and what happens to damaged data."""

import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vtk.data.registry import DATASETS
from vtk.data.sample import load_samples
from vtk.data.split import SplitOptions, SplitResult, split_dataset
from vtk.errors import ConfigError, DataError

if TYPE_CHECKING:
    from tests.unit.data.conftest import ClevrerFolder

# Worked out by hand: o observational, i inferential, under D1 D2 D3 D4. Red hits cyan and cyan hits
# gray; yellow hits nothing within the clip. What a describer of the clip answers is in brackets.
HAND_LABELS = {
    13: "oooo",  # without yellow: red-cyan, gray-cyan correct, red-gray wrong [the same]
    14: "iiii",  # without cyan: red-gray correct, red-yellow wrong [none of them]
    15: "oooo",  # without yellow will not: red-cyan wrong, red-gray correct [the same]
    16: "oooi",  # without gray will not: red-cyan wrong, yellow-cyan correct [the same]
    17: "iooi",  # without gray: red-cyan correct, gray-cyan wrong [both]
    18: "iioi",  # without cyan: red-gray correct, red-cyan wrong [red-cyan]
    19: "ooio",  # without yellow will not: red-gray, red-yellow correct [the same]
}
LABEL = {"o": "observational", "i": "inferential"}


def split(folder: "ClevrerFolder", **options: Any) -> SplitResult:
    return split_dataset(folder.root, DATASETS["clevrer-mini"], SplitOptions(**options))


def read_rows(result: SplitResult, name: str) -> list[dict[str, Any]]:
    lines = (result.folder / f"{name}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def reasons(result_folder: Path, part: str = "train") -> list[str]:
    problems = json.loads((result_folder / "problems.json").read_text())
    return [entry["reason"] for entry in problems[part]["malformed"]]


@pytest.mark.parametrize("rule", ["D1", "D2", "D3", "D4"])
def test_labels_are_those_worked_out_by_hand(clevrer_folder: "ClevrerFolder", rule: str) -> None:
    result = split(clevrer_folder, rule=rule)
    column = ["D1", "D2", "D3", "D4"].index(rule)
    expected = {qid: LABEL[labels[column]] for qid, labels in HAND_LABELS.items()}
    rows = read_rows(result, "train")
    assert {row["question_id"]: row["label"] for row in rows} == expected
    assert {row["rule"] for row in rows} == {rule}
    for row in rows:
        named = [LABEL[letter] for letter in HAND_LABELS[row["question_id"]]]
        assert list(row["rule_labels"].values()) == named
    bias = [row["question_id"] for row in read_rows(result, "bias")]
    assert bias == [qid for qid, label in expected.items() if label == "observational"]


def test_a_row_holds_what_its_question_says(clevrer_folder: "ClevrerFolder") -> None:
    rows = {row["question_id"]: row for row in read_rows(split(clevrer_folder), "train")}
    assert rows[13] == {
        "sample_id": "train-00001-13",
        "clip_id": "train/video_00001",
        "scene_index": 1,
        "question_id": 13,
        "question": "Without the yellow object, what will happen?",
        "problem": "Without the yellow object, what will happen?\n"
        "A. The red object collides with the cyan object\n"
        "B. The gray object collides with the cyan object\n"
        "C. The red object collides with the gray object",
        "options": [
            "The red object collides with the cyan object",
            "The gray object collides with the cyan object",
            "The red object collides with the gray object",
        ],
        "solution": "A,B",
        "label": "observational",
        "polarity": "will",
        "num_correct": 2,
        "rule": "D1",
        "rule_labels": dict.fromkeys(("D1", "D2", "D3", "D4"), "observational"),
        "removed_object": "yellow rubber sphere",
        "removed_object_id": 3,
        "option_pairs": [[0, 1], [1, 2], [0, 2]],
        "observed": [True, True, False],
        "video": "videos/train/video_00000-01000/video_00001.mp4",
    }
    assert (rows[16]["polarity"], rows[16]["solution"]) == ("will_not", "B")
    assert rows[16]["observed"] == [True, False]


def test_counts_add_up_and_questions_without_an_answer_are_named(
    clevrer_folder: "ClevrerFolder",
) -> None:
    result = split(clevrer_folder)
    counts = result.manifest["counts"]["train"]
    assert counts["num_questions"] == 10
    assert counts["num_counterfactual"] == 8
    assert counts["num_usable"] == 7
    assert counts["num_zero_correct"] == 1
    assert (counts["num_observational"], counts["num_inferential"]) == (4, 3)
    assert counts["observational_by_rule"] == {"D1": 4, "D2": 5, "D3": 5, "D4": 3}
    assert counts["by_polarity"] == {"will": 4, "will_not": 3}
    assert counts["by_num_correct"] == {"1": 5, "2": 2}
    problems = json.loads((result.folder / "problems.json").read_text())
    assert problems["train"] == {"malformed": [], "zero_correct": ["train-00001-20"]}
    assert result.num_missing_videos == 2


def test_the_manifest_describes_the_files_and_is_the_same_each_time(
    clevrer_folder: "ClevrerFolder",
) -> None:
    first = split(clevrer_folder)
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    manifest = json.loads(before["manifest.json"])
    for name, facts in manifest["outputs"].items():
        assert facts["sha256"] == sha256(before[name]).hexdigest()
        assert facts["num_bytes"] == len(before[name])
        assert facts["num_rows"] == before[name].count(b"\n")
    assert [facts["num_rows"] for facts in manifest["outputs"].values()] == [7, 4, 2]
    questions = (clevrer_folder.root / "questions/train.json").read_bytes()
    assert manifest["inputs"]["train"]["questions_sha256"] == sha256(questions).hexdigest()
    assert manifest["leakage"] == {"num_shared_clips": 0, "num_shared_worlds": 0}
    second = split(clevrer_folder)
    assert {path.name: path.read_bytes() for path in second.folder.iterdir()} == before
    clevrer_folder.edit_annotation("train", 1, lambda value: value["collision"].pop())
    changed = split(clevrer_folder).manifest["inputs"]["train"]
    assert changed["annotations_sha256"] != manifest["inputs"]["train"]["annotations_sha256"]


def test_split_files_load_as_samples_and_survive_the_published_form(
    clevrer_folder: "ClevrerFolder",
) -> None:
    result = split(clevrer_folder)
    samples = load_samples(result.folder / "train.jsonl")
    assert [sample.question_id for sample in samples] == list(HAND_LABELS)
    assert {sample.video for sample in samples} == {
        (clevrer_folder.root / "videos/train/video_00000-01000/video_00001.mp4").resolve()
    }
    published = [
        {
            "problem": sample.problem,
            "solution": f"<answer>{sample.solution}</answer>",
            "video": "/" + sample.video.relative_to(clevrer_folder.root.resolve()).as_posix(),
        }
        for sample in samples
    ]
    (clevrer_folder.root / "published.json").write_text(json.dumps(published))
    again = load_samples(clevrer_folder.root / "published.json")
    for before, after in zip(samples, again, strict=True):
        assert (after.problem, after.solution) == (before.problem, before.solution)
        assert (after.options, after.video) == (before.options, before.video)


def test_modified_bias_questions_ask_about_the_clip_as_it_is(
    clevrer_folder: "ClevrerFolder",
) -> None:
    original = split(clevrer_folder)
    train = (original.folder / "train.jsonl").read_bytes()
    asked = [row["problem"].split("\n")[0] for row in read_rows(original, "bias")]
    modified = split(clevrer_folder, bias_questions="modified")
    rows = read_rows(modified, "bias")
    assert [row["problem"].split("\n")[0] for row in rows] == [
        "What will happen?",
        "Which of the following will not happen?",
        "What will not happen?",
        "Which event will not happen?",
    ]
    assert asked[0] == "Without the yellow object, what will happen?"
    assert [sample.options for sample in load_samples(modified.folder / "bias.jsonl")] == [
        tuple(row["options"]) for row in rows
    ]
    assert (modified.folder / "train.jsonl").read_bytes() == train


def break_choices(question: dict[str, Any]) -> None:
    del question["choices"]


def break_answer(question: dict[str, Any]) -> None:
    question["choices"][0]["answer"] = "maybe"


def break_program(question: dict[str, Any]) -> None:
    question["program"] = ["all_events", "objects", "rubber", "filter_material", "unique"]


def break_object(question: dict[str, Any]) -> None:
    question["choices"][1]["program"][2] = "brown"


def break_word(question: dict[str, Any]) -> None:
    question["program"].append("invert")


def break_text(question: dict[str, Any]) -> None:
    question["question"] = "What\nA. will happen?"


def break_type(question: dict[str, Any]) -> None:
    question["question_type"] = "counterfactural"


def break_id(question: dict[str, Any]) -> None:
    question["question_id"] = 14


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (break_choices, "'choices' is missing"),
        (break_answer, "a choice's answer is 'maybe'"),
        (break_program, "'unique' found 2 objects"),
        (break_object, "'unique' found 0 objects"),
        (break_word, "unknown word 'invert'"),
        (break_text, "'question' must be one line"),
        (break_type, "unknown question_type 'counterfactural'"),
        (break_id, "its question_id is used twice"),
    ],
)
def test_a_malformed_question_is_counted_named_and_stops_the_split(
    clevrer_folder: "ClevrerFolder", damage: Any, reason: str
) -> None:
    damage(clevrer_folder.train[0]["questions"][-2])
    clevrer_folder.save()
    with pytest.raises(DataError) as caught:
        split(clevrer_folder)
    assert "1 of 8 train questions are malformed, more than 1.0%" in caught.value.message
    assert "questions/train.json: scene 1, question " in caught.value.message
    assert reason in caught.value.message
    assert "problems.json" in str(caught.value.hint)
    assert not (clevrer_folder.root / "split/manifest.json").exists()

    result = split(clevrer_folder, max_malformed_frac=0.2)
    assert result.manifest["counts"]["train"]["num_malformed"] == 1
    assert reason in reasons(result.folder)[0]
    assert len(read_rows(result, "train")) == 6


def test_a_missing_or_damaged_annotation_costs_the_questions_of_its_scene_only(
    clevrer_folder: "ClevrerFolder",
) -> None:
    questions = clevrer_folder.train[0]["questions"]
    for index in (2, 3, 4, 5, 6):
        scene = {"scene_index": index, "video_filename": f"video_{index:05d}.mp4"}
        clevrer_folder.train.append(scene | {"questions": questions[:3]})
    clevrer_folder.save()
    clevrer_folder.annotation_path("train", 2).unlink()
    clevrer_folder.annotation_path("train", 3).write_text('{"scene_index": 3, "obj')
    clevrer_folder.edit_annotation("train", 4, lambda value: value.pop("collision"))
    clevrer_folder.edit_annotation("train", 5, lambda value: value.update(scene_index=7))
    clevrer_folder.edit_annotation("train", 6, lambda value: value["collision"][0].clear())
    result = split(clevrer_folder, max_malformed_frac=0.9)
    missing, torn, no_log, wrong_scene, no_ids = reasons(result.folder)
    assert "there is no annotation file" in missing
    assert "annotation_00002.json" in missing
    assert "is not JSON" in torn
    assert "'collision' is missing" in no_log
    assert "is about scene 7" in wrong_scene
    assert "'object_ids' is missing" in no_ids
    assert {row["scene_index"] for row in read_rows(result, "train")} == {1}


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda v: v["collision"][0].update(object_ids=[0, 9]), "object_ids are [0, 9]"),
        (lambda v: v["collision"][0].update(object_ids=[1, 1]), "object_ids are [1, 1]"),
        (lambda v: v["collision"][0].update(object_ids=[1]), "object_ids are [1]"),
        (lambda v: v["collision"][0].pop("frame_id"), "'frame_id' is missing"),
        (lambda v: v["object_property"][0].update(color="pink"), "unknown color 'pink'"),
        (lambda v: v["object_property"][1].update(object_id=0), "object_id 0 is listed twice"),
        (lambda v: v.update(object_property={}), "'object_property' must be list"),
        (lambda v: v.update(scene_index=True), "'scene_index' must be a number"),
        *(
            (
                lambda v, wrong=wrong: v.update(motion_trajectory=wrong),
                "'motion_trajectory' must be",
            )
            for wrong in ({"a": 1}, 5, "x", True)
        ),
    ],
)
def test_a_malformed_annotation_says_what_is_wrong(
    clevrer_folder: "ClevrerFolder", edit: Any, reason: str
) -> None:
    clevrer_folder.edit_annotation("validation", 10000, edit)
    with pytest.raises(DataError, match="2 of 2 validation questions are malformed"):
        split(clevrer_folder)
    found = reasons(clevrer_folder.root / "split", "validation")
    assert [reason in text for text in found] == [True, True]


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        ("text", "expected an object with 'questions', found str"),
        ({"scene_index": 2, "video_filename": "video_00002.mp4"}, "'questions' is missing"),
        ({"scene_index": "2", "questions": []}, "'scene_index' must be int"),
        (
            {"scene_index": 1, "video_filename": "video_00001.mp4", "questions": []},
            "the scene is listed twice",
        ),
        (
            {"scene_index": 2, "video_filename": "video_00002.mp4", "questions": [3]},
            "expected an object with 'question_type', found int",
        ),
    ],
)
def test_a_malformed_scene_is_counted_and_named(
    clevrer_folder: "ClevrerFolder", scene: Any, reason: str
) -> None:
    clevrer_folder.train.append(scene)
    clevrer_folder.save()
    with pytest.raises(DataError, match="1 of 9 train questions are malformed"):
        split(clevrer_folder)
    result = split(clevrer_folder, max_malformed_frac=0.5)
    assert reason in reasons(result.folder)[0]
    assert len(read_rows(result, "train")) == 7


def test_a_video_of_another_name_is_refused(clevrer_folder: "ClevrerFolder") -> None:
    clevrer_folder.validation[0]["video_filename"] = "../../../etc/passwd"
    clevrer_folder.save()
    with pytest.raises(DataError, match=r"its video_filename is '\.\./"):
        split(clevrer_folder)


def test_a_question_file_cut_short_is_refused_and_nothing_is_written(
    clevrer_folder: "ClevrerFolder",
) -> None:
    path = clevrer_folder.root / "questions/train.json"
    path.write_text(path.read_text()[:-400])
    with pytest.raises(DataError, match=r"train\.json is damaged at character \d+"):
        split(clevrer_folder)
    assert not (clevrer_folder.root / "split").exists()


def test_a_missing_part_says_how_to_get_it(clevrer_folder: "ClevrerFolder") -> None:
    (clevrer_folder.root / "questions/validation.json").unlink()
    with pytest.raises(DataError, match="is not complete") as caught:
        split(clevrer_folder)
    folder = clevrer_folder.root.parent
    assert caught.value.hint == f"Get it with: vtk download clevrer-mini --data-dir {folder}"


def test_a_part_without_counterfactual_questions_is_refused(
    clevrer_folder: "ClevrerFolder",
) -> None:
    clevrer_folder.validation[0]["questions"] = clevrer_folder.validation[0]["questions"][:2]
    clevrer_folder.save()
    with pytest.raises(DataError, match="validation holds no usable counterfactual question"):
        split(clevrer_folder)


def test_a_clip_that_is_in_both_parts_is_refused_whatever_its_number(
    clevrer_folder: "ClevrerFolder",
) -> None:
    train = json.loads(clevrer_folder.annotation_path("train", 1).read_text())
    same_world = {key: train[key] for key in ("object_property", "motion_trajectory", "collision")}
    clevrer_folder.edit_annotation("validation", 10000, lambda value: value.update(same_world))
    with pytest.raises(DataError, match=r"share 1 clips, for instance validation/video_10000"):
        split(clevrer_folder)


def test_a_thinned_training_file_is_reported_in_the_manifest(
    clevrer_folder: "ClevrerFolder",
) -> None:
    result = split(clevrer_folder, observational_frac=0.8)
    assert result.manifest["options"]["observational_frac"] == 0.8
    facts = result.manifest["outputs"]["train.jsonl"]
    assert (facts["num_rows"], facts["num_observational"]) == (5, 4)
    assert len(read_rows(result, "bias")) == 4
    assert len(read_rows(result, "validation")) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"rule": "D5"},
        {"bias_questions": "changed"},
        {"observational_frac": 0.0},
        {"observational_frac": 1.0},
        {"observational_frac": float("nan")},
        {"max_malformed_frac": 1.5},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SplitOptions(**options)
