"""The data sets that vtk knows by name, and where their files lie."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vtk.errors import ConfigError
from vtk.hints import nearest_hint

PARTS = ("train", "validation")
SPLIT_FILES = ("train", "bias", "validation")
SCENES_PER_FOLDER = 1000


@dataclass(frozen=True, slots=True)
class PublishedCounts:
    """What the paper reports for the training questions that have a correct option."""

    num_observational: int
    num_usable: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """One data set in CLEVRER's layout.

    Attributes:
        name: How commands and folders call it.
        kind: `generated` on this machine, or `dataset` fetched from its owners.
        title: One sentence for `vtk download --list`.
        licence: Under which terms its files may be used.
        source: Where it comes from.
        num_scenes: Clips with questions and annotations of each part; empty if the user decides.
        published: Counts to print beside ours; only for the data that the paper counted.
    """

    name: str
    kind: Literal["generated", "dataset"]
    title: str
    licence: str
    source: str
    num_scenes: Mapping[str, int] = field(default_factory=dict)
    published: PublishedCounts | None = None


DATASETS: dict[str, Dataset] = {
    "clevrer-mini": Dataset(
        name="clevrer-mini",
        kind="generated",
        title="Objects that slide and collide, rendered on this machine.",
        licence="CC0-1.0",
        source="vtk.mini",
    ),
    "clevrer": Dataset(
        name="clevrer",
        kind="dataset",
        title="Colliding objects, with causal questions; 15,000 clips are annotated.",
        licence="CC0-1.0",
        source="http://clevrer.csail.mit.edu",
        num_scenes={"train": 10_000, "validation": 5_000},
        published=PublishedCounts(num_observational=13_674, num_usable=18_473),
    ),
}


def get_dataset(name: str) -> Dataset:
    """The registered data set.

    Raises:
        ConfigError: No data set has this name; suggests near ones.
    """
    if name in DATASETS:
        return DATASETS[name]
    hint = nearest_hint(name, DATASETS, "Data sets")
    raise ConfigError(f"there is no data set named {name!r}", hint)


def dataset_dir(data_dir: Path, name: str) -> Path:
    """`DATA/NAME`, the folder that a data set's relative paths start from."""
    return data_dir / get_dataset(name).name


def split_file(data_dir: Path, name: str, part: str) -> Path:
    """The file that `vtk split` writes for `part`: train, bias or validation.

    Raises:
        ConfigError: `part` is none of these, or the data set is unknown.
    """
    if part not in SPLIT_FILES:
        hint = nearest_hint(part, SPLIT_FILES, "Parts")
        raise ConfigError(f"there is no split file {part!r}", hint)
    return split_dir(dataset_dir(data_dir, name)) / f"{part}.jsonl"


def split_dir(root: Path) -> Path:
    """The folder with the split files of the data set at `root`."""
    return root / "split"


def questions_file(root: Path, part: str) -> Path:
    """CLEVRER's question file of one part."""
    return root / "questions" / f"{part}.json"


def annotation_file(root: Path, part: str, scene_index: int) -> Path:
    """CLEVRER's annotation file of one scene."""
    folder = f"annotation_{_folder_range(scene_index)}"
    return root / "annotations" / part / folder / f"annotation_{scene_index:05d}.json"


def video_reference(part: str, scene_index: int) -> str:
    """The clip of one scene, relative to the data set's folder, with '/' as separator."""
    return f"videos/{part}/video_{_folder_range(scene_index)}/video_{scene_index:05d}.mp4"


def _folder_range(scene_index: int) -> str:
    """CLEVRER keeps a thousand scenes a folder: scene 7390 is in `07000-08000`."""
    first = scene_index // SCENES_PER_FOLDER * SCENES_PER_FOLDER
    return f"{first:05d}-{first + SCENES_PER_FOLDER:05d}"
