"""Clips on their way into a run: prepared ahead, kept on disk, and the same whichever way."""

import threading
from pathlib import Path
from typing import Any

import pytest

from vtk.errors import Interrupted
from vtk.runs.store import RunPaths

WAYS = {
    "plain": {"video__prefetch": False, "video__cache_gib": 0.0},
    "ahead": {"video__prefetch": True, "video__cache_gib": 0.0},
    "cold": {"video__prefetch": True, "video__cache_gib": 0.5},
    "warm": {"video__prefetch": False, "video__cache_gib": 0.5},
}
"""Each clip decoded in its turn, or ahead, or on its way to the disk, or read from there."""


@pytest.fixture(autouse=True)
def _cache_of_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The world's clips are kept though they were rendered a moment ago."""
    monkeypatch.setattr("vtk.video.pixel_cache.PixelCache.__init__.__defaults__", (0.0,))


def ending(bench: Any, paths: RunPaths) -> dict[str, Any]:
    return next(found for found in bench.events(paths, "phase") if found["name"] == "end")


def test_a_run_is_the_same_with_and_without_cache_and_prefetch(bench: Any) -> None:
    questions, damaged = bench.damaged_questions(num_damaged=3)
    common = {
        "data__train": str(questions),
        "data__max_skipped_frac": 1.0,
        "optim__num_steps": 6,
        "optim__accumulation_steps": 2,
        "eval__every_steps": 3,
    }
    threads = set(threading.enumerate())
    runs = {name: bench.train("grpo", **common, **settings) for name, settings in WAYS.items()}
    assert set(threading.enumerate()) == threads
    first, *others = (_what_was_learned(bench, paths) for paths in runs.values())
    assert {sample_id for sample_id, _, _ in first["skipped"]} == set(damaged)
    assert others == [first] * 3
    ends = {name: ending(bench, paths) for name, paths in runs.items()}
    num_later = 2 * 6 * 2 - 2  # questions of all passes but the first
    assert [ends[name]["num_prefetched"] for name in WAYS] == [0, num_later, num_later, 0]
    assert (ends["plain"]["pixel_cache"], ends["ahead"]["pixel_cache"]) == (None, None)
    cold, warm = ends["cold"]["pixel_cache"], ends["warm"]["pixel_cache"]
    num_clips = cold["num_misses"]
    assert cold["num_hits"] == 0
    assert num_clips > len(damaged)
    assert warm["num_hits"] > 0
    assert (cold["num_damaged"], cold["num_not_kept"]) == (0, 0)


def _what_was_learned(bench: Any, paths: RunPaths) -> dict[str, Any]:
    return {
        "weights": bench.model_hash(paths, 6),
        "numbers": bench.numbers(paths),
        "rows": bench.rows(paths, [s for s in range(1, 7) if paths.rollout_file(s).exists()]),
        "skipped": [
            (event["sample_id"], event["step"], event["reason"])
            for event in bench.events(paths, "sample_skipped")
        ],
        "evals": [event["per_type"] for event in bench.events(paths, "eval_result")],
    }


def test_a_disk_that_cannot_be_written_is_one_alert(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("VTK_CACHE_DIR", str(tmp_path / "file"))
    paths = bench.train("bias", optim__num_steps=3, eval__every_steps=2)
    [alert] = bench.events(paths, "alert")
    assert alert["rule"] == "pixel_cache"
    assert "VTK_CACHE_DIR" in alert["message"]
    counts = ending(bench, paths)["pixel_cache"]
    assert counts["num_not_kept"] == counts["num_misses"] > 0


def test_a_stop_while_generating_leaves_no_thread(bench: Any) -> None:
    paths = bench.new_run("grpo", optim__num_steps=4)
    threads = set(threading.enumerate())

    def stop_at_second(type: str, payload: dict[str, Any], stop: Any) -> None:
        if type == "phase" and payload["name"] == "generate":
            names = {thread.name for thread in threading.enumerate()}
            assert any(name.startswith("vtk-prefetch") for name in names)
            stop.received = 15

    with pytest.raises(Interrupted):
        bench.attempt(paths, stop_at_second)
    assert set(threading.enumerate()) == threads
