"""The split of clevrer-mini agrees with the simulator that made it."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from vtk.data.clevrer import make_pair
from vtk.data.labelling import label_part
from vtk.data.registry import annotation_file, questions_file
from vtk.mini.annotations import to_annotation, video_name
from vtk.mini.questions import Question, ask, to_clevrer
from vtk.mini.scenes import Scene, sample_scenes


def draw_world(num_scenes: int) -> list[tuple[Scene, list[Question]]]:
    rng = np.random.default_rng(11)
    scenes = islice(sample_scenes(rng, "full"), num_scenes)
    return [(scene, ask(rng, scene, 4, 0.5)) for scene in scenes]


def write_world(root: Path, world: list[tuple[Scene, list[Question]]]) -> None:
    entries: list[dict[str, Any]] = []
    for index, (scene, questions) in enumerate(world):
        annotation = annotation_file(root, "train", index)
        annotation.parent.mkdir(parents=True, exist_ok=True)
        annotation.write_text(json.dumps(to_annotation(scene, index)))
        raw = [to_clevrer(question, i) for i, question in enumerate(questions)]
        name = video_name(index)
        entries.append({"scene_index": index, "video_filename": name, "questions": raw})
    path = questions_file(root, "train")
    path.parent.mkdir()
    path.write_text(json.dumps(entries))


def test_labels_pairs_and_gold_are_those_of_the_simulated_worlds(tmp_path: Path) -> None:
    world = draw_world(40)
    write_world(tmp_path, world)
    found = label_part(tmp_path, "train", "D1")
    asked = [(scene, question) for scene, questions in world for question in questions]
    assert found.malformed == []
    assert len(found.rows) == len(asked) > 100
    for row, (scene, question) in zip(found.rows, asked, strict=True):
        pairs = [make_pair(*pair) for pair in question.pairs]
        assert row["option_pairs"] == [list(pair) for pair in pairs]
        assert row["removed_object_id"] == question.removed
        assert row["polarity"] == question.polarity
        assert row["observed"] == [pair in scene.observed_pairs() for pair in pairs]
        happens = scene.pairs_without(question.removed)
        gold = [(pair in happens) == (question.polarity == "will") for pair in pairs]
        letters = ",".join("ABC"[i] for i, is_correct in enumerate(gold) if is_correct)
        assert row["solution"] == letters
        assert (row["label"] == "observational") == question.observational
    labels = {row["label"] for row in found.rows}
    assert labels == {"observational", "inferential"}
