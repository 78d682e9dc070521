"""The one record that every data set becomes, and how its files are read."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vtk.data.json_stream import iter_json_array
from vtk.data.problem import parse_solution, split_problem
from vtk.data.resolve import DataRoot
from vtk.errors import DataError

Kind = Literal[
    "choice",
    "yes_no",
    "caption_matching",
    "captioning",
    "open_ended",
    "numerical",
    "regression",
    "free-form",
]
LABELS = ("observational", "inferential")
POLARITIES = ("will", "will_not")
_TEXT_KEYS = (
    "sample_id",
    "problem",
    "solution",
    "video",
    "clip_id",
    "options",
    "label",
    "polarity",
)
_NAMED_KEYS = frozenset((*_TEXT_KEYS, "num_correct", "scene_index", "question_id"))


@dataclass(frozen=True, slots=True)
class Judging:
    """What a judge model goes by where no rule can score the answer to a question.

    Attributes:
        question: Without its options.
        options: Without their letters; empty where the answer is in words.
        solution: The letter of the correct option, or the reference answer.
    """

    question: str
    options: tuple[str, ...]
    solution: str


@dataclass(frozen=True, slots=True)
class VideoSample:
    """One multiple-choice question about one clip.

    Attributes:
        sample_id: Names the question within its file; results are joined by it.
        problem: The question, then one lettered option per line.
        solution: The correct letters, sorted and joined by commas: `A,B`; the value itself where
            there are no options.
        video: The clip, as an absolute path. It was not opened.
        clip_id: Names the clip; questions of one clip are not independent.
        options: The options without their letters.
        label: `observational`, `inferential` or None when the source does not say.
        polarity: `will`, `will_not` or None.
        num_correct: How many options are correct; None when the source does not say.
        scene_index: CLEVRER's scene number, or None.
        question_id: CLEVRER's question number within the scene, or None.
        question: The question without its options; None when the source does not keep them apart.
        kind: How the question is to be answered: `choice` (by letter), `yes_no` or
            `caption_matching` (TempCompass's tasks); `captioning` and `open_ended` have no options
            and are scored by a judge; `numerical`, `regression` and `free-form` have none either
            and are only in the published recipe's files.
        types: Name of a grouping -> the question's group, for accuracy per type.
        span_s: The seconds of the clip that the question is about; None is all of it.
        judging: What a judge model goes by; None where a rule scores the answer.
        extra: Whatever else the row holds, unchanged.
    """

    sample_id: str
    problem: str
    solution: str
    video: Path
    clip_id: str
    options: tuple[str, ...]
    label: str | None = None
    polarity: str | None = None
    num_correct: int | None = None
    scene_index: int | None = None
    question_id: int | None = None
    question: str | None = None
    kind: Kind = "choice"
    types: Mapping[str, str] = field(default_factory=dict, hash=False)
    span_s: tuple[float, float] | None = None
    judging: Judging | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


class _RowError(Exception):
    """What is wrong with one row; becomes a DataError that also says where."""


MAX_LINE_BYTES = 64 << 20
"""A longer row is refused before it is parsed."""


def load_samples(path: Path) -> list[VideoSample]:
    """Reads a split file (JSON lines) or a published file (one JSON array).

    A row holds at least `problem`, `solution` (`A,B`, plain or in answer tags) and `video`, which
    is relative to `default_video_root(path)`.

    Args:
        path: The file. Which of the two forms it has is seen from its first character.

    Raises:
        DataError: The file cannot be read or is empty, or a row is malformed; names the row.
    """
    root = DataRoot(default_video_root(path))
    samples: list[VideoSample] = []
    seen: dict[str, str] = {}
    for where, row_number, row in _iter_rows(path):
        try:
            sample = _build_sample(row, f"{path.stem}-{row_number:06d}", root)
        except (_RowError, DataError) as error:
            hint = error.hint if isinstance(error, DataError) else None
            raise DataError(f"{where}: {error}", hint) from error
        if sample.sample_id in seen:
            first = seen[sample.sample_id]
            raise DataError(f"{where}: sample_id {sample.sample_id!r} is already at {first}")
        seen[sample.sample_id] = where
        samples.append(sample)
    if not samples:
        raise DataError(f"{path} holds no samples")
    return samples


def default_video_root(path: Path) -> Path:
    """The folder that `video` values are relative to: the data set's, or else the file's."""
    folder = path.absolute().parent
    return folder.parent if folder.name == "split" else folder


def _iter_rows(path: Path) -> Iterator[tuple[str, int, Any]]:
    """Yields where a row stands (for messages), its number from 0, and the row."""
    if _first_char(path) == "[":
        for number, row in iter_json_array(path):
            yield f"{path}, row {number + 1}", number, row
    else:
        yield from _iter_json_lines(path)


def _first_char(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return file.read(4096).lstrip()[:1]
    except FileNotFoundError as error:
        raise DataError(f"there is no data file {path}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _iter_json_lines(path: Path) -> Iterator[tuple[str, int, Any]]:
    with path.open("rb") as file:
        number = 0
        lines = iter(lambda: file.readline(MAX_LINE_BYTES + 1), b"")
        for line_number, line in enumerate(lines, start=1):
            where = f"{path}:{line_number}"
            if len(line) > MAX_LINE_BYTES:
                raise DataError(f"{where}: the line is longer than {MAX_LINE_BYTES} bytes")
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8-sig"))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{where}: the line is not JSON ({error})") from error
            yield where, number, row
            number += 1


def _build_sample(row: Any, default_id: str, root: DataRoot) -> VideoSample:
    if not isinstance(row, dict):
        raise _RowError(f"expected an object, found {type(row).__name__}")
    problem, video = _text(row, "problem"), _text(row, "video")
    options = _options(row, problem)
    solution = _solution(row, options)
    clip = root.find(video)
    return VideoSample(
        sample_id=_text(row, "sample_id", default_id),
        problem=problem,
        solution=solution,
        video=clip.path,
        clip_id=_text(row, "clip_id", clip.name),
        options=options,
        label=_choice(row, "label", LABELS),
        polarity=_choice(row, "polarity", POLARITIES),
        num_correct=_num_correct(row, solution),
        scene_index=_integer(row, "scene_index"),
        question_id=_integer(row, "question_id"),
        extra={key: value for key, value in row.items() if key not in _NAMED_KEYS},
    )


def _text(row: dict[str, Any], key: str, default: str | None = None) -> str:
    value = row.get(key, default)
    if value is None:
        raise _RowError(f"{key!r} is missing")
    if not isinstance(value, str) or not value.strip():
        raise _RowError(f"{key!r} must be text, found {value!r}")
    return value


def _integer(row: dict[str, Any], key: str) -> int | None:
    value = row.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise _RowError(f"{key!r} must be a whole number, found {value!r}")
    return value


def _choice(row: dict[str, Any], key: str, allowed: tuple[str, ...]) -> str | None:
    value = row.get(key)
    if value is not None and value not in allowed:
        raise _RowError(f"{key!r} must be one of {', '.join(allowed)}, found {value!r}")
    return value


def _options(row: dict[str, Any], problem: str) -> tuple[str, ...]:
    value = row.get("options")
    if value is None:
        options = split_problem(problem)[1]
        if not options:
            raise _RowError("'problem' has no lettered lines ('A. ...') and there are no 'options'")
        return options
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise _RowError(f"'options' must be a list of texts, found {value!r}")
    return tuple(value)


def _solution(row: dict[str, Any], options: tuple[str, ...]) -> str:
    try:
        return parse_solution(_text(row, "solution"), len(options))
    except ValueError as error:
        raise _RowError(f"'solution' is malformed: {error}") from error


def _num_correct(row: dict[str, Any], solution: str) -> int | None:
    value = _integer(row, "num_correct")
    found = len(solution.split(","))
    if value is not None and value != found:
        raise _RowError(f"'num_correct' is {value} but 'solution' names {found} letters")
    return value
