"""Making clevrer-mini, or what is missing of it."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vtk.data.presence import find_presence, size_bytes
from vtk.data.registry import DATASETS, SPLIT_FILES, dataset_dir, split_dir
from vtk.errors import ConfigError, MissingEnvironmentError
from vtk.format import format_bytes
from vtk.mini.world import BYTES_PER_SCENE, WorldSettings, is_intact, read_world, write_world

MINI = "clevrer-mini"


@dataclass(frozen=True, slots=True)
class Download:
    """One finished download: where it lies, what it holds, and whether it was there already."""

    name: str
    path: str
    is_new: bool
    settings: Mapping[str, Any]
    bytes: int


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
    return Download(MINI, str(root), is_new=True, settings=asdict(settings), bytes=size_bytes(root))


def _check_space(root: Path, settings: WorldSettings) -> None:
    num_scenes = settings.num_scenes + settings.num_validation_scenes
    needed = max(0, num_scenes * BYTES_PER_SCENE - size_bytes(root))
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
