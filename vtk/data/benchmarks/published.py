"""The published recipe's evaluation files: one JSON array a benchmark, `eval_<benchmark>.json`.

Source: falonss703/VideoThinker:data/evaluation, after Video-R1/Video-R1-eval. A row holds
`problem`, `solution` (in answer tags), `video` (absolute from the file system's root, by the name
of the benchmark's repository), and most hold `problem_id`, `problem_type` and `options` ("A. …").
Without `problem_type` (Video-Holmes, CLEVRER) `problem` itself ends with the lettered options.
What the files leave out is recovered: the task of MVBench from the block of 200 that `problem_id`
falls in, the subject of MMVU from the clip's folder.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from vtk.data.benchmarks import mmvu, mvbench, video_holmes, video_mme
from vtk.data.benchmarks.rows import (
    Questions,
    Row,
    find_clip,
    is_plain_name,
    read_rows,
    unique,
    without_letters,
)
from vtk.data.benchmarks.table import BENCHMARKS
from vtk.data.problem import build_problem, parse_solution, split_problem
from vtk.data.registry import video_reference
from vtk.data.sample import Kind, VideoSample
from vtk.errors import DataError

CLEVRER = "clevrer"
BLOCK = 200
_KINDS: dict[str, Kind] = {
    "multiple choice": "choice",
    "numerical": "numerical",
    "regression": "regression",
    "free-form": "free-form",
    "OCR": "free-form",
}
_TAGS = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.DOTALL)
_SCENE = re.compile(r"video_(\d{5})\.mp4$")


def read_published(path: Path, name: str, root: Path) -> Questions:
    """The questions of one published file, their clips looked for in our layout.

    Args:
        path: The file.
        name: The benchmark, or clevrer.
        root: Its folder, `DATA/NAME`.

    Raises:
        DataError: The file is missing or malformed, or a clip's path leaves the folder.
    """
    rows = list(read_rows(path))
    if not rows:
        raise DataError(f"{path} holds no questions")
    samples = [_sample(row, number, name, root) for number, row in enumerate(rows, start=1)]
    return Questions(unique(samples, path))


def _sample(row: Row, number: int, name: str, root: Path) -> VideoSample:
    kind, question, options = _asked(row)
    reference = _below_root(row.path("video"), name)
    video = find_clip(row, root, _PLACES.get(name, _same_place)(reference, row))
    key = "question_id" if "problem_id" not in row.values else "problem_id"
    solution = _solution(row, options)
    return VideoSample(
        sample_id=row.text(key) if key in row.values else str(number),
        problem=build_problem(question, options) if options else question,
        solution=solution,
        video=video,
        clip_id=video.relative_to(root.resolve()).as_posix(),
        options=tuple(options),
        num_correct=len(solution.split(",")) if options else 1,
        question=question,
        kind=kind,
        types=_TYPES[name](reference, row) if name in _TYPES else {},
        span_s=_span(row),
    )


def _asked(row: Row) -> tuple[Kind, str, Sequence[str]]:
    """How a row is answered, its question and its options."""
    problem = row.exact_text("problem")
    if "problem_type" not in row.values:
        question, options = split_problem(problem)
        if not options:
            raise row.malformed("'problem' has no lettered lines and there is no 'problem_type'")
        return "choice", question, options
    stated = row.text("problem_type")
    if stated not in _KINDS:
        raise row.malformed(f"'problem_type' is {stated!r}; known: {', '.join(_KINDS)}")
    if stated != "multiple choice":
        return _KINDS[stated], problem, ()
    return "choice", problem, without_letters(row.texts("options"))


def _solution(row: Row, options: Sequence[str]) -> str:
    text = row.text("solution")
    if not options:
        match = _TAGS.search(text)
        return match[1] if match else text
    try:
        return parse_solution(text, len(options))
    except ValueError as error:
        raise row.malformed(f"'solution' is malformed: {error}") from error


def _span(row: Row) -> tuple[float, float] | None:
    start, end = row.number("start"), row.number("end")
    return None if start is None or end is None or not 0 <= start < end else (start, end)


def _below_root(video: str, name: str) -> str:
    """A path by the name of the benchmark's repository as a path below the benchmark's folder."""
    parts = PurePosixPath(video).parts
    hub_names = BENCHMARKS[name].hub_names if name in BENCHMARKS else (("CLEVRER",),)
    for prefix in hub_names:
        if parts[: len(prefix)] == prefix and len(parts) > len(prefix):
            return "/".join(parts[len(prefix) :])
    return video


def _same_place(reference: str, _row: Row) -> list[str]:
    return [reference]


def _mvbench_places(reference: str, row: Row) -> list[str]:
    """The clip as the archives hold it: the files say .mp4 also of .webm, .avi and folders."""
    path = PurePosixPath(reference)
    names = [path.name, f"{path.stem}.webm", f"{path.stem}.avi", path.stem]
    if "ori_video" in row.values and is_plain_name(row.text("ori_video")):
        names.insert(0, row.text("ori_video"))
    folder = mvbench.CLIP_FOLDERS[_mvbench_task(row)]
    parents = [path.parent.as_posix(), f"video/{folder}", f"video/data0613/{folder}"]
    return [f"{parent}/{name}" for name in names for parent in dict.fromkeys(parents)]


def _holmes_places(reference: str, _row: Row) -> list[str]:
    name = PurePosixPath(reference).name
    return [reference, *(f"{folder}/{name}" for folder in video_holmes.CLIP_FOLDERS)]


def _video_mme_places(reference: str, _row: Row) -> list[str]:
    return [reference, *video_mme.places(PurePosixPath(reference).stem)]


def _clevrer_places(reference: str, row: Row) -> list[str]:
    scene = _SCENE.search(reference)
    if scene is None:
        raise row.malformed(f"'video' names no clip of CLEVRER: {reference!r}")
    number = int(scene[1])
    part = "train" if number < 10_000 else "validation"
    return [video_reference(part, number), reference]


def _mvbench_task(row: Row) -> str:
    block = (int(row.number("problem_id") or 0) - 1) // BLOCK
    if not 0 <= block < len(mvbench.TASKS):
        last = BLOCK * len(mvbench.TASKS)
        raise row.malformed(f"'problem_id' must be 1 to {last} to tell the task of MVBench")
    return mvbench.TASKS[block]


_PLACES: dict[str, Callable[[str, Row], list[str]]] = {
    "mvbench": _mvbench_places,
    "video-holmes": _holmes_places,
    "video-mme": _video_mme_places,
    CLEVRER: _clevrer_places,
}
_TYPES: dict[str, Callable[[str, Row], dict[str, str]]] = {
    "mmvu": lambda reference, _: {"subject": mmvu.subject_of(reference)},
    "mvbench": lambda _, row: {"task": _mvbench_task(row)},
    "video-holmes": lambda _, row: {"type": row.text("question_type")},
    "video-mme": lambda _, row: {key: row.text(key) for key in video_mme.GROUPINGS},
    "tempcompass": lambda _, row: {"problem_type": row.text("problem_type")},
}
