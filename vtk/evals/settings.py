"""How questions are asked, and the plan that follows from it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from vtk.data.sample import VideoSample
from vtk.errors import ConfigError
from vtk.evals.protocols import RECIPE_PIXELS_PX, SLIP_PIXELS_PX, Protocol
from vtk.evals.record import RowKey
from vtk.rollout.generate import SamplingSettings
from vtk.rollout.prompts import AS_IT_IS, prompt_hash
from vtk.video.frames import FrameSettings

_SLIP: Final = (
    f"max_pixels_px {SLIP_PIXELS_PX} (the slip of the published scripts) "
    f"instead of {RECIPE_PIXELS_PX}"
)
_FIXED_BY_PROTOCOL: Final = (
    "num_frames",
    "fps",
    "min_pixels_px",
    "max_pixels_px",
    "temperature",
    "top_p",
    "max_completion_tokens",
)


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
        clip_patience_s: The longest time that reading one clip may take, in seconds; it decides no
            completion, so rows of another patience mix.
        has_strategies: Whether to note which of clevrer-mini's strategies a completion follows.
        protocol: Asks in its own words and scores by its own rule; None asks by `template` and
            scores by the one grader alone.
    """

    template: str
    frames: FrameSettings
    sampling: SamplingSettings
    batch_size: int = 8
    num_draws: int = 1
    seed: int = 0
    max_prompt_tokens: int | None = None
    engine: str = "shared"
    clip_patience_s: float = 300.0
    has_strategies: bool = False
    protocol: Protocol | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.num_draws < 1:
            raise ConfigError("an evaluation needs a batch size and a number of draws of 1 or more")
        if self.num_draws > 1 and self.sampling.is_greedy:
            raise ConfigError(
                f"{self.num_draws} completions per question at temperature 0 would all be the same",
                "Give a temperature above 0, for example --temperature 1.",
            )

    def as_json(self) -> dict[str, Any]:
        """The settings as plain data, the prompt's words by their hash as well.

        What a suite without protocol does not have is left out, so that its hash stays what it was.
        """
        document = asdict(self) | {"prompt_sha256": self.prompt_sha256}
        del document["frames"]["span_s"]  # each question has its own
        del document["clip_patience_s"]
        if not self.sampling.is_greedy:
            document["seeds"] = "one a question"
        if self.protocol is None:
            del document["protocol"]
            del document["frames"]["rounding"]
        return document

    @property
    def prompt_sha256(self) -> str:
        """sha256 of the prompt's words."""
        if self.protocol is None:
            return prompt_hash(self.template)
        return self.protocol.prompt_sha256()

    def deviations(self) -> list[str]:
        """In what the settings are not those of the protocol: "num_frames 8 instead of 32"."""
        if self.protocol is None:
            return []
        used = asdict(self.frames) | asdict(self.sampling)
        fixed = {name: getattr(self.protocol, name) for name in _FIXED_BY_PROTOCOL}
        found = []
        if self.protocol.max_pixels_px == SLIP_PIXELS_PX:
            if used["max_pixels_px"] == SLIP_PIXELS_PX:
                found.append(_SLIP)
            fixed["max_pixels_px"] = None if found else RECIPE_PIXELS_PX
        if self.protocol.has_own_words:
            found.append(f"a prompt in other words (sha256 {self.prompt_sha256[:12]})")
        return found + [
            f"{name} {used[name]} instead of {value}"
            for name, value in fixed.items()
            if value is not None and used[name] != value
        ]

    def words_of(self, sample: VideoSample) -> tuple[str, str]:
        """What is asked, and the template that it is put into.

        Raises:
            ConfigError: The protocol has no prompt for this kind of question.
        """
        if self.protocol is None:
            return sample.problem, self.template
        return self.protocol.words(sample), AS_IT_IS

    def frames_of(self, sample: VideoSample) -> FrameSettings:
        """What is taken from the clip of one question."""
        is_whole = self.protocol is not None and not self.protocol.crops_clips
        return self.frames if is_whole else replace(self.frames, span_s=sample.span_s)


def plan_rows(samples: Sequence[VideoSample], settings: EvaluationSettings) -> list[RowKey]:
    """Every row that a complete evaluation has, in order: the denominator."""
    return [(sample.sample_id, draw) for sample in samples for draw in range(settings.num_draws)]
