"""Constructed answers of four models, whose behaviour each test decides."""

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from vtk.demo.findings import find
from vtk.demo.plan import demo_settings
from vtk.demo.results import MAIN_MODELS, measure
from vtk.evals.record import EvalRow

COLORS = ("red", "blue", "green", "cyan")


@dataclass(frozen=True)
class Behaviour:
    """How a constructed model answers: its share of reasoning, and how often each strategy is right
    on (observational, inferential) questions."""

    reasons: tuple[float, float] = (0.5, 0.5)
    reason_right: tuple[float, float] = (0.7, 0.66)
    describe_right: tuple[float, float] = (0.93, 0.06)


RowsOf = Callable[..., dict[str, list[EvalRow]]]

TYPICAL = {
    "base": Behaviour(),
    "bias": Behaviour(reasons=(0.1, 0.1)),
    "grpo": Behaviour(reasons=(0.3, 0.32)),
    "cdpo": Behaviour(reasons=(0.6, 0.7)),
}


@pytest.fixture
def behaviour() -> Callable[[str], Behaviour]:
    """How a model of the typical case answers."""
    return TYPICAL.__getitem__


def _row(draw: int, number: int, clip: int, rng: random.Random, how: Behaviour) -> EvalRow:
    kind = number % 2
    strategy = "reason" if rng.random() < how.reasons[kind] else "describe"
    accuracy = (how.reason_right if strategy == "reason" else how.describe_right)[kind]
    is_right = rng.random() < accuracy
    a, b, c, d = COLORS
    opening = f"Without {a}" if strategy == "reason" else "I see"
    letter = "A" if is_right else "B"
    completion = f"<think>{opening} {b} hits {c}.</think><answer>{letter}</answer>"
    return EvalRow(
        sample_id=f"clip-{clip:03d}-{number}",
        draw=draw,
        clip_id=f"clip-{clip:03d}",
        label=("observational", "inferential")[kind],
        polarity="will",
        num_correct=1,
        num_options=2,
        problem=f"Without the {a} sphere, what will happen?\nA. {b} hits {c}\nB. {c} hits {d}",
        solution="A",
        completion=completion,
        num_tokens=24,
        is_truncated=False,
        parsed="A" if is_right else "B",
        status="ok",
        lenient_parsed="A" if is_right else "B",
        strict=float(is_right),
        partial=float(is_right),
        per_option=float(is_right),
        lenient=float(is_right),
        format=1.0,
        strategy=strategy,
        video_sha256="0" * 64,
        decoder="pyav",
        timestamps_s=[0.32 * index for index in range(16)],
        error=None,
    )


@pytest.fixture(scope="session")
def rows_of() -> RowsOf:
    """Answers of models by name; `behaviours` replaces those of the typical case."""

    def build(
        num_clips: int = 100, num_draws: int = 2, seed: int = 0, **behaviours: Behaviour
    ) -> dict[str, list[EvalRow]]:
        answers = {}
        for name, how in (TYPICAL | behaviours).items():
            rng = random.Random(f"{seed}-{name}")
            answers[name] = [
                _row(draw, number, clip, rng, how)
                for clip in range(num_clips)
                for number in range(4)
                for draw in range(num_draws)
            ]
        return answers

    return build


@pytest.fixture(scope="session")
def document_of(rows_of: RowsOf) -> Callable[..., dict[str, Any]]:
    """A whole results.json of constructed models, as a copy that a test may change."""
    made: dict[str, dict[str, Any]] = {}

    def build(is_quick: bool = False, **how: Any) -> dict[str, Any]:
        key = repr((is_quick, how))
        if key not in made:
            made[key] = construct(is_quick, how)
        return copy.deepcopy(made[key])

    def construct(is_quick: bool, how: dict[str, Any]) -> dict[str, Any]:
        rows = rows_of(**how)
        betas = {name: -0.01 for name in rows if name not in MAIN_MODELS or name == "cdpo"}
        document = measure(rows, 0.74, betas) | {"is_quick": is_quick}
        settings = demo_settings(
            is_quick=is_quick, seed=how.get("seed", 0), has_variants=len(rows) > len(MAIN_MODELS)
        )
        facts = {
            "version": 1,
            "seed": how.get("seed", 0),
            "created": "2026-01-31 12:00 UTC",
            "settings": settings.as_json(),
            "questions": {
                "num_held_out": document["models"]["base"]["all"]["n"],
                "num_clips": len({row.clip_id for row in rows["base"]}),
            },
            "steps": [
                {
                    "name": "split",
                    "title": "Split",
                    "command": "vtk split clevrer-mini",
                    "wall_s": 2.5,
                }
            ],
            "repeat": "vtk demo --seed 0",
            "wall_s": 512.0,
            "runs": {name: name for name in rows},
            "machine": {
                "platform": "Linux",
                "python": "3.11.9",
                "num_cpus": 2,
                "memory_bytes": 8 * 2**30,
            },
            "packages": {"torch": "2.10.0", "flash-attn": None},
            "code": {"commit": "0123abc", "dirty": False, "absent_reason": None},
        }
        return document | facts | {"findings": find(document).as_json()}

    return build
