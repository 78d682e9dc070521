"""One part of a data set in CLEVRER's layout becomes labelled questions and their counts."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from vtk.data.clevrer import (
    Annotation,
    MalformedRowError,
    Question,
    SceneEntry,
    iter_scenes,
    parse_question,
    question_type,
    read_annotation,
)
from vtk.data.problem import LETTERS, build_problem, build_solution
from vtk.data.programs import read_option, read_question
from vtk.data.registry import annotation_file, questions_file, video_reference
from vtk.data.rules import RULES, QuestionFacts, label_by_rule
from vtk.data.spilled_rows import Row, SpilledRows


@dataclass(frozen=True, slots=True)
class Malformed:
    """One thing that could not be used: where it is and why. Unknown numbers are None."""

    file: str
    scene_index: int | None
    question_id: int | None
    reason: str

    def __str__(self) -> str:
        scene = "?" if self.scene_index is None else self.scene_index
        question = "" if self.question_id is None else f", question {self.question_id}"
        return f"{self.file}: scene {scene}{question}: {self.reason}"


@dataclass(slots=True)
class LabelledPart:
    """What was found in one part of a data set.

    Attributes:
        part: `train` or `validation`.
        rows: The usable questions, in the file's order, on the disk.
        malformed: What could not be used.
        zero_correct: Ids of the questions without a correct option, which the published data lack.
        counts: Scenes, questions, counterfactual questions and what became of them.
        fingerprints: World of each scene with a usable question -> its clip.
        annotations_sha256: Digest over the names and contents of the annotation files read.
    """

    part: str
    rows: SpilledRows
    malformed: list[Malformed] = field(default_factory=list)
    zero_correct: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    fingerprints: dict[str, str] = field(default_factory=dict)
    annotations_sha256: str = ""

    @property
    def num_judged(self) -> int:
        """Counterfactual questions, and whatever was too damaged to tell."""
        return self.counts["counterfactual"] + self.counts["unrecognisable"]

    def count_by_rule(self) -> dict[str, int]:
        """How many usable questions each rule calls observational."""
        found = Counter(
            rule
            for row in self.rows
            for rule, label in row["rule_labels"].items()
            if label == "observational"
        )
        return {rule: found[rule] for rule in RULES}


def label_part(
    root: Path, part: str, rule: str, on_scene: Callable[[str], None] | None = None
) -> LabelledPart:
    """Labels every counterfactual question of one part; one annotation is in memory at a time.

    Args:
        root: The data set's folder.
        part: `train` or `validation`.
        rule: The rule whose label becomes the row's `label`; the others' stay in `rule_labels`.
        on_scene: Called with the part after each scene.

    Raises:
        DataError: The question file is missing, cut short or not a JSON array.
    """
    return _Labeller(root, part, rule).run(on_scene)


class _Labeller:
    """The state of one pass over a question file."""

    def __init__(self, root: Path, part: str, rule: str) -> None:
        self._root = root
        self._rule = rule
        self._file = questions_file(root, part)
        self._found = LabelledPart(part, SpilledRows(root))
        self._annotations = sha256()
        self._seen_scenes: set[int] = set()

    def run(self, on_scene: Callable[[str], None] | None) -> LabelledPart:
        for position, scene in iter_scenes(self._file):
            if isinstance(scene, MalformedRowError):
                self._reject(None, None, f"element {position + 1}: {scene}", "unrecognisable")
            else:
                self._label_scene(scene)
            if on_scene is not None:
                on_scene(self._found.part)
        self._found.annotations_sha256 = self._annotations.hexdigest()
        return self._found

    def _label_scene(self, scene: SceneEntry) -> None:
        self._found.counts["scenes"] += 1
        if scene.scene_index in self._seen_scenes:
            reason = "the scene is listed twice; its first place counts"
            self._reject(scene.scene_index, None, reason, "unrecognisable")
            return
        self._seen_scenes.add(scene.scene_index)
        annotation: Annotation | MalformedRowError | None = None
        seen_questions: set[int] = set()
        for question_id, raw in self._counterfactuals(scene):
            try:
                question = parse_question(raw)
                if question.question_id in seen_questions:
                    raise MalformedRowError("its question_id is used twice in the scene")
                seen_questions.add(question.question_id)
                if self._drop_without_answer(scene, question):
                    continue
                annotation = annotation or self._read_annotation(scene)
                if isinstance(annotation, MalformedRowError):
                    raise annotation
                self._add_row(scene, question, annotation)
            except MalformedRowError as error:
                self._reject(scene.scene_index, question_id, str(error))

    def _counterfactuals(self, scene: SceneEntry) -> Iterator[tuple[int | None, Any]]:
        """Yields the counterfactual questions; counts the others and reports the unrecognisable."""
        for raw in scene.raw_questions:
            question_id = _known_id(raw)
            self._found.counts["questions"] += 1
            try:
                kind = question_type(raw)
            except MalformedRowError as error:
                self._reject(scene.scene_index, question_id, str(error), "unrecognisable")
                continue
            self._found.counts[kind] += 1
            if kind == "counterfactual":
                yield question_id, raw

    def _drop_without_answer(self, scene: SceneEntry, question: Question) -> bool:
        if any(choice.is_correct for choice in question.choices):
            return False
        self._found.zero_correct.append(self._sample_id(scene, question))
        return True

    def _read_annotation(self, scene: SceneEntry) -> Annotation | MalformedRowError:
        path = annotation_file(self._root, self._found.part, scene.scene_index)
        try:
            annotation = read_annotation(path)
            if annotation.scene_index != scene.scene_index:
                raise MalformedRowError(f"{path} is about scene {annotation.scene_index}")
        except MalformedRowError as error:
            return error
        name = path.relative_to(self._root).as_posix()
        self._found.counts["annotations"] += 1
        self._annotations.update(f"{name} {annotation.file_sha256}\n".encode())
        return annotation

    def _add_row(self, scene: SceneEntry, question: Question, annotation: Annotation) -> None:
        video = video_reference(self._found.part, scene.scene_index)
        if scene.video_filename != Path(video).name:
            raise MalformedRowError(f"its video_filename is {scene.video_filename!r}")
        row = _build_row(question, annotation, self._rule)
        clip_id = f"{self._found.part}/{Path(video).stem}"
        identity = {"sample_id": self._sample_id(scene, question), "clip_id": clip_id}
        self._found.rows.append(identity | row | {"video": video})
        self._found.fingerprints[annotation.fingerprint] = clip_id

    def _sample_id(self, scene: SceneEntry, question: Question) -> str:
        return f"{self._found.part}-{scene.scene_index:05d}-{question.question_id}"

    def _reject(
        self, scene: int | None, question: int | None, reason: str, counted_as: str | None = None
    ) -> None:
        name = self._file.relative_to(self._root).as_posix()
        self._found.malformed.append(Malformed(name, scene, question, reason))
        if counted_as is not None:
            self._found.counts[counted_as] += 1


def _known_id(raw: Any) -> int | None:
    value = raw.get("question_id") if isinstance(raw, dict) else None
    return value if isinstance(value, int) else None


def _build_row(question: Question, annotation: Annotation, rule: str) -> Row:
    """One labelled question; everything but what names its clip."""
    if len(question.choices) > len(LETTERS):
        raise MalformedRowError(f"it has {len(question.choices)} options")
    asked = read_question(question.program, annotation.objects)
    pairs = [read_option(choice.program, annotation.objects) for choice in question.choices]
    correct = [choice.is_correct for choice in question.choices]
    facts = QuestionFacts(
        is_negated=asked.is_negated,
        observed=[pair in annotation.collided for pair in pairs],
        correct=correct,
        removed_collides=any(asked.removed_id in pair for pair in annotation.collided),
    )
    labels = label_by_rule(facts)
    options = [choice.text for choice in question.choices]
    return {
        "scene_index": annotation.scene_index,
        "question_id": question.question_id,
        "question": question.text,
        "problem": build_problem(question.text, options),
        "options": options,
        "solution": build_solution(i for i, is_correct in enumerate(correct) if is_correct),
        "label": labels[rule],
        "polarity": "will_not" if asked.is_negated else "will",
        "num_correct": sum(correct),
        "rule": rule,
        "rule_labels": labels,
        "removed_object": annotation.objects[asked.removed_id].text,
        "removed_object_id": asked.removed_id,
        "option_pairs": [list(pair) for pair in pairs],
        "observed": list(facts.observed),
    }


def malformed_as_json(malformed: list[Malformed]) -> list[Mapping[str, Any]]:
    """The full list for the report file."""
    return [asdict(entry) for entry in malformed]
