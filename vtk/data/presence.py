"""What of the data sets and models is on this disk."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vtk.data.registry import DATASETS, PARTS, Dataset, dataset_dir, questions_file
from vtk.data.remote.record import Record
from vtk.data.remote.sources import SOURCES, Source, source_dir
from vtk.mini.world import read_world


@dataclass(frozen=True, slots=True)
class Presence:
    """What of a data set or a model is on this disk.

    Attributes:
        name: How commands call it.
        kind: `generated`, `dataset` or `model`.
        title: One sentence.
        licence: Of its files.
        use: What the licence allows.
        source: Where it comes from.
        present: Whether anything of it is here.
        complete_frac: Share of it that is here, from 0 to 1: of the bytes that its download
            planned, else of its clips, annotations and question files.
        bytes: Size of everything in its folder.
        full_bytes: About its size when it is complete; None if the user decides.
        path: Its folder.
        missing_clips: Clips that questions name and no archive of its owners has.
    """

    name: str
    kind: str
    title: str
    licence: str
    use: str
    source: str
    present: bool
    complete_frac: float
    bytes: int
    full_bytes: int | None
    path: str
    missing_clips: list[str] = field(default_factory=list)


def find_all(data_dir: Path) -> list[Presence]:
    """What of everything that vtk knows by name is here; looks at names and sizes only.

    Raises:
        DataError: The record of a download is damaged.
    """
    made = [each for each in DATASETS.values() if each.kind == "generated"]
    return [
        *(find_presence(data_dir, dataset) for dataset in made),
        *(find_source(data_dir, source) for source in SOURCES.values()),
    ]


def find_presence(data_dir: Path, dataset: Dataset) -> Presence:
    """What of a data set in CLEVRER's layout lies below `data_dir`."""
    root = dataset_dir(data_dir, dataset.name)
    num_bytes = size_bytes(root)
    return Presence(
        name=dataset.name,
        kind=dataset.kind,
        title=dataset.title,
        licence=dataset.licence,
        use="Anything.",
        source=dataset.source,
        present=num_bytes > 0,
        complete_frac=_layout_frac(root, dataset),
        bytes=num_bytes,
        full_bytes=None,
        path=str(root),
    )


def find_source(data_dir: Path, source: Source) -> Presence:
    """What of a data set or model of others is here.

    Raises:
        DataError: The record of its download is damaged.
    """
    root = source_dir(source, data_dir)
    num_bytes = size_bytes(root)
    record = Record.load(root)
    if record is not None:
        frac = _record_frac(record)
    elif source.name in DATASETS:
        frac = _layout_frac(root, DATASETS[source.name])
    else:
        frac = float(source.kind == "model" and _has_model(root))
    return Presence(
        name=source.name,
        kind=source.kind,
        title=source.title,
        licence=source.licence,
        use=source.use,
        source=source.page,
        present=num_bytes > 0,
        complete_frac=frac,
        bytes=num_bytes,
        full_bytes=source.about_bytes,
        path=str(root),
        missing_clips=[] if record is None else record.missing_clips(),
    )


def _record_frac(record: Record) -> float:
    """Share of the planned bytes; what has arrived of a file counts, a lost file does not."""
    planned, held = 0.0, 0.0
    for state in record.files.values():
        weight = max(1, state.planned_bytes)
        planned += weight
        if record.is_ready(state):
            held += weight
        else:
            part = record.root / f"{state.target}.part"
            held += min(weight, part.stat().st_size) if part.is_file() else 0
    return held / planned if planned else 0.0


def _has_model(root: Path) -> bool:
    """Whether another program put a whole model into the Hub's cache."""
    return any(
        any(snapshot.glob("*.safetensors")) and (snapshot / "config.json").exists()
        for snapshot in root.glob("snapshots/*")
    )


def _layout_frac(root: Path, dataset: Dataset) -> float:
    num_scenes = _expected_scenes(root, dataset)
    num_expected = sum(2 * num_scenes.get(part, 0) + 1 for part in PARTS)
    num_found = sum(_count_found(root, part, num_scenes.get(part, 0)) for part in PARTS)
    return num_found / num_expected if num_scenes else 0.0


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


def size_bytes(root: Path) -> int:
    """Size of the files below a folder; links and those that vanish meanwhile count as nothing."""
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            total += path.stat().st_size if path.is_file() and not path.is_symlink() else 0
    return total
