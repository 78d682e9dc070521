"""How fast questions are answered: by the library's own generation, and by what vtk saves of it."""

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import torch

from vtk.bench.clips import preset_frames
from vtk.bench.machine import this_machine
from vtk.bench.timing import Rounds
from vtk.config.sections import ModelSettings
from vtk.data.registry import get_dataset
from vtk.data.sample import VideoSample
from vtk.data.split import SplitOptions, split_dataset
from vtk.errors import VtkError
from vtk.evals.backends import MAX_FEATURE_CACHE_BYTES, TransformersBackend
from vtk.evals.record import EvalRow
from vtk.evals.runner import iter_rows
from vtk.evals.settings import EvaluationSettings
from vtk.evals.suites import find_suite, load_questions
from vtk.mini.world import WorldSettings, write_world
from vtk.models.loader import load_policy
from vtk.models.tiny import tiny_model_dir
from vtk.rollout.generate import SamplingSettings

OnRound = Callable[[], None]

SHARED: Final = "shared"
VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "library": {"engine": "reference", "max_feature_bytes": 0, "is_reading_ahead": False},
    "shared, features for each question": {"max_feature_bytes": 0},
    "shared, no reading ahead": {"is_reading_ahead": False},
    SHARED: {},
}
"""What is measured: the library's generate on clips read as they are needed, vtk's evaluation, and
vtk's without one of its savings."""

PRESETS: Final = ("tiny", "3b-2x48gb")
_SUITE: Final = "clevrer-mini"
_MAX_COMPLETION_TOKENS: Final = 48
_BATCH_SIZE: Final = 8


def bench_evaluation(
    num_questions: int, num_rounds: int, on_round: OnRound = lambda: None
) -> dict[str, Any]:
    """Ask the shipped model the same questions in every way, in interleaved rounds.

    Args:
        num_questions: Questions a round, in the order of their clips.
        num_rounds: Measured rounds; one more is not measured.
        on_round: Called after each round of each preset's frames.

    Returns:
        A JSON document: machine, and for each preset's frames the answers a second and how many
        times as long each way takes as vtk's, by wall clock.

    Raises:
        VtkError: Two ways gave other answers.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, processor = load_policy(tiny_model_dir(), ModelSettings())
    model.to(device)
    with TemporaryDirectory(prefix="vtk-bench-") as name:
        samples = _questions(Path(name), num_questions)
        found = {
            preset: _measure(preset, partial(_ask, model, processor, samples), num_rounds, on_round)
            for preset in PRESETS
        }
    return {
        "machine": this_machine(device).as_json(),
        "num_rounds": num_rounds,
        "num_questions": len(samples),
        "num_clips": len({sample.video for sample in samples}),
        "presets": found,
    }


def _questions(folder: Path, num_questions: int) -> list[VideoSample]:
    """Questions about clips that are rendered here; about five a clip."""
    num_scenes = max(4, num_questions // 3)
    write_world(folder / _SUITE, WorldSettings(num_scenes=1, num_validation_scenes=num_scenes))
    split_dataset(folder / _SUITE, get_dataset(_SUITE), SplitOptions())
    return load_questions(find_suite(_SUITE), folder)[:num_questions]


def _ask(
    model: Any,
    processor: Any,
    samples: Sequence[VideoSample],
    settings: EvaluationSettings,
    max_feature_bytes: int = MAX_FEATURE_CACHE_BYTES,
    **options: Any,
) -> tuple[list[EvalRow], float]:
    """The rows, and the seconds that they took."""
    start_s = perf_counter()
    backend = TransformersBackend(model, processor, max_feature_bytes)
    rows = list(iter_rows(backend, samples, settings, **options))
    return rows, perf_counter() - start_s


def _measure(
    preset: str,
    ask: Callable[..., tuple[list[EvalRow], float]],
    num_rounds: int,
    on_round: OnRound,
) -> dict[str, Any]:
    frames, sampling = preset_frames(preset), SamplingSettings(_MAX_COMPLETION_TOKENS, 0.0)
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for number in range(num_rounds + 1):
        answers = {}
        for name, options in VARIANTS.items():
            given = dict(options)
            settings = EvaluationSettings(
                "mini", frames, sampling, _BATCH_SIZE, engine=given.pop("engine", SHARED)
            )
            rows, elapsed_s = ask(settings, **given)
            answers[name] = [row.completion for row in rows]
            if number > 0:
                seconds[name].append(elapsed_s)
        _require_same(answers)
        on_round()
    rounds = Rounds(seconds)
    return {
        "frames": frames.num_frames,
        "answers_per_s": {
            name: len(answers[name]) / statistics.median(taken) for name, taken in seconds.items()
        },
        "ratio": {name: rounds.ratio(name, SHARED) for name in VARIANTS if name != SHARED},
    }


def _require_same(answers: dict[str, list[str | None]]) -> None:
    for name, texts in answers.items():
        num_other = sum(a != b for a, b in zip(texts, answers[SHARED], strict=True))
        if num_other:
            raise VtkError(
                f"{name} answers {num_other} of {len(texts)} questions otherwise than {SHARED}, "
                "so their speeds mean nothing"
            )
