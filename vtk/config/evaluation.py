"""The section of a configuration that says how a model is judged."""

from typing import Literal

from pydantic import Field

from vtk.config.sections import Section


class EvalSettings(Section):
    """Held-out evaluation: during training, and what `vtk eval` starts from."""

    every_steps: int = Field(
        default=0, ge=0, description="Steps between evaluations during training; 0 is off."
    )
    num_samples: int | None = Field(
        default=200,
        ge=1,
        description="Held-out questions per evaluation during training; none is all. `vtk eval` "
        "asks all, unless its command line says otherwise.",
    )
    backend: Literal["transformers", "vllm"] = Field(
        default="transformers",
        description="What makes the completions of `vtk eval`; a training asks the policy itself.",
    )
    batch_size: int = Field(default=8, ge=1, description="Questions answered at once.")
    max_completion_tokens: int = Field(
        default=768, ge=1, description="Longest completion in tokens."
    )
    temperature: float = Field(default=0.0, ge=0, description="Sampling temperature; 0 is greedy.")
    num_frames: int | None = Field(
        default=None, ge=2, description="Frames per clip; none is as in training."
    )
    max_pixels_px: int | None = Field(
        default=None,
        ge=784,
        description="Greatest width times height of a frame, in pixels; none is as in training.",
    )
    clip_patience_s: float = Field(
        default=300.0,
        gt=0,
        description="Longest time to wait for one clip, in seconds; its questions then count as "
        "wrong until they are asked again.",
    )
    judge_url: str | None = Field(
        default=None,
        description="OpenAI-compatible API of a judge for answers that no rule scores, as in "
        "https://HOST/v1; its key goes into the environment variable VTK_JUDGE_KEY, never in here.",
    )
    judge_model: str | None = Field(
        default=None, min_length=1, max_length=200, description="The judge, as its server calls it."
    )
