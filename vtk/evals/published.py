"""Accuracies that others published, to be set beside ours and never mixed with them.

They were measured with other prompts, frames and readers than any run here; the protocol named with
each is the nearest of ours. `published.csv` has a row a number, with where it is from: the main
table and ablations of VideoThinker (CVPR 2026), and what the papers and repositories that it stands
among report of the same benchmarks.
"""

import csv
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Published:
    """One published number.

    Attributes:
        suite: The suite that it is of.
        type: The type of question that it is of, "all" for all.
        protocol: The nearest of our protocols or readings.
        model: As its authors call it.
        accuracy: From 0 to 1.
        asked: How its authors asked and scored.
        source: Where it is published.
    """

    suite: str
    type: str
    protocol: str
    model: str
    accuracy: float
    asked: str
    source: str


def published_numbers(name: str) -> list[Published]:
    """The published accuracies of a suite; none for a suite that nobody published.

    Args:
        name: A suite's name, or that of its results under a protocol (mvbench-recipe.16-frames).
    """
    suite = name.partition(".")[0].removesuffix("-recipe")
    return [number for number in _all_numbers() if number.suite == suite]


@cache
def _all_numbers() -> tuple[Published, ...]:
    text = files("vtk.evals").joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(
        Published(accuracy=round(float(row.pop("percent")) / 100, 6), **row)
        for row in csv.DictReader(text.splitlines())
    )


def as_json(numbers: list[Published]) -> list[dict[str, Any]]:
    """The numbers as plain data."""
    return [asdict(number) for number in numbers]
