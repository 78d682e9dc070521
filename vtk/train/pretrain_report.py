"""How well a model sees and answers, by strategy and question type: the table that `vtk mini pretrain` ends with."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch

from vtk.mini.language import classify_strategy, option_letters
from vtk.mini.physics import FRAMES_PER_S, NUM_FRAMES
from vtk.rollout.generate import SamplingSettings, generate
from vtk.rollout.prompts import PromptInputs, collate_prompts, prepare_prompt
from vtk.scoring.rewards import grade
from vtk.train.pretrain_data import FRAME_INDICES, PretrainScene, question_example
from vtk.video.frames import Clip

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

_BATCH_PROMPTS = 48
_MAX_COMPLETION_TOKENS = 72


@dataclass(frozen=True, slots=True)
class StrategyRow:
    """One cell of the table.

    Attributes:
        strategy: "describe", "reason" or "other".
        label: "observational" or "inferential".
        num_completions: How many completions chose this strategy on this type.
        accuracy: Share of them whose set of letters is exactly right.
        share: Share of the type's completions that chose this strategy.
    """

    strategy: str
    label: str
    num_completions: int
    accuracy: float
    share: float


def measure_strategies(
    model: "Qwen2_5_VLForConditionalGeneration",
    processor: "Qwen2_5_VLProcessor",
    scenes: Sequence[PretrainScene],
    *,
    questions_per_scene: int = 4,
    num_generations: int = 2,
    seed: int = 0,
) -> list[StrategyRow]:
    """Sample completions at temperature 1 and grade them per strategy and question type."""
    items = [
        (scene, question) for scene in scenes for question in scene.questions[:questions_per_scene]
    ]
    scores: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for start in range(0, len(items), _BATCH_PROMPTS):
        batch = items[start : start + _BATCH_PROMPTS]
        prompts = [
            _prompt(processor, scene, question_example(scene.scene, question, "reason").problem)
            for scene, question in batch
        ]
        with torch.no_grad():
            rollout = generate(
                model,
                processor,
                collate_prompts(prompts, processor.tokenizer.pad_token_id),
                SamplingSettings(max_completion_tokens=_MAX_COMPLETION_TOKENS, temperature=1.0),
                num_generations,
                generator_seed=seed + start,
            )
        for i, text in enumerate(rollout.texts):
            question = batch[i // num_generations][1]
            label = "observational" if question.observational else "inferential"
            right = grade(text, option_letters(question.gold), len(question.gold)).strict
            scores[classify_strategy(text) or "other", label].append(bool(right))
    totals = {
        label: sum(len(v) for (_, other), v in scores.items() if other == label)
        for _, label in scores
    }
    return [
        StrategyRow(
            strategy, label, len(rights), sum(rights) / len(rights), len(rights) / totals[label]
        )
        for (strategy, label), rights in sorted(scores.items())
    ]


def as_json(rows: Sequence[StrategyRow]) -> list[dict[str, object]]:
    """The table as JSON values."""
    return [asdict(row) for row in rows]


def _prompt(processor: "Qwen2_5_VLProcessor", scene: PretrainScene, problem: str) -> PromptInputs:
    clip = Clip(
        frames_FCHW=scene.frames_FCHW,
        timestamps_s=tuple(i / FRAMES_PER_S for i in FRAME_INDICES),
        source_fps=float(FRAMES_PER_S),
        num_source_frames=NUM_FRAMES,
        decoder="none",
        source_indices=FRAME_INDICES,
    )
    return prepare_prompt(processor, problem, clip, "mini")
