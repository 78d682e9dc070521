"""A hand-made data set in CLEVRER's formats, small enough to label on paper."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]

RED, CYAN, GRAY, YELLOW = "red", "cyan", "gray", "yellow"
OBJECTS = [
    (RED, "metal", "sphere"),
    (CYAN, "rubber", "cylinder"),
    (GRAY, "metal", "cylinder"),
    (YELLOW, "rubber", "sphere"),
]
# Red hits cyan, cyan hits gray; either order, one pair twice; the last one is after the clip's end.
COLLISIONS = [([0, 1], 30), ([2, 1], 60), ([1, 0], 90), ([0, 3], 128)]


def thing(color: str) -> list[str]:
    """The program that finds the one object of a colour."""
    return ["objects", color, "filter_color", "unique"]


def choice(first: str, second: str, answer: str) -> Json:
    """An option that names a collision."""
    events = ["all_events", *thing(first), "filter_collision", *thing(second), "filter_collision"]
    return {
        "choice_id": 0,
        "choice": f"The {first} object collides with the {second} object",
        "program": [*events, "unique"],
        "answer": answer,
    }


def question(
    question_id: int,
    text: str,
    removed: str,
    choices: Sequence[tuple[str, str, str]],
    operator: str = "get_counterfact",
) -> Json:
    """A counterfactual question; its polarity is read from its text."""
    program = ["all_events", *thing(removed), operator, "belong_to"]
    return {
        "question_id": question_id,
        "question": text,
        "question_type": "counterfactual",
        "program": [*program, "negate"] if " not " in text else program,
        "choices": [choice(*parts) for parts in choices],
    }


def scene(index: int, questions: Sequence[Any]) -> Json:
    """A scene of a question file."""
    return {
        "scene_index": index,
        "video_filename": f"video_{index:05d}.mp4",
        "questions": list(questions),
    }


def annotation(index: int) -> Json:
    """The clip of the figure: red hits cyan, cyan hits gray, yellow far away."""
    names = ("object_id", "color", "material", "shape")
    return {
        "scene_index": index,
        "video_filename": f"video_{index:05d}.mp4",
        "object_property": [
            dict(zip(names, (i, *parts), strict=True)) for i, parts in enumerate(OBJECTS)
        ],
        "motion_trajectory": [
            {"frame_id": 0, "objects": [{"object_id": 0, "location": [index, 0.0, 0.0]}]}
        ],
        "collision": [
            {"object_ids": ids, "frame_id": frame, "location": [0.0, 0.0, 0.0]}
            for ids, frame in COLLISIONS
        ],
    }


def other_types() -> list[Json]:
    """Questions that the split does not use."""
    return [
        {
            "question_id": 0,
            "question": "How many collisions happen?",
            "question_type": "descriptive",
            "question_subtype": "count",
            "program": ["events", "objects", "filter_collision", "count"],
            "answer": "2",
        },
        {
            "question_id": 1,
            "question": "What will happen next?",
            "question_type": "predictive",
            "program": ["unseen_events", "belong_to"],
            "choices": [choice(RED, YELLOW, "correct"), choice(CYAN, YELLOW, "wrong")],
        },
    ]


def hand_labelled_questions() -> list[Json]:
    """Labelled by hand in test_split.py, but for question 20: it has no correct option."""
    right, wrong = "correct", "wrong"
    return [
        question(
            13,
            "Without the yellow object, what will happen?",
            YELLOW,
            [(RED, CYAN, right), (GRAY, CYAN, right), (RED, GRAY, wrong)],
        ),
        question(
            14,
            "If the cyan object is removed, which event will happen?",
            CYAN,
            [(RED, GRAY, right), (RED, YELLOW, wrong)],
            operator="filter_counterfact",
        ),
        question(
            15,
            "Which of the following will not happen if the yellow object is removed?",
            YELLOW,
            [(CYAN, RED, wrong), (RED, GRAY, right)],
        ),
        question(
            16,
            "What will not happen without the gray object?",
            GRAY,
            [(CYAN, RED, wrong), (YELLOW, CYAN, right)],
            operator="filter_counterfact",
        ),
        question(
            17,
            "Which event will happen without the gray object?",
            GRAY,
            [(RED, CYAN, right), (GRAY, CYAN, wrong)],
        ),
        question(
            18,
            "What will happen if the cyan object is removed?",
            CYAN,
            [(RED, GRAY, right), (RED, CYAN, wrong)],
        ),
        question(
            19,
            "Without the yellow object, which event will not happen?",
            YELLOW,
            [(RED, GRAY, right), (RED, YELLOW, right)],
        ),
        question(
            20,
            "Without the gray object, what will happen?",
            GRAY,
            [(RED, YELLOW, wrong), (GRAY, CYAN, wrong)],
        ),
    ]


def write(path: Path, value: Any) -> Path:
    """Writes JSON, making the folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_part(root: Path, part: str, scenes: Sequence[Any]) -> None:
    """A question file and the annotation of each of its scenes."""
    write(root / "questions" / f"{part}.json", list(scenes))
    for entry in scenes:
        if isinstance(entry, dict) and isinstance(entry.get("scene_index"), int):
            index = entry["scene_index"]
            write(annotation_path(root, part, index), annotation(index))


def annotation_path(root: Path, part: str, index: int) -> Path:
    """Where CLEVRER keeps one annotation."""
    first = index // 1000 * 1000
    folder = f"annotation_{first:05d}-{first + 1000:05d}"
    return root / "annotations" / part / folder / f"annotation_{index:05d}.json"


class ClevrerFolder:
    """The builders above, for tests; a data set with one scene a part lies at `root`."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.root = data_dir / "clevrer-mini"
        self.train = [scene(1, [*other_types(), *hand_labelled_questions()])]
        self.validation = [scene(10000, [*other_types(), *hand_labelled_questions()[:2]])]
        self.save()

    def save(self) -> None:
        """Writes both parts as they now are."""
        write_part(self.root, "train", self.train)
        write_part(self.root, "validation", self.validation)

    def annotation_path(self, part: str, index: int) -> Path:
        """Where one annotation lies."""
        return annotation_path(self.root, part, index)

    def edit_annotation(self, part: str, index: int, edit: Callable[[Json], object]) -> None:
        """Changes one annotation on disk."""
        path = self.annotation_path(part, index)
        value = json.loads(path.read_text())
        edit(value)
        write(path, value)


@pytest.fixture
def clevrer_folder(tmp_path: Path) -> ClevrerFolder:
    return ClevrerFolder(tmp_path / "data")
