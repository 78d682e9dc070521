"""`vtk bench decode`: the gate before the clock, and a document that says what was measured."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vtk.bench.clips import Workload, make_workloads
from vtk.bench.readers import (
    BASELINE,
    DISK,
    QwenReader,
    Way,
    difference_levels,
    find_decoders,
    is_other,
    make_ways,
    require_same_frames,
)
from vtk.cli.app import main
from vtk.errors import VtkError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    """One clip of clevrer-mini as the preset tiny reads it."""
    mini, large = make_workloads(tmp_path_factory.mktemp("clips"), num_clips=1)
    assert (mini.size_px, large.size_px) == ((240, 160), (480, 320))
    assert 0.5e6 < large.clips[0].stat().st_size < 3e6, "about as large as CLEVRER's clips"
    return mini


@pytest.fixture(scope="module")
def qwen() -> QwenReader:
    return QwenReader()


def test_every_way_gives_the_baselines_frames(
    workload: Workload, qwen: QwenReader, tmp_path: Path
) -> None:
    decoders, absent = find_decoders()
    ways = make_ways(workload, decoders, qwen, tmp_path / "cache")
    assert set(ways) == {BASELINE, "disk cache", "memory cache", *decoders}
    assert set(decoders) | set(absent) == {"pyav", "decord", "torchcodec"}
    found = require_same_frames(workload, ways, decoders, qwen)
    assert 0 < found["mean_difference_levels"] < 0.2


@pytest.mark.parametrize(("name", "what"), [("pyav", "differs by"), (DISK, "changes the frames")])
def test_frames_of_another_moment_are_refused(
    workload: Workload, qwen: QwenReader, tmp_path: Path, name: str, what: str
) -> None:
    ways: Mapping[str, Way] = make_ways(workload, ["pyav"], qwen, tmp_path / "cache")
    right = ways[name]

    def later(path: Path) -> Tensor:
        return right(path).roll(-1, dims=0)

    with pytest.raises(VtkError, match=what):
        require_same_frames(workload, {**ways, name: later}, ["pyav"], qwen)


def test_differences_are_in_levels() -> None:
    black, grey = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 8.0)
    assert difference_levels(black, grey) == (8.0, 8.0)
    assert is_other(*difference_levels(black, grey))
    assert not is_other(*difference_levels(black, black))
    assert is_other(*difference_levels(black, grey[:1]))


def test_the_command_measures_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "decode", "--clips", "1", "--rounds", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document["workloads"]) == {"clevrer-mini", "CLEVRER's size"}
    for found in document["workloads"].values():
        assert {BASELINE, "pyav", "disk cache", "memory cache"} <= set(found["variants"])
        assert all(facts["cpu_ms"] > 0 for facts in found["variants"].values())
        assert found["variants"][BASELINE]["ratio"] == {"median": 1.0, "min": 1.0, "max": 1.0}
        for ratio in found["ratio"].values():
            assert 0 < ratio["min"] <= ratio["median"] <= ratio["max"]
    assert document["machine"]["device"]
