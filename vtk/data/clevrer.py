"""CLEVRER's question and annotation files as typed records, one scene in memory at a time.

The formats are those of http://clevrer.csail.mit.edu; clevrer-mini writes the same ones.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from vtk.data.annotation_text import parse_annotation_text
from vtk.data.json_stream import iter_json_array

COLORS = ("gray", "red", "blue", "green", "brown", "cyan", "purple", "yellow")
MATERIALS = ("metal", "rubber")
SHAPES = ("sphere", "cylinder", "cube")
QUESTION_TYPES = ("descriptive", "explanatory", "predictive", "counterfactual")
NUM_FRAMES = 128

Pair = tuple[int, int]


class MalformedRowError(Exception):
    """One scene, question or annotation that cannot be used; the message is the reason."""


@dataclass(frozen=True, slots=True)
class SceneEntry:
    """One scene of a question file; its questions are parsed one by one, so that one may fail."""

    scene_index: int
    video_filename: str
    raw_questions: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One option: its text, the program that names its event, and whether it is correct."""

    text: str
    program: tuple[str, ...]
    is_correct: bool


@dataclass(frozen=True, slots=True)
class Question:
    """One multiple-choice question with its program and options."""

    question_id: int
    text: str
    program: tuple[str, ...]
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One object; its three attributes tell it from every other object of the scene."""

    object_id: int
    color: str
    material: str
    shape: str

    @property
    def text(self) -> str:
        """All attributes: `red metal sphere`."""
        return f"{self.color} {self.material} {self.shape}"


@dataclass(frozen=True, slots=True)
class Annotation:
    """What is known about one clip.

    Attributes:
        scene_index: The scene.
        objects: By object_id.
        collided: The unordered pairs, smaller id first, that collide within the clip's frames.
        fingerprint: The same for two clips of the same world, whatever their numbers.
        file_sha256: Of the file as read.
    """

    scene_index: int
    objects: Mapping[int, SceneObject]
    collided: frozenset[Pair]
    fingerprint: str
    file_sha256: str


def make_pair(first: int, second: int) -> Pair:
    """The unordered pair of two objects; the log lists them in either order."""
    return (first, second) if first < second else (second, first)


def iter_scenes(path: Path) -> Iterator[tuple[int, SceneEntry | MalformedRowError]]:
    """Yields the position and the scene, or what is wrong with it, for each scene of a file.

    Raises:
        DataError: The file itself is missing, cut short or not a JSON array.
    """
    for position, raw in iter_json_array(path):
        try:
            yield position, _parse_scene(raw)
        except MalformedRowError as error:
            yield position, error


def _parse_scene(raw: Any) -> SceneEntry:
    questions = _field(raw, "questions", list)
    return SceneEntry(
        scene_index=_index(raw, "scene_index"),
        video_filename=_field(raw, "video_filename", str),
        raw_questions=tuple(questions),
    )


def question_type(raw: Any) -> str:
    """One of QUESTION_TYPES.

    Raises:
        MalformedRowError: The question has no type or an unknown one.
    """
    found = _field(raw, "question_type", str)
    if found not in QUESTION_TYPES:
        raise MalformedRowError(f"unknown question_type {found!r}")
    return str(found)


def parse_question(raw: Any) -> Question:
    """A multiple-choice question.

    Raises:
        MalformedRowError: A field is missing or of the wrong kind, or an answer is neither
            `correct` nor `wrong`.
    """
    choices = _field(raw, "choices", list)
    if not choices:
        raise MalformedRowError("'choices' is empty")
    return Question(
        question_id=_index(raw, "question_id"),
        text=_line(raw, "question"),
        program=_program(raw),
        choices=tuple(_parse_choice(choice) for choice in choices),
    )


def _parse_choice(raw: Any) -> Choice:
    answer = _field(raw, "answer", str)
    if answer not in ("correct", "wrong"):
        raise MalformedRowError(f"a choice's answer is {answer!r}, not 'correct' or 'wrong'")
    return Choice(_line(raw, "choice"), _program(raw), answer == "correct")


def _program(raw: Any) -> tuple[str, ...]:
    program = _field(raw, "program", list)
    if not all(isinstance(token, str) for token in program):
        raise MalformedRowError("'program' must be a list of words")
    return tuple(program)


def read_annotation(path: Path) -> Annotation:
    """Reads one annotation file.

    Raises:
        MalformedRowError: The file is missing, is not JSON or is not an annotation.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise MalformedRowError(f"there is no annotation file {path}") from error
    except OSError as error:
        raise MalformedRowError(f"cannot read {path}: {error.strerror}") from error
    try:
        raw = parse_annotation_text(content)
    except (ValueError, RecursionError) as error:
        raise MalformedRowError(f"{path} is not JSON ({error})") from error
    try:
        return _parse_annotation(raw, sha256(content).hexdigest())
    except MalformedRowError as error:
        raise MalformedRowError(f"{path}: {error}") from error


def _parse_annotation(raw: Any, file_sha256: str) -> Annotation:
    objects = _parse_objects(_field(raw, "object_property", list))
    return Annotation(
        scene_index=_index(raw, "scene_index"),
        objects=objects,
        collided=_parse_collisions(_field(raw, "collision", list), objects),
        fingerprint=_fingerprint(raw),
        file_sha256=file_sha256,
    )


def _parse_objects(raw_objects: list[Any]) -> dict[int, SceneObject]:
    objects: dict[int, SceneObject] = {}
    for raw in raw_objects:
        found = SceneObject(
            object_id=_index(raw, "object_id"),
            color=_attribute(raw, "color", COLORS),
            material=_attribute(raw, "material", MATERIALS),
            shape=_attribute(raw, "shape", SHAPES),
        )
        if found.object_id in objects:
            raise MalformedRowError(f"object_id {found.object_id} is listed twice")
        objects[found.object_id] = found
    return objects


def _attribute(raw: Any, key: str, known: tuple[str, ...]) -> str:
    value = _field(raw, key, str)
    if value not in known:
        raise MalformedRowError(f"unknown {key} {value!r}")
    return str(value)


def _parse_collisions(
    raw_collisions: list[Any], objects: Mapping[int, SceneObject]
) -> frozenset[Pair]:
    pairs: set[Pair] = set()
    for raw in raw_collisions:
        ids = _field(raw, "object_ids", list)
        known = all(isinstance(i, int) and i in objects for i in ids)
        if len(ids) != 2 or not known or ids[0] == ids[1]:
            raise MalformedRowError(f"a collision's object_ids are {ids!r}, not two objects")
        # What would happen after the last frame cannot be seen in the clip.
        if _index(raw, "frame_id") < NUM_FRAMES:
            pairs.add(make_pair(ids[0], ids[1]))
    return frozenset(pairs)


def _fingerprint(raw: Any) -> str:
    """Digest of the objects, where they start and what they hit."""
    motion = _field(raw, "motion_trajectory", list) if raw.get("motion_trajectory") else []
    world = [raw["object_property"], motion[0] if motion else None, raw["collision"]]
    return sha256(json.dumps(world, sort_keys=True).encode()).hexdigest()


def _field(raw: Any, key: str, kind: type) -> Any:
    if not isinstance(raw, dict):
        raise MalformedRowError(f"expected an object with {key!r}, found {type(raw).__name__}")
    if key not in raw:
        raise MalformedRowError(f"{key!r} is missing")
    if not isinstance(raw[key], kind):
        raise MalformedRowError(f"{key!r} must be {kind.__name__}, found {raw[key]!r:.60}")
    return raw[key]


def _line(raw: Any, key: str) -> str:
    value = _field(raw, key, str)
    # A problem holds one option a line.
    if not value.strip() or "\n" in value:
        raise MalformedRowError(f"{key!r} must be one line of text, found {value!r:.60}")
    return str(value)


def _index(raw: Any, key: str) -> int:
    value = _field(raw, key, int)
    if isinstance(value, bool) or value < 0:
        raise MalformedRowError(f"{key!r} must be a number from 0 up, found {value!r}")
    return int(value)
