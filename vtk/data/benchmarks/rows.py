"""Rows of a benchmark's annotation files, and what a converter needs to ask of each.

Annotation files come from strangers: every field is checked for its form, every path goes through
`vtk.data.resolve`, and a row that is not as documented is named with its file and place.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any, Final

from vtk.data.json_stream import iter_json_array
from vtk.data.problem import LETTERS, build_problem
from vtk.data.resolve import relative_reference, resolve_under
from vtk.data.sample import Kind, VideoSample
from vtk.errors import DataError

_FETCH: Final = "Fetch the file again from its source."


@dataclass(frozen=True)
class Questions:
    """What a benchmark asks, and what of it is not asked.

    Attributes:
        samples: The questions, in the order of the files.
        not_asked: Reason -> number of questions that are left out for it.
        judged: Reason, one of those -> the questions, where a judge model can score them.
        ruled_types: Groups of the questions that a rule scores, where others stand beside them.
    """

    samples: list[VideoSample]
    not_asked: Mapping[str, int] = field(default_factory=dict)
    judged: Mapping[str, list[VideoSample]] = field(default_factory=dict)
    ruled_types: Mapping[str, str] = field(default_factory=dict)

    def with_judged(self) -> "Questions":
        """The same with the questions that a judge scores, behind the others."""
        judged = [sample for samples in self.judged.values() for sample in samples]
        left = {why: count for why, count in self.not_asked.items() if why not in self.judged}
        ruled = [replace(s, types={**s.types, **self.ruled_types}) for s in self.samples]
        return Questions([*ruled, *judged], left)


@dataclass(frozen=True)
class Row:
    """One record of an annotation file; asks of its fields raise DataError with the place."""

    where: str
    values: Mapping[str, Any]

    def text(self, key: str) -> str:
        """A field that holds text, stripped at both ends; a whole number is taken as text."""
        return self.exact_text(key).strip()

    def exact_text(self, key: str) -> str:
        """A field that holds text, every space of it kept."""
        value = self.values.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str) or not value.strip():
            raise self.malformed(f"{key!r} must be text, found {value!r}")
        return value

    def path(self, key: str) -> str:
        """A field that holds a path which stays in its folder."""
        text = self.text(key)
        try:
            return relative_reference(text).as_posix()
        except DataError as error:
            raise self.malformed(error.message) from error

    def texts(self, key: str) -> list[str]:
        """A field that holds a list of texts, at least one."""
        value = self.values.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            raise self.malformed(f"{key!r} must be a list of texts, found {value!r}")
        return [text.strip() for text in value]

    def lettered(self, key: str) -> list[str]:
        """The texts of an object `{"A": …, "B": …}` whose letters follow each other."""
        value = self.values.get(key)
        letters = list(LETTERS[: len(value)]) if isinstance(value, dict) else None
        if not value or sorted(value) != letters:
            raise self.malformed(f"{key!r} must map letters from A on to texts, found {value!r}")
        if not all(isinstance(value[letter], str) for letter in letters):
            raise self.malformed(f"{key!r} must hold texts, found {value!r}")
        return [value[letter].strip() for letter in letters]

    def number(self, key: str) -> float | None:
        """A field that holds a finite number, or nothing."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise self.malformed(f"{key!r} must be a number, found {value!r}")
        return float(value)

    def malformed(self, problem: str) -> DataError:
        """The error for this row."""
        return DataError(f"{self.where}: {problem}", _FETCH)


def read_rows(path: Path) -> Iterator[Row]:
    """The records of a JSON array or of a parquet file, in order.

    Raises:
        DataError: The file is missing or damaged, or a record is no object.
    """
    records = _parquet_records(path) if path.suffix == ".parquet" else _json_records(path)
    for number, record in enumerate(records, start=1):
        row = Row(f"{path}, row {number}", record if isinstance(record, dict) else {})
        if not isinstance(record, dict):
            raise row.malformed(f"expected an object, found {type(record).__name__}")
        yield row


def choice_sample(
    row: Row,
    sample_id: str,
    question: str,
    options: Sequence[str],
    correct: str,
    video: Path,
    root: Path,
    *,
    types: Mapping[str, str],
    kind: Kind = "choice",
    span_s: tuple[float, float] | None = None,
) -> VideoSample:
    """The sample of one row with one correct option.

    Args:
        row: Where it comes from.
        sample_id: Names the question within its benchmark.
        question: Without its options.
        options: Without their letters.
        correct: The letter of the correct option.
        video: The clip, below `root`.
        root: The benchmark's folder; the clip's path in it names the clip.
        types: Grouping -> group.
        kind: How it is to be answered.
        span_s: The seconds of the clip that it is about.

    Raises:
        DataError: The letter is none of the options', or the span is none.
    """
    if len(correct) != 1 or correct not in LETTERS[: len(options)]:
        raise row.malformed(f"the answer {correct!r} is none of the {len(options)} options")
    if span_s is not None and not 0 <= span_s[0] < span_s[1]:
        raise row.malformed(f"{span_s[0]:g} to {span_s[1]:g} s is no part of a clip")
    return VideoSample(
        sample_id=sample_id,
        problem=build_problem(question, options),
        solution=correct,
        video=video,
        clip_id=video.relative_to(root.resolve()).as_posix(),
        options=tuple(options),
        num_correct=1,
        question=question,
        kind=kind,
        types=dict(types),
        span_s=span_s,
    )


def find_clip(row: Row, root: Path, references: Sequence[str]) -> Path:
    """The first of these files or folders below `root` that exists, else the first of them.

    Args:
        row: Where they come from.
        root: The benchmark's folder.
        references: Paths relative to it, likeliest first.

    Raises:
        DataError: A reference leaves the folder.
    """
    try:
        paths = (resolve_under(root, reference) for reference in references)
        found = next((path for path in paths if path.exists()), None)
        return resolve_under(root, references[0]) if found is None else found
    except DataError as error:
        raise row.malformed(error.message) from error


def is_plain_name(name: str) -> bool:
    """Whether a text from data can be one part of a path."""
    try:
        return len(relative_reference(name).parts) == 1 and "/" not in name
    except DataError:
        return False


def without_letters(options: Sequence[str]) -> list[str]:
    """Options without the "A. " that some files write before them; as they are if one lacks it."""
    prefixes = [f"{letter}." for letter in LETTERS[: len(options)]]
    if not all(text.startswith(prefix) for text, prefix in zip(options, prefixes, strict=False)):
        return list(options)
    return [text[2:].strip() for text in options]


def unique(samples: list[VideoSample], source: Path) -> list[VideoSample]:
    """The samples, if each has an id of its own.

    Raises:
        DataError: Two have the same.
    """
    seen: set[str] = set()
    for sample in samples:
        if sample.sample_id in seen:
            raise DataError(f"{source}: the question {sample.sample_id!r} is there twice", _FETCH)
        seen.add(sample.sample_id)
    return samples


def _json_records(path: Path) -> Iterator[Any]:
    for _, record in iter_json_array(path):
        yield record


def _parquet_records(path: Path) -> Iterator[Any]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except (ArrowException, OSError) as error:
        raise DataError(f"cannot read {path}: {error}", _FETCH) from error


Convert = Callable[[Path], Questions]
"""Reads the benchmark that lies in a folder; DataError says what is missing or malformed."""
