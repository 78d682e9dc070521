"""How questions are asked, and the plan that follows from it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vtk.data.sample import VideoSample
from vtk.errors import ConfigError
from vtk.evals.record import RowKey
from vtk.rollout.generate import SamplingSettings
from vtk.rollout.prompts import prompt_hash
from vtk.video.frames import FrameSettings


@dataclass(frozen=True)
class EvaluationSettings:
    """Everything that decides what is asked and how it is answered, the model apart.

    Attributes:
        template: The prompt's template.
        frames: What is taken from a clip.
        sampling: How completions are drawn; temperature 0 is greedy.
        batch_size: Questions answered at once; padding depends on it, so it is part of the plan.
        num_draws: Completions per question; 1 when greedy.
        seed: Decides the draws.
        max_prompt_tokens: A longer prompt is an error, never cut; None for no bound.
        engine: What makes the completions: "shared" computes a prompt once and a clip's features
            once for all questions about it; "reference" is the library's own generation.
        has_strategies: Whether to note which of clevrer-mini's strategies a completion follows.
    """

    template: str
    frames: FrameSettings
    sampling: SamplingSettings
    batch_size: int = 8
    num_draws: int = 1
    seed: int = 0
    max_prompt_tokens: int | None = None
    engine: str = "shared"
    has_strategies: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.num_draws < 1:
            raise ConfigError("an evaluation needs a batch size and a number of draws of 1 or more")
        if self.num_draws > 1 and self.sampling.is_greedy:
            raise ConfigError(
                f"{self.num_draws} completions per question at temperature 0 would all be the same",
                "Give a temperature above 0, for example --temperature 1.",
            )

    def as_json(self) -> dict[str, Any]:
        """The settings as plain data, the prompt's words by their hash."""
        return asdict(self) | {"prompt_sha256": prompt_hash(self.template)}


def plan_rows(samples: Sequence[VideoSample], settings: EvaluationSettings) -> list[RowKey]:
    """Every row that a complete evaluation has, in order: the denominator."""
    return [(sample.sample_id, draw) for sample in samples for draw in range(settings.num_draws)]
