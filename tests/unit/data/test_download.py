"""What is on disk is counted, and clevrer-mini is asked for only when something is missing."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from vtk.data.download import find_mini, make_mini
from vtk.data.presence import find_presence
from vtk.data.registry import DATASETS, dataset_dir, split_file
from vtk.errors import ConfigError, DataError, MissingEnvironmentError
from vtk.mini.world import WorldSettings

if TYPE_CHECKING:
    from tests.unit.data.conftest import ClevrerFolder

SETTINGS = WorldSettings(num_scenes=2, num_validation_scenes=1, seed=5, questions_per_scene=2)


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the smallest clevrer-mini."""
    data_dir = tmp_path_factory.mktemp("data")
    seen: list[tuple[int, int]] = []
    made = make_mini(data_dir, SETTINGS, workers=1, on_progress=lambda *done: seen.append(done))
    assert made.is_new
    assert seen[-1] == (3, 3)
    return data_dir


@pytest.fixture
def copy(world: Path, tmp_path: Path) -> Path:
    """The same world, to be damaged."""
    return Path(shutil.copytree(world, tmp_path / "data"))


def test_a_finished_world_is_found_and_not_made_again(world: Path) -> None:
    found = find_mini(world, SETTINGS)
    assert found is not None
    assert not found.is_new
    assert found.settings["seed"] == 5
    presence = find_presence(world, DATASETS["clevrer-mini"])
    assert (presence.present, presence.complete_frac) == (True, 1.0)
    assert presence.bytes == found.bytes > 100_000


def test_another_seed_or_size_is_another_world(world: Path) -> None:
    assert find_mini(world, WorldSettings(2, 1, seed=6, questions_per_scene=2)) is None
    assert find_mini(world, WorldSettings(3, 1, seed=5, questions_per_scene=2)) is None


def test_what_is_missing_is_made_again_and_what_is_there_is_kept(copy: Path) -> None:
    root = dataset_dir(copy, "clevrer-mini")
    clip = root / "videos/train/video_00000-01000/video_00001.mp4"
    annotation = root / "annotations/train/annotation_00000-01000/annotation_00001.json"
    kept = root / "videos/train/video_00000-01000/video_00000.mp4"
    before, kept_ns = annotation.read_bytes(), kept.stat().st_mtime_ns
    clip.unlink()
    annotation.unlink()
    assert find_presence(copy, DATASETS["clevrer-mini"]).complete_frac == pytest.approx(6 / 8)
    assert find_mini(copy, SETTINGS) is None
    make_mini(copy, SETTINGS, workers=1, on_progress=lambda *_: None)
    assert annotation.read_bytes() == before
    assert clip.is_file()
    assert kept.stat().st_mtime_ns == kept_ns
    assert find_mini(copy, SETTINGS) is not None


@pytest.mark.parametrize(
    "name",
    [
        "videos/train/video_00000-01000/video_00001.mp4",
        "annotations/train/annotation_00000-01000/annotation_00001.json",
        "questions/train.json",
    ],
)
def test_what_was_damaged_later_is_found_and_made_again(copy: Path, name: str) -> None:
    path = dataset_dir(copy, "clevrer-mini") / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert find_mini(copy, SETTINGS) is None
    make_mini(copy, SETTINGS, workers=1, on_progress=lambda *_: None)
    assert path.read_bytes() == whole
    assert find_mini(copy, SETTINGS) is not None


def test_an_interrupted_world_is_not_complete(copy: Path) -> None:
    record = dataset_dir(copy, "clevrer-mini") / "world.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"complete": False}))
    assert find_mini(copy, SETTINGS) is None


def test_another_seed_is_refused_unless_forced_and_then_the_old_split_goes(copy: Path) -> None:
    other = WorldSettings(1, 1, seed=6, questions_per_scene=2)
    old_split = split_file(copy, "clevrer-mini", "train")
    old_split.parent.mkdir()
    old_split.write_text("{}\n")
    with pytest.raises(DataError, match="seed is 5, not 6"):
        make_mini(copy, other, workers=1, on_progress=lambda *_: None)
    assert old_split.exists()
    make_mini(copy, other, workers=1, on_progress=lambda *_: None, overwrite=True)
    assert not old_split.exists()
    assert find_mini(copy, other) is not None


def test_a_full_disk_is_noticed_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(MissingEnvironmentError, match=r"3 scenes need about .* 1000 B free"):
        make_mini(tmp_path / "data", SETTINGS, workers=1, on_progress=lambda *_: None)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("settings", [WorldSettings(0, 1), WorldSettings(1, 0)])
def test_no_scenes_are_refused(tmp_path: Path, settings: WorldSettings) -> None:
    with pytest.raises(ConfigError):
        make_mini(tmp_path, settings, workers=1, on_progress=lambda *_: None)


def test_a_partial_copy_of_a_fetched_data_set_is_counted(
    tmp_path: Path, clevrer_folder: "ClevrerFolder"
) -> None:
    clevrer_folder.root.rename(tmp_path / "clevrer")
    presence = find_presence(tmp_path, DATASETS["clevrer"])
    assert presence.present
    assert presence.complete_frac == pytest.approx(4 / 30_002)
    empty = find_presence(tmp_path / "none", DATASETS["clevrer"])
    assert (empty.present, empty.complete_frac, empty.bytes) == (False, 0.0, 0)
