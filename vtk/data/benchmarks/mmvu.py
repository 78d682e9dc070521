"""MMVU's validation set: 625 multiple-choice questions, and 375 open-ended ones for a judge.

Layout (huggingface.co/datasets/yale-nlp/MMVU): `validation.json`, an array of `id`, `video` (the
address of `videos/<Subject>/<n>.mp4`), `question_type`, `metadata.subject`, `question`, `choices`
(A to E) and `answer` (a letter). Open-ended questions have empty choices and an answer in words.
"""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vtk.data.benchmarks.rows import Questions, Row, choice_sample, find_clip, read_rows, unique
from vtk.data.sample import Judging, VideoSample

ANNOTATIONS = "validation.json"
OPEN_ENDED = "open-ended: a judge model scores them"
_VIDEOS = "videos"
_CHOICE, _OPEN = "multiple-choice", "open-ended"


def convert(root: Path) -> Questions:
    """The multiple-choice questions of the copy in `root`; the others are apart, for a judge.

    Raises:
        DataError: The annotations are missing or malformed.
    """
    source = root / ANNOTATIONS
    rows = list(read_rows(source))
    parts: dict[str, list[VideoSample]] = {name: [] for name in _READERS}
    for row in rows:
        kind = row.text("question_type")
        if kind not in _READERS:
            raise row.malformed(f"'question_type' must be one of {', '.join(_READERS)}: {kind!r}")
        parts[kind].append(_READERS[kind](row, root))
    unique([sample for samples in parts.values() for sample in samples], source)
    if not parts[_OPEN]:
        return Questions(parts[_CHOICE])
    return Questions(
        parts[_CHOICE],
        {OPEN_ENDED: len(parts[_OPEN])},
        {OPEN_ENDED: parts[_OPEN]},
        ruled_types={"question": _CHOICE},
    )


def subject_of(reference: str) -> str:
    """The subject that the folder of a clip names: `videos/Computer_Science/0.mp4`."""
    return Path(reference).parent.name.replace("_", " ")


def _choice(row: Row, root: Path) -> VideoSample:
    video, subject = _clip(row, root)
    return choice_sample(
        row,
        row.text("id"),
        row.text("question"),
        row.lettered("choices"),
        row.text("answer"),
        video,
        root,
        types={"subject": subject},
    )


def _open_ended(row: Row, root: Path) -> VideoSample:
    video, subject = _clip(row, root)
    question, answer = row.text("question"), row.text("answer")
    return VideoSample(
        sample_id=row.text("id"),
        problem=question,
        solution=answer,
        video=video,
        clip_id=video.relative_to(root.resolve()).as_posix(),
        options=(),
        num_correct=1,
        question=question,
        kind="open_ended",
        types={"subject": subject, "question": _OPEN},
        judging=Judging(question, (), answer),
    )


def _clip(row: Row, root: Path) -> tuple[Path, str]:
    """The clip and its subject."""
    parts = unquote(urlsplit(row.text("video")).path).split("/")
    if _VIDEOS not in parts:
        raise row.malformed(f"'video' names no file below {_VIDEOS}/: {row.text('video')!r}")
    reference = "/".join(parts[parts.index(_VIDEOS) :])
    return find_clip(row, root, [reference]), subject_of(reference)


_READERS: dict[str, Callable[[Row, Path], VideoSample]] = {
    _CHOICE: _choice,
    _OPEN: _open_ended,
}
