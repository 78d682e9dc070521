"""The arithmetic of a training step, counted from sizes: what no engine can do without.

Two operations per weight and token forward, four more backward, and attention's products. Nothing
is counted twice and nothing recomputed; `vtk bench step` holds the machine's limits against it, and
a run's estimate the machine's usual speed.

Letters: B prompts, G completions per prompt, P prompt tokens, L completion tokens.
"""

from dataclasses import dataclass
from typing import Literal

from vtk.train.model_sizes import ModelSizes

FORWARD, WITH_BACKWARD = 1, 3
Tower = Literal["trained", "frozen", "known"]
"""A trained tower sees each clip when sampling and in the update; a frozen one sees it once; or
its features are there already."""


@dataclass(frozen=True, slots=True)
class StepShape:
    """What one process computes in one step.

    Attributes:
        num_prompts: B.
        num_generations: G.
        num_patches: Of one clip.
        prompt_tokens: P, those of the clip with it.
        completion_tokens: L, of each completion.
    """

    num_prompts: int
    num_generations: int
    num_patches: int
    prompt_tokens: int
    completion_tokens: int

    @property
    def num_completion_tokens(self) -> int:
        """Tokens of all completions."""
        return self.num_prompts * self.num_generations * self.completion_tokens

    @property
    def num_tokens(self) -> int:
        """Tokens of all prompts and completions, each prompt once."""
        return self.num_prompts * self.prompt_tokens + self.num_completion_tokens


def step_flop(sizes: ModelSizes, shape: StepShape, tower: Tower) -> dict[str, float]:
    """Operations of each part of a step.

    Args:
        sizes: The model's.
        shape: The step's.
        tower: What the vision tower computes.

    Returns:
        prefill and decode of the rollout, score (one pass of the reference model, which shares a
        frozen tower's features), and update (forward and backward).
    """
    per_pair = 4.0 * sizes.hidden * sizes.num_layers
    layers, head = 2.0 * sizes.num_layer_weights, 2.0 * sizes.num_head_weights
    prompts, length, prompt = shape.num_prompts, shape.completion_tokens, shape.prompt_tokens
    clips = 2.0 * sizes.num_vision_parameters * shape.num_patches * prompts
    prefill = layers * prompts * prompt + per_pair * prompts * prompt * prompt / 2
    completions = (
        (layers + head) * shape.num_completion_tokens
        + per_pair * shape.num_completion_tokens * (prompt + length / 2)
    )  # fmt: skip
    seen_each_pass = clips if tower == "trained" else 0.0
    return {
        "prefill": prefill + (clips if tower != "known" else 0.0),
        "decode": completions,
        "score": FORWARD * (seen_each_pass + prefill + completions),
        "update": WITH_BACKWARD * (seen_each_pass + prefill + completions),
    }


def weights_read(sizes: ModelSizes, shape: StepShape) -> dict[str, int]:
    """How many weights each part reads at least: in decoding all of them for each token."""
    weights = sizes.num_layer_weights + sizes.num_head_weights
    once = dict.fromkeys(("prefill", "score", "update"), weights)
    return once | {"decode": weights * shape.completion_tokens}
