"""A set of CLEVRER's size: its counts, and that it is split and measured."""

import json
from pathlib import Path

import pytest

from vtk.bench.clevrer import num_questions
from vtk.bench.splitting import measure_split

SHARE = 0.004


def test_the_whole_set_has_the_official_number_of_training_questions() -> None:
    assert num_questions(1.0) == {"train": 152_572, "validation": 76_285}


@pytest.mark.slow
def test_a_small_one_is_split_and_measured(tmp_path: Path) -> None:
    cost = measure_split(tmp_path, SHARE)
    manifest = json.loads((tmp_path / "clevrer" / "split" / "manifest.json").read_text())
    counts = manifest["counts"]
    assert {part: counts[part]["num_questions"] for part in counts} == num_questions(SHARE)
    assert counts["train"]["num_scenes"] == 40
    assert counts["train"]["num_malformed"] == 0
    assert counts["train"]["num_usable"] > 60
    assert counts["train"]["num_zero_correct"] == 1
    assert cost.num_bytes == sum(
        path.stat().st_size
        for kind in ("questions", "annotations")
        for path in (tmp_path / "clevrer" / kind).rglob("*.json")
    )
    assert 0 < cost.rows.peak_bytes < cost.split.peak_bytes
    assert cost.rows.processor_s > 0
