"""How well a tiny model answers, by strategy and question type, on scenes it was not trained on.

`vtk mini pretrain` ends with this table and `vtk mini report` prints it for any tiny model.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtk.config.sections import ModelSettings
from vtk.errors import ConfigError
from vtk.mini.language import (
    STRATEGIES,
    classify_strategy,
    option_letters,
    render_problem,
)
from vtk.mini.questions import Question
from vtk.models.loader import load_policy, weights_hash
from vtk.models.sources import resolve_model_path
from vtk.models.tiny import TINY_HIDDEN_SIZE, TINY_VISION_HIDDEN_SIZE
from vtk.rollout.generate import SamplingSettings, generate
from vtk.rollout.prompts import PromptInputs, collate_prompts, prepare_prompt
from vtk.scoring.rewards import grade
from vtk.scoring.stats import clustered_mean
from vtk.train.pretrain.data import PretrainScene, clip_of
from vtk.train.pretrain.scenes import held_out_scenes

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

LABELS = ("observational", "inferential")
_OTHER, _ALL = "other", "all"
_BATCH_PROMPTS = 48
_MAX_COMPLETION_TOKENS = 72
_OTHER_MODELS = "Judge other models with: vtk eval clevrer-mini --model MODEL"


@dataclass(frozen=True, slots=True)
class StrategyRow:
    """One cell of the table.

    Attributes:
        strategy: "describe", "reason", "other" (neither trace) or "all".
        label: "observational" or "inferential".
        num_completions: How many completions chose this strategy on this type.
        num_scenes: How many scenes these are about.
        accuracy: Share of them whose set of letters is exactly right.
        low: Lower end of the accuracy's 95 % interval, clustered by scene.
        high: Upper end.
        chance: Accuracy of a guesser who knows how many options are right.
        share: Share of the type's completions that chose this strategy.
    """

    strategy: str
    label: str
    num_completions: int
    num_scenes: int
    accuracy: float
    low: float
    high: float
    chance: float
    share: float


@dataclass(frozen=True, slots=True)
class GradedCompletion:
    """One sampled completion: which scene it is about, the question's type, and how it did."""

    scene: int
    label: str
    strategy: str
    is_right: bool
    chance: float


def measure_strategies(
    model: "Qwen2_5_VLForConditionalGeneration",
    processor: "Qwen2_5_VLProcessor",
    scenes: Sequence[PretrainScene],
    *,
    questions_per_scene: int = 4,
    num_generations: int = 2,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> list[StrategyRow]:
    """Sample completions at temperature 1 and grade them per strategy and question type.

    Args:
        model: The model.
        processor: Its processor.
        scenes: What to ask about.
        questions_per_scene: Questions asked about each scene, fewer where it has fewer.
        num_generations: Completions of each question.
        seed: Decides the draw of tokens.
        on_progress: Called with (questions done, questions in all).
    """
    items = [
        (index, question)
        for index, scene in enumerate(scenes)
        for question in scene.questions[:questions_per_scene]
    ]
    graded: list[GradedCompletion] = []
    for start in range(0, len(items), _BATCH_PROMPTS):
        batch = items[start : start + _BATCH_PROMPTS]
        prompts = [
            prepare_prompt(
                processor, render_problem(q.text, q.options), clip_of(scenes[index]), "mini"
            )
            for index, q in batch
        ]
        texts = _sample(model, processor, prompts, num_generations, seed + start)
        graded += [_grade(*batch[i // num_generations], text) for i, text in enumerate(texts)]
        on_progress(start + len(batch), len(items))
    return tabulate(graded)


def measure_model(
    ref: str,
    runs_dir: Path,
    num_scenes: int,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, Any]:
    """The table of a model of the tiny architecture.

    Args:
        ref: "tiny", a run or a folder, see `vtk.models.sources`.
        runs_dir: The folder of all runs.
        num_scenes: Held-out scenes.
        on_progress: Called with (questions done, questions in all).

    Returns:
        Its path, the hash of its weights, the number of scenes and the rows.

    Raises:
        ConfigError: The model has another architecture than the tiny one.
        DataError: There is no such model, or it is damaged.
    """
    path = resolve_model_path(ref, runs_dir)
    if isinstance(path, str):  # before anything is fetched
        raise ConfigError(f"{path} is a model on the hub, not a tiny one", hint=_OTHER_MODELS)
    model, processor = load_policy(path, ModelSettings(path=ref, dtype="float32"))
    widths = model.config.vision_config.hidden_size, model.config.text_config.hidden_size
    if widths != (TINY_VISION_HIDDEN_SIZE, TINY_HIDDEN_SIZE):
        raise ConfigError(f"{path} is not of the tiny architecture", hint=_OTHER_MODELS)
    rows = measure_strategies(
        model, processor, held_out_scenes(num_scenes), on_progress=on_progress
    )
    return {
        "path": str(path),
        "weights_sha256": weights_hash(model),
        "num_scenes": num_scenes,
        "strategies": as_json(rows),
    }


def tabulate(graded: Sequence[GradedCompletion]) -> list[StrategyRow]:
    """One row per strategy and question type that occur, and one per type for all strategies."""
    return [
        row
        for strategy in (*STRATEGIES, _OTHER, _ALL)
        for label in LABELS
        for row in _rows(graded, strategy, label)
    ]


def as_json(rows: Sequence[StrategyRow]) -> list[dict[str, object]]:
    """The table as JSON values."""
    return [asdict(row) for row in rows]


def _rows(graded: Sequence[GradedCompletion], strategy: str, label: str) -> Iterator[StrategyRow]:
    """The row of one strategy and type, if any completion belongs to it."""
    of_type = [g for g in graded if g.label == label]
    chosen = [g for g in of_type if strategy in (g.strategy, _ALL)]
    if not chosen:
        return
    estimate = clustered_mean([float(g.is_right) for g in chosen], [g.scene for g in chosen])
    yield StrategyRow(
        strategy=strategy,
        label=label,
        num_completions=estimate.num,
        num_scenes=estimate.num_clusters,
        accuracy=estimate.mean,
        low=estimate.low,
        high=estimate.high,
        chance=sum(g.chance for g in chosen) / len(chosen),
        share=len(chosen) / len(of_type),
    )


def _sample(
    model: "Qwen2_5_VLForConditionalGeneration",
    processor: "Qwen2_5_VLProcessor",
    prompts: Sequence[PromptInputs],
    num_generations: int,
    seed: int,
) -> list[str]:
    sampling = SamplingSettings(max_completion_tokens=_MAX_COMPLETION_TOKENS, temperature=1.0)
    pad_id = processor.tokenizer.pad_token_id
    batch = collate_prompts(prompts, pad_id)
    return generate(model, processor, batch, sampling, num_generations, generator_seed=seed).texts


def _grade(scene: int, question: Question, completion: str) -> GradedCompletion:
    num_options, num_correct = len(question.gold), sum(question.gold)
    return GradedCompletion(
        scene=scene,
        label="observational" if question.observational else "inferential",
        strategy=classify_strategy(completion) or _OTHER,
        is_right=grade(completion, option_letters(question.gold), num_options).strict == 1.0,
        chance=1 / comb(num_options, num_correct),
    )
