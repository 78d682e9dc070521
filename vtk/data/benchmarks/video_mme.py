"""Video-MME: 2,700 questions about 900 clips of 11 seconds to an hour, without subtitles.

Layout (huggingface.co/datasets/lmms-lab/Video-MME): `videomme/test-*.parquet` with `videoID`,
`question_id`, `duration` (short, medium, long), `domain`, `sub_category`, `task_type`, `question`,
`options` ("A. …") and `answer` (a letter). Clips: `videos/<videoID>.mp4`; the archives unpack to
`data/`, and a few files end in `.MP4` or `.mkv`
(EvolvingLMMs-Lab/lmms-eval:tasks/videomme/utils.py).
"""

from pathlib import Path

from vtk.data.benchmarks.rows import (
    Questions,
    Row,
    choice_sample,
    find_clip,
    is_plain_name,
    read_rows,
    unique,
    without_letters,
)
from vtk.data.sample import VideoSample
from vtk.errors import DataError

GROUPINGS = ("duration", "domain", "task_type", "sub_category")
_FOLDERS = ("videos", "data", "videos/data")
SUFFIXES = (".mp4", ".MP4", ".mkv", ".webm")


def convert(root: Path) -> Questions:
    """The questions of the copy in `root`.

    Raises:
        DataError: The annotations are missing or malformed.
    """
    files = sorted((root / "videomme").glob("test-*.parquet"))
    if not files:
        raise DataError(
            f"{root / 'videomme'} holds no questions of Video-MME", "Expected: test-*.parquet."
        )
    return Questions(
        unique([_sample(row, root) for path in files for row in read_rows(path)], root)
    )


def places(name: str) -> list[str]:
    """Where the clip that questions call `name` can lie, below the benchmark's folder."""
    return [f"{folder}/{name}{suffix}" for folder in _FOLDERS for suffix in SUFFIXES]


def _sample(row: Row, root: Path) -> VideoSample:
    name = row.text("videoID")
    if not is_plain_name(name):
        raise row.malformed(f"'videoID' is no file name: {name!r}")
    return choice_sample(
        row,
        row.text("question_id"),
        row.text("question"),
        without_letters(row.texts("options")),
        row.text("answer"),
        find_clip(row, root, places(name)),
        root,
        types={key: row.text(key) for key in GROUPINGS},
    )
