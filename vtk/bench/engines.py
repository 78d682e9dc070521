"""The engines that are compared, each as the same four computations.

published: everything G times over, as published. reference: the library's own generate and forward,
with one vision pass and completion log-probabilities only. shared: each prompt once. static:
likewise, decoding in fixed shapes, which pays where a GPU records a step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from vtk.bench.published import published_logps, published_rollout
from vtk.bench.workload import Workload
from vtk.rollout import engines as rollout_engines
from vtk.rollout.embeddings import video_features
from vtk.rollout.generate import Rollout, SamplingSettings
from vtk.rollout.prompts import PromptInputs
from vtk.train.forward import ScoringBatch, score_completions

ENGINES = ("published", "reference", "shared")
ALL_ENGINES = (*ENGINES, "static")


@dataclass(frozen=True)
class Engine:
    """One engine on one workload.

    Attributes:
        name: One of `ALL_ENGINES`.
        model: The policy, which also stands for the reference model.
        batch: Prompts, and completions to score.
        workload: The sizes.
    """

    name: str
    model: Any
    batch: ScoringBatch
    workload: Workload

    def prefill(self) -> object:
        """The rollout's first token: prompts and clips through the model."""
        return self.sample(1)

    def rollout(self) -> object:
        """N completions of full length."""
        return self.sample(self.workload.completion_length)

    def score(self) -> Tensor:
        """A reference model's log-probabilities, (N, L)."""
        with torch.no_grad():
            return self.logps()

    def update(self) -> None:
        """Log-probabilities with gradient, and their backward pass."""
        self.model.zero_grad(set_to_none=True)
        loss = -(self.logps() * self.batch.completion_mask_NL).sum(dim=1).mean()
        loss.backward()  # type: ignore[no-untyped-call]

    def step(self) -> None:
        """Rollout, reference pass and update: one CDPO step without optimizer."""
        self.rollout()
        self.score()
        self.update()

    @property
    def parts(self) -> dict[str, Callable[[], object]]:
        """What is timed."""
        names = ("prefill", "rollout", "score", "update", "step")
        return {name: getattr(self, name) for name in names}

    def logps(self) -> Tensor:
        """Log-probabilities of the completions, (N, L), with gradient where it is enabled."""
        if self.name == "published":
            return published_logps(self.model, self.batch)
        return score_completions(self.model, self.batch, engine=self.name).logps_NL

    def sample(self, num_tokens: int) -> object:
        """Exactly `num_tokens` tokens for each row."""
        prompts, group = self.batch.prompts, self.batch.num_generations
        if self.name == "published":
            return published_rollout(self.model, prompts, group, num_tokens)
        return rollout(self.name, self.model, prompts, SamplingSettings(num_tokens), group)

    def greedy(self, num_tokens: int) -> list[list[int]]:
        """The likeliest tokens after each prompt."""
        prompts = self.batch.prompts
        if self.name == "published":
            ids_NT = published_rollout(self.model, prompts, 1, num_tokens, is_greedy=True)
            found: list[list[int]] = ids_NT[:, prompts.input_ids_1P.shape[1] :].tolist()
            return found
        sampling = SamplingSettings(num_tokens, temperature=0.0)
        return rollout(self.name, self.model, prompts, sampling, 1).completion_ids


class _Wordless:
    """Stands for a tokenizer: ids without words, and none that ends a text."""

    eos_token_id = None
    pad_token_id = 0

    def batch_decode(self, rows: Sequence[Sequence[int]], **_: Any) -> list[str]:
        """One empty text a row."""
        return [""] * len(rows)


def rollout(
    engine: str, model: Any, prompts: PromptInputs, sampling: SamplingSettings, num_generations: int
) -> Rollout:
    """Completions of full length by one of vtk's own engines."""
    draw = rollout_engines.ENGINES[engine]
    processor: Any = SimpleNamespace(tokenizer=_Wordless())
    return draw(model, processor, prompts, sampling, num_generations, generator_seed=0)


def make_engine(
    name: str, model: Any, batch: ScoringBatch, workload: Workload, is_tower_trained: bool
) -> Engine:
    """An engine on a batch; one that can use a frozen tower's features gets and keeps them."""
    if name in ("shared", "static") and not is_tower_trained:
        batch = replace(batch, prompts=with_features(model, batch.prompts))
    return Engine(name, model, batch, workload)


def with_features(model: Any, prompts: PromptInputs) -> PromptInputs:
    """The prompts with their clips' features, computed now."""
    with torch.no_grad():
        return replace(prompts, video_features_VH=video_features(model, prompts))
