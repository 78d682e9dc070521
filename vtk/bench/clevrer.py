"""A set as large as CLEVRER in its own files, without clips: to measure what reading it takes.

Counts are those of the official training part; validation has half of its scenes and, here, half of
each kind of question. A hundred worlds of clevrer-mini are repeated: each scene starts a little
elsewhere, so that none is another's.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from vtk.data.registry import annotation_file, questions_file
from vtk.mini.annotations import to_annotation, video_name
from vtk.mini.questions import ask, to_clevrer
from vtk.mini.scenes import sample_scenes

NUM_SCENES: Final = {"train": 10_000, "validation": 5_000}
FIRST_SCENE: Final = {"train": 0, "validation": 10_000}
NUM_QUESTIONS: Final = {
    "descriptive": 109_952,
    "explanatory": 16_799,
    "predictive": 7_179,
    "counterfactual": 18_642,
}
"""Of the 10,000 training scenes; 169 counterfactual questions have no correct option."""

_EVERY_WITHOUT_ANSWER: Final = 110
_NUM_WORLDS: Final = 100
_TRAIN: Final = 10_000


class _World:
    """One scene's texts, ready to be written under any number."""

    def __init__(self, scene: Any, rng: np.random.Generator) -> None:
        self._annotation = to_annotation(scene, 0)
        frames = json.dumps(self._annotation["motion_trajectory"][1:])
        self._later = frames[1:-1]
        asked = [*ask(rng, scene, 2, 0.74), *ask(rng, scene, 1, 1.0), *ask(rng, scene, 1, 0.0)]
        self.counterfactual = [to_clevrer(question, 0) for question in asked]
        program = self.counterfactual[0]["choices"][0]["program"]
        self.other = {
            "question_type": "explanatory",
            "question": "Which of the following is responsible for the collision?",
            "program": ["events", *program],
            "choices": [
                {
                    "choice_id": number,
                    "choice": "The presence of the sphere",
                    "program": program,
                    "answer": "correct" if number == 0 else "wrong",
                }
                for number in range(3)
            ],
        }

    def annotation(self, index: int) -> str:
        """The annotation of a scene like this one, moved by a hair."""
        first = json.loads(json.dumps(self._annotation["motion_trajectory"][0]))
        first["objects"][0]["location"][0] += index * 1e-6
        head = {
            "scene_index": index,
            "video_filename": video_name(index),
            "object_property": self._annotation["object_property"],
        }
        collision = json.dumps(self._annotation["collision"])
        return (
            f'{json.dumps(head)[:-1]}, "motion_trajectory": [{json.dumps(first)}, {self._later}], '
            f'"collision": {collision}}}'
        )


def write_clevrer(root: Path, share: float, on_scene: Callable[[], None] = lambda: None) -> int:
    """Write questions and annotations of both parts.

    Args:
        root: The data set's folder.
        share: Of the official number of scenes; 1 is all of them.
        on_scene: Called after each scene.

    Returns:
        Bytes written.
    """
    rng = np.random.default_rng(0)
    scenes = sample_scenes(rng)
    worlds = [_World(next(scenes), rng) for _ in range(_NUM_WORLDS)]
    num_bytes = 0
    for part, num_official in NUM_SCENES.items():
        path = questions_file(root, part)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as stream:
            for number in range(round(num_official * share)):
                index = FIRST_SCENE[part] + number
                world = worlds[index % _NUM_WORLDS]
                stream.write(("[" if number == 0 else ", ") + json.dumps(_entry(world, index)))
                target = annotation_file(root, part, index)
                target.parent.mkdir(parents=True, exist_ok=True)
                num_bytes += target.write_text(world.annotation(index), encoding="utf-8")
                on_scene()
            stream.write("]")
        num_bytes += path.stat().st_size
    return num_bytes


def num_questions(share: float) -> dict[str, int]:
    """How many questions each part of such a set has."""
    return {
        part: sum(
            _num_of(kind, FIRST_SCENE[part] + number)
            for number in range(round(num_official * share))
            for kind in NUM_QUESTIONS
        )
        for part, num_official in NUM_SCENES.items()
    }


def _num_of(kind: str, index: int) -> int:
    """Questions of a kind about a scene; over 10,000 scenes they sum to the official number."""
    place, total = index % _TRAIN, NUM_QUESTIONS[kind]
    return total * (place + 1) // _TRAIN - total * place // _TRAIN


def _entry(world: _World, index: int) -> dict[str, Any]:
    questions: list[dict[str, Any]] = []
    for kind in NUM_QUESTIONS:
        for number in range(_num_of(kind, index)):
            question = _question(world, kind, number)
            if kind == "counterfactual" and number == 0 and index % _EVERY_WITHOUT_ANSWER == 0:
                wrong = [choice | {"answer": "wrong"} for choice in question["choices"]]
                question |= {"choices": wrong}
            questions.append(question | {"question_id": len(questions)})
    return {"scene_index": index, "video_filename": video_name(index), "questions": questions}


def _question(world: _World, kind: str, number: int) -> dict[str, Any]:
    if kind == "counterfactual":
        return dict(world.counterfactual[number % len(world.counterfactual)])
    if kind == "descriptive":
        return {
            "question_type": "descriptive",
            "question_subtype": "query_color",
            "question": "What color is the object to collide with the cube?",
            "program": ["events", "objects", "cube", "filter_shape", "unique", "filter_collision",
                        "query_collision_partner", "query_color"],
            "answer": "gray",
        }  # fmt: skip
    return world.other | {"question_type": kind}
