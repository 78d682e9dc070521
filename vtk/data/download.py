"""What of each data set is on this disk, and making clevrer-mini.

clevrer-mini is generated here. The data sets that are fetched from their owners cannot be
downloaded by this version; a copy laid out as `data/README.md` says is found and split like any
other.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from vtk.data.registry import (
    DATASETS,
    PARTS,
    SPLIT_FILES,
    Dataset,
    dataset_dir,
    questions_file,
    split_dir,
)
from vtk.errors import ConfigError, MissingEnvironmentError
from vtk.format import format_bytes
from vtk.mini.world import BYTES_PER_SCENE, WorldSettings, is_intact, read_world, write_world

MINI = "clevrer-mini"


@dataclass(frozen=True, slots=True)
class Presence:
    """What of a data set is on this disk.

    Attributes:
        name: The data set.
        kind: `generated` or `dataset`.
        title: One sentence.
        licence: Of its files.
        source: Where it comes from.
        present: Whether anything of it is here.
        complete_frac: Share of its clips, annotations and question files that is here, from 0 to 1.
        bytes: Size of everything in its folder.
    """

    name: str
    kind: str
    title: str
    licence: str
    source: str
    present: bool
    complete_frac: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Download:
    """One finished download: where it lies, what it holds, and whether it was there already."""

    name: str
    path: str
    is_new: bool
    settings: Mapping[str, Any]
    bytes: int


def available_names() -> list[str]:
    """The data sets that `vtk download` can get."""
    return [name for name, dataset in DATASETS.items() if dataset.kind == "generated"]


def check_names(names: Sequence[str]) -> None:
    """Refuses, before any work, what cannot be downloaded.

    Raises:
        ConfigError: No name is given, or one of them is unknown or cannot be fetched yet.
    """
    available = ", ".join(available_names())
    if not names:
        raise ConfigError("which data set?", f"Available: {available}. See vtk download --list.")
    for name in names:
        if name in available_names():
            continue
        near = get_close_matches(name, available_names(), n=1)
        if name in DATASETS:
            hint = f"Lay your copy out below DATA/{name} as data/README.md says."
        else:
            hint = f"Did you mean {near[0]}?" if near else ""
        raise ConfigError(
            f"vtk download cannot get {name!r} yet", f"{hint} Available: {available}.".strip()
        )


def find_presence(data_dir: Path, dataset: Dataset) -> Presence:
    """What of a data set lies below `data_dir`; looks at names and sizes only."""
    root = dataset_dir(data_dir, dataset.name)
    num_scenes = _expected_scenes(root, dataset)
    num_expected = sum(2 * num_scenes.get(part, 0) + 1 for part in PARTS)
    num_found = sum(_count_found(root, part, num_scenes.get(part, 0)) for part in PARTS)
    num_bytes = _size_bytes(root)
    return Presence(
        name=dataset.name,
        kind=dataset.kind,
        title=dataset.title,
        licence=dataset.licence,
        source=dataset.source,
        present=num_bytes > 0,
        complete_frac=num_found / num_expected if num_scenes else 0.0,
        bytes=num_bytes,
    )


def _expected_scenes(root: Path, dataset: Dataset) -> Mapping[str, int]:
    """Scenes of each part: fixed for a fetched data set, as asked for in a generated one."""
    if dataset.kind != "generated":
        return dataset.num_scenes
    world = read_world(root)
    if world is None:
        return {}
    return {"train": world["num_scenes"], "validation": world["num_validation_scenes"]}


def _count_found(root: Path, part: str, num_scenes: int) -> int:
    num_videos = sum(1 for _ in (root / "videos" / part).glob("video_*/video_*.mp4"))
    folder = root / "annotations" / part
    num_annotations = sum(1 for _ in folder.glob("annotation_*/annotation_*.json"))
    has_questions = questions_file(root, part).is_file()
    return min(num_videos, num_scenes) + min(num_annotations, num_scenes) + has_questions


def _size_bytes(root: Path) -> int:
    """Size of the files below a folder; those that vanish meanwhile count as nothing."""
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            total += path.stat().st_size if path.is_file() else 0
    return total


def find_mini(data_dir: Path, settings: WorldSettings) -> Download | None:
    """The clevrer-mini of these settings if it is here, complete and undamaged.

    Raises:
        DataError: One of its lists is damaged.
    """
    root = dataset_dir(data_dir, MINI)
    world = read_world(root) or {}
    is_same = all(world.get(key) == value for key, value in asdict(settings).items())
    presence = find_presence(data_dir, DATASETS[MINI])
    is_whole = is_same and world.get("complete") and presence.complete_frac == 1
    if not (is_whole and is_intact(root)):
        return None
    return Download(MINI, str(root), is_new=False, settings=asdict(settings), bytes=presence.bytes)


def make_mini(
    data_dir: Path,
    settings: WorldSettings,
    *,
    workers: int,
    on_progress: Callable[[int, int], None],
    overwrite: bool = False,
) -> Download:
    """Generates clevrer-mini, or what is missing of it.

    Args:
        data_dir: The folder of the data sets.
        settings: What to make.
        workers: Processes that draw and encode.
        on_progress: Called with (scenes done, scenes in all).
        overwrite: Replace a world made with other settings.

    Raises:
        ConfigError: The settings ask for no scenes, or for no worker.
        MissingEnvironmentError: The disk is too small.
        DataError: Another world lies there already.
    """
    if settings.num_scenes < 1 or settings.num_validation_scenes < 1 or workers < 1:
        raise ConfigError("at least one scene of each part and one worker are needed")
    root = dataset_dir(data_dir, MINI)
    _check_space(root, settings)
    if overwrite:
        _remove_split(root)
    write_world(root, settings, workers=workers, overwrite=overwrite, on_progress=on_progress)
    return Download(
        MINI, str(root), is_new=True, settings=asdict(settings), bytes=_size_bytes(root)
    )


def _check_space(root: Path, settings: WorldSettings) -> None:
    num_scenes = settings.num_scenes + settings.num_validation_scenes
    needed = max(0, num_scenes * BYTES_PER_SCENE - _size_bytes(root))
    folder = next(path for path in (root, *root.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise MissingEnvironmentError(
            f"{num_scenes} scenes need about {format_bytes(needed)}, "
            f"but the disk of {folder} has {format_bytes(free)} free",
            "Free some space, ask for fewer --scenes, or set another --data-dir.",
        )


def _remove_split(root: Path) -> None:
    """A split of the world that is about to be replaced would describe clips that are gone."""
    names = (*(f"{part}.jsonl" for part in SPLIT_FILES), "manifest.json", "problems.json")
    for name in names:
        (split_dir(root) / name).unlink(missing_ok=True)
