"""Thinning a training file out to a wanted share of observational questions."""

from collections import Counter
from typing import Any

import pytest

from vtk.data.subset import thin_out
from vtk.errors import DataError


def rows_of(num_observational: int, num_inferential: int) -> list[dict[str, Any]]:
    labels = ["observational"] * num_observational + ["inferential"] * num_inferential
    return [{"sample_id": f"s{i}", "label": label} for i, label in enumerate(labels)]


@pytest.mark.parametrize(
    ("before", "frac", "after"),
    [
        ((500, 500), 0.74, (500, 176)),
        ((900, 100), 0.74, (285, 100)),
        ((74, 26), 0.74, (74, 26)),
        ((10, 1000), 0.9, (10, 1)),
        ((1, 1), 0.99, (1, 1)),
    ],
)
def test_thinning_keeps_as_many_as_it_can(
    before: tuple[int, int], frac: float, after: tuple[int, int]
) -> None:
    rows = rows_of(*before)
    kept = thin_out(rows, frac, seed=0)
    count = Counter(row["label"] for row in kept)
    assert (count["observational"], count["inferential"]) == after
    assert kept == [row for row in rows if row in kept]


def test_thinning_depends_on_the_seed_only() -> None:
    rows = rows_of(50, 50)
    assert thin_out(rows, 0.74, seed=1) == thin_out(rows, 0.74, seed=1)
    assert thin_out(rows, 0.74, seed=1) != thin_out(rows, 0.74, seed=2)
    with pytest.raises(DataError, match=r"cannot reach 74\.0% observational"):
        thin_out(rows_of(5, 0), 0.74, seed=0)
