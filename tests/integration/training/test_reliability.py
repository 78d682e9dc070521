"""Short forms of the promises T1 to T10; `make reliability` measures the full counts.

What has tests of its own elsewhere is not repeated: resume in every step (T3), same seed same run
(T11), bounds of the repulsion (T8's property test), pieces of a step (T9).
"""

from pathlib import Path
from typing import Any

import pytest

from tests.reliability import clips, damage, disk, kills, nonfinite, sameness, series, signals
from tests.reliability.figures import Figures

pytestmark = pytest.mark.slow


def _kept(found: Figures) -> None:
    assert found.broken == []
    assert found.count
    assert found.figures


def test_kills_at_random_moments(bench: Any) -> None:
    _kept(kills.kill_at_random(bench, num_kills=3))


def test_every_file_of_a_checkpoint_damaged(bench: Any) -> None:
    _kept(damage.damage_every_file(bench, num_offsets=1))


def test_a_stop_in_every_phase(bench: Any) -> None:
    _kept(signals.stop_everywhere(bench, num_each=1))


def test_writes_cut_short_by_the_kernel(bench: Any) -> None:
    _kept(disk.file_size_limits(bench, num_limits=2))


def test_a_disk_that_fills_up(bench: Any, tmp_path: Path) -> None:
    if not disk.can_mount(tmp_path):
        pytest.skip("only root can mount a small file system")
    _kept(disk.small_disk(bench, 1, tmp_path))


def test_clips_broken_in_eight_ways(bench: Any) -> None:
    _kept(clips.broken_shares(bench, num_questions=40, shares=[0.0, 0.2]))


def test_numbers_that_are_not_finite(bench: Any) -> None:
    _kept(nonfinite.poison_each_source(bench, [float("nan")]))


def test_guards_on_recorded_and_simulated_runs() -> None:
    _kept(series.watch_series(num_healthy=100, num_faulty=10))


def test_the_video_reaches_the_model(bench: Any) -> None:
    _kept(sameness.video_reaches_the_model(bench))
