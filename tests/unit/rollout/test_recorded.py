"""The static engine: a step that was recorded answers for the tokens after it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from vtk.models.static_branches import FIRST_WINDOW
from vtk.rollout.generate import Rollout, SamplingSettings
from vtk.rollout.prompts import PromptInputs, collate_prompts, prepare_prompt
from vtk.rollout.recorded import RecordedStep
from vtk.rollout.shared import generate_shared
from vtk.video.frames import Clip

Compute = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@pytest.fixture
def batch(tiny: Any, make_clip: Callable[..., Clip]) -> PromptInputs:
    """Two prompts of unequal length."""
    _, processor = tiny
    prompts = [
        prepare_prompt(processor, question, make_clip(seed=seed), "mini")
        for seed, question in enumerate(["What?\nA. red", "Which event will not happen?\nA. none"])
    ]
    return collate_prompts(prompts, processor.tokenizer.pad_token_id)


def _draw(
    tiny: Any, batch: PromptInputs, sampling: SamplingSettings, *, is_static: bool = False
) -> Rollout:
    model, processor = tiny
    return generate_shared(model, processor, batch, sampling, 4, 3, is_static=is_static)


class _Replayed(RecordedStep):
    """Records the operations on tensors, as a CUDA graph does, and runs nothing else after."""

    steps: list[tuple[Any, bool]]

    def __init__(self, compute: Compute) -> None:
        super().__init__(compute)
        self.steps, self._played = [], compute

    def __call__(
        self, token_M: torch.Tensor, position_M: torch.Tensor, key: object
    ) -> torch.Tensor:
        is_new = key != self._key
        self.steps.append((key, is_new))
        if is_new:
            self._key = key
            self._played = make_fx(self._compute)(token_M.clone(), position_M.clone())
        return self._played(token_M, position_M)


def test_a_recording_answers_for_the_tokens_after_it(
    tiny: Any, batch: PromptInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over two windows, and with rows that end and leave the batch."""
    monkeypatch.setattr("vtk.models.static_branches.FIRST_WINDOW", 32)
    sampling = SamplingSettings(48, temperature=3.0)
    expected = _draw(tiny, batch, sampling)
    made: list[_Replayed] = []

    def replayed(compute: Compute) -> _Replayed:
        made.append(_Replayed(compute))
        return made[-1]

    monkeypatch.setattr("vtk.rollout.shared.RecordedStep", replayed)
    found = _draw(tiny, batch, sampling, is_static=True)
    assert found.completion_ids == expected.completion_ids
    keys = [key for key, is_new in made[0].steps if is_new]
    assert {window for _, window in keys} == {32, 48}
    assert len({rows for rows, _ in keys}) > 1
    assert len(keys) < len(made[0].steps) / 5


def test_what_was_decoded_before_does_not_show(tiny: Any, batch: PromptInputs) -> None:
    """A fresh buffer may hold anything; hidden places must not reach the result."""
    once = _draw(tiny, batch, SamplingSettings(8), is_static=True)
    assert torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=True)  # so every new buffer holds NaN
    try:
        again = _draw(tiny, batch, SamplingSettings(8), is_static=True)
    finally:
        torch.use_deterministic_algorithms(False)
    assert again == once


@pytest.mark.gpu
def test_a_cuda_graph_gives_the_same_tokens(tiny: Any, batch: PromptInputs) -> None:
    model, _ = tiny
    sampling = SamplingSettings(FIRST_WINDOW + 20, temperature=0.0)
    try:
        model.to("cuda")
        expected = _draw(tiny, batch, sampling)
        found = _draw(tiny, batch, sampling, is_static=True)
    finally:
        model.to("cpu")
    assert found.completion_ids == expected.completion_ids
