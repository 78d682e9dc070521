"""Properties of the labels over random worlds, and memory over many scenes."""

import json
import tracemalloc
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vtk.data.clevrer import COLORS, MATERIALS, SHAPES
from vtk.data.labelling import label_part
from vtk.data.registry import annotation_file, questions_file

if TYPE_CHECKING:
    from tests.unit.data.conftest import ClevrerFolder

KINDS = [(c, m, s) for c in COLORS for m in MATERIALS for s in SHAPES]


def full_program(kind: tuple[str, str, str]) -> list[str]:
    color, material, shape = kind
    filters = [color, "filter_color", material, "filter_material", shape, "filter_shape"]
    return ["objects", *filters, "unique"]


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    """Objects, a collision log, and one question whose gold answers are anything."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=3, max_size=6, unique=True))
    pairs = list(combinations(range(len(kinds)), 2))
    options = draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=4, unique=True))
    return {
        "kinds": kinds,
        "log": draw(st.lists(st.tuples(st.sampled_from(pairs), st.booleans()), max_size=5)),
        "options": options,
        "swapped": draw(st.lists(st.booleans(), min_size=len(options), max_size=len(options))),
        "gold": draw(st.sets(st.integers(0, len(options) - 1), min_size=1)),
        "removed": draw(st.integers(0, len(kinds) - 1)),
        "negated": draw(st.booleans()),
        "operator": draw(st.sampled_from(["get_counterfact", "filter_counterfact"])),
    }


def write_world(root: Path, world: dict[str, Any]) -> None:
    kinds = world["kinds"]
    choices = []
    for i, ((a, b), swapped) in enumerate(zip(world["options"], world["swapped"], strict=True)):
        first, second = (b, a) if swapped else (a, b)
        events = ["all_events", *full_program(kinds[first]), "filter_collision"]
        events += [*full_program(kinds[second]), "filter_collision", "unique"]
        answer = "correct" if i in world["gold"] else "wrong"
        choices.append({"choice_id": i, "choice": f"{i}", "program": events, "answer": answer})
    program = ["all_events", *full_program(kinds[world["removed"]]), world["operator"], "belong_to"]
    question = {
        "question_id": 0,
        "question": "?",
        "question_type": "counterfactual",
        "program": [*program, *["negate"] * world["negated"]],
        "choices": choices,
    }
    scene = {"scene_index": 0, "video_filename": "video_00000.mp4", "questions": [question]}
    names = ("object_id", "color", "material", "shape")
    log = [(pair[::-1] if swapped else pair) for pair, swapped in world["log"]]
    annotation = {
        "scene_index": 0,
        "object_property": [dict(zip(names, (i, *k), strict=True)) for i, k in enumerate(kinds)],
        "collision": [{"object_ids": list(pair), "frame_id": 20} for pair in log],
    }
    for path, value in (
        (questions_file(root, "train"), [scene]),
        (annotation_file(root, "train", 0), annotation),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(world=worlds())
def test_observational_under_d1_is_when_copying_the_log_gives_exactly_the_gold_set(
    tmp_path: Path, world: dict[str, Any]
) -> None:
    write_world(tmp_path, world)
    [row] = label_part(tmp_path, "train", "D1").rows
    happened = {pair for pair, _ in world["log"]}
    copied = {i for i, pair in enumerate(world["options"]) if pair in happened}
    if world["negated"]:
        copied = set(range(len(world["options"]))) - copied
    assert (row["label"] == "observational") == (copied == world["gold"])
    assert row["polarity"] == ("will_not" if world["negated"] else "will")
    assert row["removed_object_id"] == world["removed"]
    assert row["option_pairs"] == [list(pair) for pair in world["options"]]
    labels = row["rule_labels"]
    assert (labels["D2"] == "observational") == (world["gold"] <= copied)
    assert (labels["D3"] == "observational") == any(p in happened for p in world["options"])
    idle = all(world["removed"] not in pair for pair in happened)
    assert (labels["D4"] == "observational") == idle


def test_one_annotation_is_in_memory_at_a_time(clevrer_folder: "ClevrerFolder") -> None:
    path = clevrer_folder.annotation_path("train", 1)
    value = json.loads(path.read_text())
    place = {"location": [0.123456, 1.234567, 0.2], "velocity": [0.1, 0.2, 0.3]}
    value["motion_trajectory"] = [
        {"frame_id": frame, "objects": [{"object_id": i, **place} for i in range(5)]}
        for frame in range(128)
    ]
    scene = clevrer_folder.train[0]
    scenes = [
        scene | {"scene_index": index, "video_filename": f"video_{index:05d}.mp4"}
        for index in range(60)
    ]
    questions_file(clevrer_folder.root, "train").write_text(json.dumps(scenes))
    for index in range(60):
        content = json.dumps(value | {"scene_index": index})
        clevrer_folder.annotation_path("train", index).write_text(content)
    one_annotation_bytes = len(content)
    tracemalloc.start()
    found = label_part(clevrer_folder.root, "train", "D1")
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.rows) == 60 * 7
    assert peak_bytes < 12 << 20
    assert 60 * 5 * one_annotation_bytes > 12 << 20  # parsed, one takes about five times its text


def test_progress_names_every_scene(clevrer_folder: "ClevrerFolder") -> None:
    seen: list[str] = []
    label_part(clevrer_folder.root, "train", "D1", on_scene=seen.append)
    assert seen == ["train"]


def test_an_annotation_is_read_once_however_many_questions_its_scene_has(
    clevrer_folder: "ClevrerFolder", monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    read_bytes = Path.read_bytes

    def count(path: Path) -> bytes:
        opened.append(path)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", count)
    found = label_part(clevrer_folder.root, "train", "D1")
    assert len(found.rows) == 7
    assert opened == [clevrer_folder.annotation_path("train", 1)]
