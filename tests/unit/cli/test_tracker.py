"""What `vtk eval` shows while it asks: accuracy with its interval, errors, speed, the time left."""

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.evals.conftest import FAILED, WRONG, make_row
from vtk.cli import scores
from vtk.cli.console import Console
from vtk.cli.scores import Tracker
from vtk.evals.record import ReadRows


class Shown:
    """Takes in what a command reports."""

    def __init__(self) -> None:
        self.updates: list[dict[str, Any]] = []

    def advance(self, num_done: float = 1) -> None:
        raise AssertionError("answers are counted by update")

    def update(
        self, done: float | None = None, total: float | None = None, note: str | None = None
    ) -> None:
        given = {"done": done, "total": total, "note": note}
        self.updates.append({name: value for name, value in given.items() if value is not None})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock is two seconds later."""
    ticks: Iterator[int] = iter(range(0, 1000, 2))
    monkeypatch.setattr(scores, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))


def notes_of(num_later: int) -> tuple[list[dict[str, Any]], list[str]]:
    shown = Shown()
    tracker = Tracker(Console(), shown, "strict", num_later)
    kept = make_row("kept", clip_id="c0")
    tracker.start(ReadRows({kept.key: kept}, 0), 9)
    for row in (make_row("a", clip_id="c1"), make_row("b", clip_id="c2", **WRONG)):
        tracker.add(row)
    tracker.add(make_row("c", clip_id="c3", **FAILED))
    return shown.updates, [str(update["note"]) for update in shown.updates if "note" in update]


@pytest.mark.usefixtures("clock")
def test_kept_answers_count_in_the_accuracy_and_not_in_the_speed() -> None:
    updates, notes = notes_of(num_later=0)
    assert updates[0] == {"total": 8}
    assert [update["done"] for update in updates[1:]] == [1, 2, 3]
    assert notes[0].startswith("strict 100.0% [")
    assert re.fullmatch(
        r"strict 50\.0% \[\d+\.\d%, \d+\.\d%\], 1 errors, 0\.5 answers/s", notes[-1]
    ), notes[-1]


@pytest.mark.usefixtures("clock")
def test_with_more_suites_to_come_the_time_for_all_is_told() -> None:
    _, notes = notes_of(num_later=100)
    assert notes[-1].endswith(
        ", all suites in about 3 min 30 s"
    )  # 8 − 3 + 100 at one in two seconds
