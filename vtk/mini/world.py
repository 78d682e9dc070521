"""Write a clevrer-mini world in CLEVRER's layout: clips, annotations and questions.

```
ROOT/videos/train/video_00000-01000/video_00000.mp4
ROOT/annotations/train/annotation_00000-01000/annotation_00000.json
ROOT/questions/train.json            validation likewise, from scene 10000 on as in CLEVRER
ROOT/world.json                      the settings that made it, and whether it is complete
ROOT/files.json                      the sha256 of every other file, written when all are there
```

Scenes are drawn in blocks with a random state of their own, so the result does not depend on the
number of workers. A clip that is there is not rendered again, unless it is no longer the one that
was written.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vtk.errors import ConfigError, DataError
from vtk.mini.processes import map_in_processes
from vtk.mini.scenes import Palette
from vtk.runs.files import file_sha256, read_json

WORLD_FILE = "world.json"
SUMS_FILE = "files.json"
FIRST_VALIDATION_SCENE = 10_000  # CLEVRER numbers its validation clips from here
BYTES_PER_SCENE = 180_000  # clip, annotation and questions, rounded up; for the check of space

_BLOCK = 25
_FOLDER = 1000
_VERSION = 1
_PARTS = ("train", "validation")


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """What decides every byte of a world.

    Attributes:
        num_scenes: Training clips.
        num_validation_scenes: Validation clips.
        seed: Any integer; another one gives other clips.
        questions_per_scene: Questions asked about each clip.
        observational_frac: Share of observational questions among the training ones; CLEVRER's is
            0.74 (13,674 of 18,473).
        validation_observational_frac: The same for validation. Scenes hold fewer inferential
            questions than observational ones, so that at 0.4 about half come out as each.
        palette: "distinct" gives every object of a clip its own colour; "full" draws attributes as
            CLEVRER does.
    """

    num_scenes: int
    num_validation_scenes: int
    seed: int = 0
    questions_per_scene: int = 4
    observational_frac: float = 0.74
    validation_observational_frac: float = 0.4
    palette: Palette = "distinct"

    def __post_init__(self) -> None:
        """Refuse what cannot be made.

        Raises:
            ConfigError: A value is out of its range.
        """
        bounds = {
            "num_scenes": 0 <= self.num_scenes <= FIRST_VALIDATION_SCENE,
            "num_validation_scenes": 0 <= self.num_validation_scenes <= FIRST_VALIDATION_SCENE,
            "seed": self.seed >= 0,
            "questions_per_scene": self.questions_per_scene >= 1,
            "observational_frac": 0 <= self.observational_frac <= 1,
            "validation_observational_frac": 0 <= self.validation_observational_frac <= 1,
        }
        for name, is_valid in bounds.items():
            if not is_valid:
                raise ConfigError(
                    f"clevrer-mini cannot have {name} {getattr(self, name)}",
                    hint="At most 10000 clips a part as in CLEVRER, shares from 0 to 1, a seed "
                    "of 0 or more.",
                )


@dataclass(frozen=True, slots=True)
class _Block:
    """A run of scenes that one worker draws and writes; `known` are the hashes of their clips."""

    root: Path
    part: str
    number: int
    first_scene: int
    num_scenes: int
    settings: WorldSettings
    known: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Written:
    """A block's entries of the question file, and the hashes of its clips by their paths."""

    entries: list[dict[str, Any]]
    clips: dict[str, str]


def write_world(
    root: Path,
    settings: WorldSettings,
    *,
    workers: int = 1,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, Any]:
    """Write a world, or what is missing of it.

    Args:
        root: Folder of the dataset.
        settings: What to make.
        workers: Processes that draw and encode.
        overwrite: Replace a world that was made with other settings.
        on_progress: Called with (scenes written, scenes in all).

    Returns:
        Counts: scenes and questions per part.

    Raises:
        DataError: Another world lies there already, or files.json is damaged.
        VtkError: A worker process was killed.
    """
    _claim(root, settings, overwrite)
    sums_file = root / SUMS_FILE
    known = read_json(sums_file) if sums_file.is_file() else {}
    blocks = list(_blocks(root, settings, known))
    total = settings.num_scenes + settings.num_validation_scenes
    scenes: dict[str, list[dict[str, Any]]] = {part: [] for part in _PARTS}
    sums: dict[str, str] = {}
    done = 0
    with closing(map_in_processes(_write_block, blocks, workers)) as results:
        for block, written in results:
            scenes[block.part] += written.entries
            sums |= written.clips
            done += block.num_scenes
            on_progress(done, total)
    for part, entries in scenes.items():
        entries.sort(key=lambda entry: entry["scene_index"])
        _write_json(root / "questions" / f"{part}.json", entries)
    sums |= {_key(root, path): file_sha256(path) for path in _texts(root)}
    _write_json(sums_file, dict(sorted(sums.items())))
    _write_json(root / WORLD_FILE, _world_record(settings, complete=True))
    return {
        part: {"scenes": len(entries), "questions": sum(len(e["questions"]) for e in entries)}
        for part, entries in scenes.items()
    }


def read_world(root: Path) -> dict[str, Any] | None:
    """The settings of the world in a folder and whether it is complete; None if there is none."""
    path = root / WORLD_FILE
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            f"{path} is damaged: {error}", hint="Make the world again with --force."
        ) from error
    if not isinstance(record, dict):
        raise DataError(
            f"{path} is damaged: not an object", hint="Make the world again with --force."
        )
    return record


def is_intact(root: Path) -> bool:
    """Whether every file of a finished world is the one that was written.

    Raises:
        DataError: files.json is damaged.
    """
    sums_file = root / SUMS_FILE
    if not sums_file.is_file():
        return False
    return all(
        (root / name).is_file() and file_sha256(root / name) == sha256
        for name, sha256 in read_json(sums_file).items()
    )


def clip_path(root: Path, part: str, scene_index: int) -> Path:
    """Where a scene's clip lies."""
    name = f"video_{scene_index:05d}.mp4"
    return root / "videos" / part / f"video_{_folder_range(scene_index)}" / name


def annotation_path(root: Path, part: str, scene_index: int) -> Path:
    """Where a scene's annotation lies."""
    name = f"annotation_{scene_index:05d}.json"
    return root / "annotations" / part / f"annotation_{_folder_range(scene_index)}" / name


def _world_record(settings: WorldSettings, complete: bool) -> dict[str, Any]:
    return {"version": _VERSION, **asdict(settings), "complete": complete}


def _claim(root: Path, settings: WorldSettings, overwrite: bool) -> None:
    """Write the settings first, so that an interrupted world is only continued with the same."""
    present = None if overwrite else read_world(root)
    wanted = _world_record(settings, complete=False)
    if present is not None and {**present, "complete": False} != wanted:
        differing = sorted(k for k in wanted if present.get(k) != wanted[k] and k != "complete")
        reasons = ", ".join(f"{k} is {present.get(k)}, not {wanted[k]}" for k in differing)
        raise DataError(
            f"{root} holds another world: {reasons}",
            hint="Choose another --data-dir, or replace it with --force.",
        )
    if overwrite:
        _clear(root)
    root.mkdir(parents=True, exist_ok=True)
    _write_json(root / WORLD_FILE, wanted)


def _clear(root: Path) -> None:
    """Remove a world; its questions first, so that what is left cannot be taken for a whole one."""
    for part in _PARTS:
        (root / "questions" / f"{part}.json").unlink(missing_ok=True)
    (root / SUMS_FILE).unlink(missing_ok=True)
    for kind, name in (("annotations", "annotation_*.json*"), ("videos", "video_*.mp4*")):
        for part in _PARTS:
            for path in (root / kind / part).glob(f"*/{name}"):
                path.unlink()


def _blocks(root: Path, settings: WorldSettings, known: Mapping[str, str]) -> Iterator[_Block]:
    counts = {
        "train": (0, settings.num_scenes),
        "validation": (FIRST_VALIDATION_SCENE, settings.num_validation_scenes),
    }
    for part, (first, count) in counts.items():
        for number, start in enumerate(range(0, count, _BLOCK)):
            scenes = range(first + start, first + min(start + _BLOCK, count))
            names = [_key(root, clip_path(root, part, index)) for index in scenes]
            hashes = {name: known[name] for name in names if name in known}
            yield _Block(root, part, number, scenes[0], len(scenes), settings, hashes)


def _write_block(block: _Block) -> _Written:
    """Draw a block, and write what is missing of it."""
    import numpy as np

    from vtk.mini.annotations import to_annotation, video_name
    from vtk.mini.physics import NUM_FRAMES
    from vtk.mini.questions import ask, to_clevrer
    from vtk.mini.render import render_frames, write_clip
    from vtk.mini.scenes import sample_scenes

    settings = block.settings
    part_number = _PARTS.index(block.part)
    # The last words keep scenes, questions and the tiny model's pretraining apart: numpy pads a
    # shorter list with zeros.
    rng = np.random.default_rng([settings.seed, part_number, block.number, 2])
    frac = (
        settings.observational_frac
        if block.part == "train"
        else settings.validation_observational_frac
    )
    scenes = sample_scenes(rng, settings.palette)
    entries, clips = [], {}
    for index in range(block.first_scene, block.first_scene + block.num_scenes):
        scene = next(scenes)
        question_rng = np.random.default_rng([settings.seed, part_number, index, 1])
        questions = ask(question_rng, scene, settings.questions_per_scene, frac)
        clip = clip_path(block.root, block.part, index)
        key = _key(block.root, clip)
        clips[key] = _hash_of_whole(clip, block.known.get(key))
        if not clips[key]:
            clip.parent.mkdir(parents=True, exist_ok=True)
            temporary = clip.with_suffix(".mp4.part")
            write_clip(temporary, render_frames(scene, range(NUM_FRAMES)))
            _settle(temporary, clip)
            clips[key] = file_sha256(clip)
        _write_json(annotation_path(block.root, block.part, index), to_annotation(scene, index))
        entries.append(
            {
                "scene_index": index,
                "video_filename": video_name(index),
                "questions": [to_clevrer(question, i) for i, question in enumerate(questions)],
            }
        )
    return _Written(entries, clips)


def _hash_of_whole(clip: Path, expected: str | None) -> str:
    """The hash of a clip that need not be written again; empty for one that must be.

    A clip gets its name when it is whole. Where an earlier attempt did not come to write down its
    hash, only an empty one is known to be damaged since.
    """
    if not clip.is_file() or clip.stat().st_size == 0:
        return ""
    found = file_sha256(clip)
    return found if found == (expected or found) else ""


def _key(root: Path, path: Path) -> str:
    """A file's name in files.json."""
    return path.relative_to(root).as_posix()


def _texts(root: Path) -> Iterator[Path]:
    """The annotations and question files of a world."""
    for part in _PARTS:
        yield root / "questions" / f"{part}.json"
        yield from (root / "annotations" / part).glob("*/annotation_*.json")


def _folder_range(scene_index: int) -> str:
    start = scene_index // _FOLDER * _FOLDER
    return f"{start:05d}-{start + _FOLDER:05d}"


def _write_json(path: Path, content: object) -> None:
    """Replace a file as a whole, if it holds something else."""
    text = json.dumps(content, separators=(",", ":")).encode()
    if path.is_file() and path.read_bytes() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(path.suffix + ".part")
    temporary.write_bytes(text)
    _settle(temporary, path)


def _settle(temporary: Path, path: Path) -> None:
    """Give a finished file its name once its content is on the disk."""
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(path)
