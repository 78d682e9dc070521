"""Video-Holmes, the test set: 1,837 questions of seven types about 270 short films.

Layout (huggingface.co/datasets/TencentARC/Video-Holmes): `test_Video-Holmes.json`, an array of
`video ID`, `Question ID`, `Question Type`, `Question`, `Options` (A to F), `Answer` (a letter).
`videos.zip` unpacks to `videos_cropped/<video ID>.mp4`; the authors' evaluation looks in `videos/`
(TencentARC/Video-Holmes:evaluate.py, EvolvingLMMs-Lab/lmms-eval:tasks/video_holmes/utils.py).
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
)
from vtk.data.sample import VideoSample

ANNOTATIONS = "test_Video-Holmes.json"
TYPES = ("SR", "IMC", "TCI", "TA", "MHR", "PAR", "CTI")
CLIP_FOLDERS = ("videos", "videos_cropped", "videos/videos_cropped", "video")


def convert(root: Path) -> Questions:
    """The questions of the copy in `root`.

    Raises:
        DataError: The annotations are missing or malformed.
    """
    source = root / ANNOTATIONS
    return Questions(unique([_sample(row, root) for row in read_rows(source)], source))


def _sample(row: Row, root: Path) -> VideoSample:
    name, kind = row.text("video ID"), row.text("Question Type")
    if not is_plain_name(name):
        raise row.malformed(f"'video ID' is no file name: {name!r}")
    if kind not in TYPES:
        raise row.malformed(f"'Question Type' must be one of {', '.join(TYPES)}, found {kind!r}")
    return choice_sample(
        row,
        f"{name}-{row.text('Question ID')}",
        row.text("Question"),
        row.lettered("Options"),
        row.text("Answer"),
        find_clip(row, root, [f"{folder}/{name}.mp4" for folder in CLIP_FOLDERS]),
        root,
        types={"type": kind},
    )
