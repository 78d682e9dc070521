"""Whether a model was trained on what it is asked: clips and questions that both files hold.

Clips are the same when they are the same file, have the same content (only files of equal size are
read), or are the same scene of CLEVRER under another path, as in MVBench. Questions are the same
when question and options are, but for spaces and case.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from vtk.data.sample import VideoSample, load_samples
from vtk.errors import DataError
from vtk.runs.files import file_sha256, read_json
from vtk.runs.store import RunPaths

_SCENE: Final = re.compile(r"clevrer.*/video_(\d{5})\.mp4$", re.IGNORECASE)
_NUM_EXAMPLES: Final = 5


@dataclass(frozen=True)
class Leak:
    """What a training file and a suite have in common.

    Attributes:
        num_questions: Questions of the suite.
        num_on_shared_clips: Questions about clips that the training file uses too.
        num_in_same_words: Questions that the training file asks in the same words, of any clip.
        num_both: Questions that are both: seen in training.
        num_same_world: Questions about scenes of CLEVRER, if the training file uses them too.
        examples: Ids of some questions that were seen, or else stand on shared clips.
    """

    num_questions: int
    num_on_shared_clips: int
    num_in_same_words: int
    num_both: int
    num_same_world: int
    examples: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True)
class TrainingFile:
    """The questions that a run was trained on.

    Attributes:
        path: Where they were.
        is_as_trained: Whether that file still holds them, by its hash; the run knows the hash.
    """

    path: Path
    is_as_trained: bool


def training_file(run: RunPaths) -> TrainingFile | None:
    """The questions that a run was trained on; None if it names none, or they are gone."""
    try:
        recorded = read_json(run.run_json).get("inputs")
    except DataError:
        return None
    inputs = recorded if isinstance(recorded, dict) else {}
    named = inputs.get("train")
    path = Path(named) if isinstance(named, str) else None
    if path is None or not path.is_file():
        return None
    return TrainingFile(path, file_sha256(path) == inputs.get("train_sha256"))


def find_leaks(train_file: Path, asked: Sequence[VideoSample]) -> Leak:
    """What the questions that are asked share with those that were trained on.

    Args:
        train_file: A split file, or a published one.
        asked: The questions of a suite.

    Raises:
        DataError: The training file is malformed.
    """
    trained = load_samples(train_file)
    clips = _shared_clips({s.video for s in trained}, {s.video for s in asked})
    words = {_words(sample) for sample in trained}
    on_clips = [sample for sample in asked if sample.video in clips]
    in_words = {sample.sample_id for sample in asked if _words(sample) in words}
    both = [sample for sample in on_clips if sample.sample_id in in_words]
    has_world = any(_scene(sample.video) is not None for sample in trained)
    same_world = [sample for sample in asked if has_world and _scene(sample.video) is not None]
    return Leak(
        num_questions=len(asked),
        num_on_shared_clips=len(on_clips),
        num_in_same_words=len(in_words),
        num_both=len(both),
        num_same_world=len(same_world),
        examples=tuple(sample.sample_id for sample in (both or on_clips)[:_NUM_EXAMPLES]),
    )


def _shared_clips(trained: set[Path], asked: set[Path]) -> set[Path]:
    """Those of the asked clips that the trained ones hold."""
    scenes = {scene for path in trained if (scene := _scene(path)) is not None}
    shared = {path for path in asked if path in trained or _scene(path) in scenes}
    sizes = _by_size(trained)
    hashes: dict[int, set[str]] = {}
    for path in asked - shared:
        size = path.stat().st_size if path.is_file() else 0
        if size and size in sizes:
            known = hashes.setdefault(size, {file_sha256(other) for other in sizes[size]})
            if file_sha256(path) in known:
                shared.add(path)
    return shared


def _by_size(paths: Iterable[Path]) -> dict[int, list[Path]]:
    found: dict[int, list[Path]] = {}
    for path in paths:
        if path.is_file():
            found.setdefault(path.stat().st_size, []).append(path)
    return found


def _scene(path: Path) -> int | None:
    """CLEVRER's number of a clip; clevrer-mini's scenes are worlds of their own."""
    match = _SCENE.search(path.as_posix())
    return None if match is None or "clevrer-mini" in path.parts else int(match[1])


def _words(sample: VideoSample) -> str:
    return " ".join(sample.problem.casefold().split())
