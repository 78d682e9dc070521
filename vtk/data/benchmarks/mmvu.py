"""MMVU, the multiple-choice half of its validation set: 625 of 1,000 questions.

Layout (huggingface.co/datasets/yale-nlp/MMVU): `validation.json`, an array of `id`, `video` (the
address of `videos/<Subject>/<n>.mp4`), `question_type`, `metadata.subject`, `question`, `choices`
(A to E) and `answer` (a letter). The other 375 questions are open-ended: a judge model scores them.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from vtk.data.benchmarks.rows import Questions, Row, choice_sample, find_clip, read_rows, unique
from vtk.data.sample import VideoSample

ANNOTATIONS = "validation.json"
OPEN_ENDED = "open-ended: a judge model scores them"
_VIDEOS = "videos"


def convert(root: Path) -> Questions:
    """The multiple-choice questions of the copy in `root`.

    Raises:
        DataError: The annotations are missing or malformed.
    """
    source = root / ANNOTATIONS
    rows = list(read_rows(source))
    chosen = [row for row in rows if row.text("question_type") == "multiple-choice"]
    samples = unique([_sample(row, root) for row in chosen], source)
    num_open = len(rows) - len(chosen)
    return Questions(samples, {OPEN_ENDED: num_open} if num_open else {})


def subject_of(reference: str) -> str:
    """The subject that the folder of a clip names: `videos/Computer_Science/0.mp4`."""
    return Path(reference).parent.name.replace("_", " ")


def _sample(row: Row, root: Path) -> VideoSample:
    parts = unquote(urlsplit(row.text("video")).path).split("/")
    if _VIDEOS not in parts:
        raise row.malformed(f"'video' names no file below {_VIDEOS}/: {row.text('video')!r}")
    reference = "/".join(parts[parts.index(_VIDEOS) :])
    return choice_sample(
        row,
        row.text("id"),
        row.text("question"),
        row.lettered("choices"),
        row.text("answer"),
        find_clip(row, root, [reference]),
        root,
        types={"subject": subject_of(reference)},
    )
