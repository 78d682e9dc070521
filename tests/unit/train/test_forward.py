"""The scored forward: it sees the clip, and sharing, batching and padding change nothing."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from vtk.models.tiny import build_tiny_model
from vtk.rollout.embeddings import prompt_embeddings, prompt_positions
from vtk.rollout.prompts import PromptInputs, collate_prompts, prepare_prompt
from vtk.train.forward import (
    ScoringBatch,
    TokenScores,
    install_scoring,
    pad_completions,
    score_completions,
    score_packed,
    score_repeated,
)
from vtk.video.frames import Clip

NUM_FRAMES, HEIGHT_PX, WIDTH_PX = 4, 56, 84
SCORERS = [score_packed, score_repeated]


def _clip(seed: int) -> Clip:
    generator = torch.Generator().manual_seed(seed)
    shape = (NUM_FRAMES, 3, HEIGHT_PX, WIDTH_PX)
    frames_FCHW = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    times_s, indices = (0.0, 1.6, 3.2, 4.8), (0, 40, 80, 120)
    return Clip(frames_FCHW, times_s, 25.0, 128, "none", indices)


class _World:
    """Random weights of the tiny architecture, and prompts of different lengths about clips."""

    def __init__(self) -> None:
        model, self.processor = build_tiny_model(seed=0)
        self.model: Any = model
        self.pad_id = self.processor.tokenizer.pad_token_id

    def prompt(self, clip_seed: int, problem: str = "What will happen?\nA. this\nB. that") -> Any:
        return prepare_prompt(self.processor, problem, _clip(clip_seed), "mini")

    def batch(self, prompts: list[PromptInputs], completions: list[list[int]]) -> ScoringBatch:
        ids_NL, mask_NL = pad_completions(completions, [], self.pad_id)
        return ScoringBatch(collate_prompts(prompts, self.pad_id), ids_NL, mask_NL)


@pytest.fixture(scope="module")
def world() -> _World:
    return _World()


@pytest.fixture(autouse=True)
def _no_gradients_left(world: _World) -> Iterator[None]:
    yield
    world.model.zero_grad()


def _completions(num: int, seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, 7, (num,), generator=generator).tolist()
    return [torch.randint(20, 500, (n,), generator=generator).tolist() for n in lengths]


def _gradients(world: _World, scores: TokenScores, weights_N: Tensor) -> dict[str, Tensor]:
    world.model.zero_grad()
    loss = (scores.logps_NL.sum(dim=1) * weights_N).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    grads = {name: p.grad for name, p in world.model.named_parameters()}
    return {name: grad.clone() for name, grad in grads.items() if grad is not None}


def _relative_gap(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    assert a.keys() == b.keys()
    worst = max(grad.norm().item() for grad in a.values())
    return float(max((a[k] - b[k]).norm().item() for k in a) / worst)


@pytest.mark.parametrize("score", SCORERS)
def test_proof_of_pixels(world: _World, score: Callable[..., TokenScores]) -> None:
    """Another clip changes every token's log-probability; the same clip changes none."""
    completions = _completions(2)
    with torch.no_grad():
        first, same, other = (
            score(world.model, world.batch([world.prompt(seed)], completions)).logps_NL
            for seed in (1, 1, 2)
        )
    mask_NL = pad_completions(completions, [], 0)[1].bool()
    assert torch.equal(first, same)
    assert ((first - other).abs()[mask_NL] > 0).all()


def test_shuffled_frames_change_the_scores(world: _World) -> None:
    clip = _clip(1)
    backward = Clip(
        clip.frames_FCHW.flip(0), clip.timestamps_s, 25.0, 128, "none", clip.source_indices
    )
    batches = [
        world.batch([prepare_prompt(world.processor, "Q\nA. a", c, "mini")], _completions(1))
        for c in (clip, backward)
    ]
    with torch.no_grad():
        scores = [score_completions(world.model, batch).logps_NL for batch in batches]
    assert (scores[0] - scores[1]).abs().max() > 0


def test_the_tower_gets_a_gradient_through_the_completions(world: _World) -> None:
    scores = score_completions(world.model, world.batch([world.prompt(1)], _completions(2)))
    grads = _gradients(world, scores, torch.ones(2))
    tower = [grad.norm().item() for name, grad in grads.items() if ".visual." in name]
    assert tower
    assert min(tower) > 0


def test_sharing_the_prompt_equals_repeating_it(world: _World) -> None:
    prompts = [world.prompt(1), world.prompt(2, "A longer question this time?\nA. x\nB. y\nC. z")]
    batch = world.batch(prompts, _completions(6))
    weights_N = torch.linspace(-1, 1, 6)
    shared, repeated = (score(world.model, batch) for score in SCORERS)
    torch.testing.assert_close(shared.logps_NL, repeated.logps_NL, rtol=0, atol=1e-5)
    torch.testing.assert_close(shared.entropies_NL, repeated.entropies_NL, rtol=0, atol=1e-5)
    grads = [_gradients(world, scores, weights_N) for scores in (shared, repeated)]
    assert _relative_gap(*grads) < 1e-5


@pytest.mark.parametrize("score", SCORERS)
def test_four_prompts_at_once_equal_four_alone(
    world: _World, score: Callable[..., TokenScores]
) -> None:
    """1×4 equals 4×1 in log-probabilities, loss and gradient, with padding on both sides."""
    problems = ["Q?\nA. a", "Which?\nA. a\nB. b", "What will happen now?\nA. a\nB. b", "Why?\nA. z"]
    prompts = [world.prompt(seed, problem) for seed, problem in enumerate(problems)]
    completions, weights_N = _completions(8), torch.linspace(-1, 1, 8)
    together = score(world.model, world.batch(prompts, completions))
    together_grads = _gradients(world, together, weights_N)
    world.model.zero_grad()
    alone_logps, loss = [], 0.0
    for i, prompt in enumerate(prompts):
        rows = slice(2 * i, 2 * i + 2)
        scores = score(world.model, world.batch([prompt], completions[rows]))
        part = (scores.logps_NL.sum(dim=1) * weights_N[rows]).sum() / 8
        part.backward()  # type: ignore[no-untyped-call]
        loss += part.item()
        alone_logps += [
            row[: len(c)] for row, c in zip(scores.logps_NL, completions[rows], strict=True)
        ]
    alone_grads = {n: p.grad for n, p in world.model.named_parameters() if p.grad is not None}
    for row, alone in zip(together.logps_NL, alone_logps, strict=True):
        torch.testing.assert_close(row[: len(alone)], alone, rtol=0, atol=1e-5)
    assert loss == pytest.approx((together.logps_NL.sum(dim=1) * weights_N).mean().item(), abs=1e-5)
    assert _relative_gap(together_grads, alone_grads) < 1e-5


def test_equals_the_models_own_forward(world: _World) -> None:
    """One unpadded sequence through the library's forward, positions and vision left to it."""
    prompt, completion = world.prompt(3), _completions(1)[0]
    batch = world.batch([prompt], [completion])
    with torch.no_grad():
        inputs = prompt.model_inputs()
        tail_1L = batch.completion_ids_NL
        inputs["input_ids"] = torch.cat([inputs["input_ids"], tail_1L], dim=1)
        for name, value in (("attention_mask", 1), ("mm_token_type_ids", 0)):
            inputs[name] = torch.cat([inputs[name], torch.full_like(tail_1L, value)], dim=1)
        world.model.model.rope_deltas = None
        logits_LV = world.model(**inputs).logits[0, -len(completion) - 1 : -1]
        expected = logits_LV.log_softmax(-1).gather(1, tail_1L[0].unsqueeze(1)).squeeze(1)
        scored = score_completions(world.model, batch)
    torch.testing.assert_close(scored.logps_NL[0], expected, rtol=0, atol=1e-5)
    entropy = -(logits_LV.softmax(-1) * logits_LV.log_softmax(-1)).sum(-1)
    torch.testing.assert_close(scored.entropies_NL[0], entropy, rtol=0, atol=1e-5)


def test_scores_are_those_of_the_librarys_generation(world: _World) -> None:
    """Token by token with a cache, or all at once: same positions, so same log-probabilities."""
    batch = collate_prompts([world.prompt(1), world.prompt(2, "Longer?\nA. a\nB. b")], world.pad_id)
    with torch.no_grad():
        generated = world.model.generate(
            **batch.model_inputs(),
            max_new_tokens=6,
            do_sample=False,
            eos_token_id=-1,
            output_logits=True,
            return_dict_in_generate=True,
        )
        tokens_NL = generated.sequences[:, batch.input_ids_1P.shape[1] :]
        ids_NL, mask_NL = pad_completions(tokens_NL.tolist(), [], world.pad_id)
        scored = score_completions(world.model, ScoringBatch(batch, ids_NL, mask_NL))
    logps_NLV = torch.stack(generated.logits, dim=1).log_softmax(dim=-1)
    expected_NL = logps_NLV.gather(2, tokens_NL.unsqueeze(2)).squeeze(2)
    torch.testing.assert_close(scored.logps_NL, expected_NL, rtol=0, atol=1e-5)


def test_temporal_positions_do_not_collapse(world: _World) -> None:
    prompt = world.prompt(1)
    positions_31P, next_1 = prompt_positions(world.model, prompt)
    times = positions_31P[0, 0][prompt.mm_token_type_ids[0] != 0]
    assert len(set(times.tolist())) == NUM_FRAMES // 2
    assert next_1.item() == positions_31P.max().item() + 1


def test_sliced_head_equals_whole_head(world: _World, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, weights_N = world.batch([world.prompt(1)], _completions(4)), torch.linspace(-1, 1, 4)
    whole = score_completions(world.model, batch)
    whole_grads = _gradients(world, whole, weights_N)
    monkeypatch.setattr("vtk.train.forward.MAX_LOGITS_ELEMENTS", 3 * 512)
    sliced = score_completions(world.model, batch)
    torch.testing.assert_close(sliced.logps_NL, whole.logps_NL, rtol=0, atol=1e-5)
    assert _relative_gap(_gradients(world, sliced, weights_N), whole_grads) < 1e-5


def test_gradient_checkpointing_changes_no_score(world: _World) -> None:
    batch, weights_N = world.batch([world.prompt(1)], _completions(4)), torch.linspace(-1, 1, 4)
    world.model.train()
    try:
        plain = score_completions(world.model, batch)
        plain_grads = _gradients(world, plain, weights_N)
        world.model.activation_checkpointing_enable()
        recomputed = score_completions(world.model, batch)
        grads = _gradients(world, recomputed, weights_N)
    finally:
        world.model.activation_checkpointing_disable()
        world.model.eval()
    torch.testing.assert_close(recomputed.logps_NL, plain.logps_NL, rtol=0, atol=1e-5)
    assert _relative_gap(grads, plain_grads) < 1e-5


def test_temperature_divides_the_logits(world: _World) -> None:
    batch = world.batch([world.prompt(1)], _completions(2))
    with torch.no_grad():
        cold, warm = (score_completions(world.model, batch, t).entropies_NL for t in (0.5, 2.0))
    assert cold.sum() < warm.sum()


def test_every_eos_id_ends_a_completion() -> None:
    ids_NL, mask_NL = pad_completions([[5, 2, 9], [5, 0, 9], [5, 6, 7, 8]], [2, 0], pad_id=1)
    assert ids_NL.tolist() == [[5, 2, 1, 1], [5, 0, 1, 1], [5, 6, 7, 8]]
    assert mask_NL.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]


def test_a_cut_prompt_is_refused(world: _World) -> None:
    prompt = world.prompt(1)
    names = ("input_ids_1P", "attention_mask_1P", "mm_token_type_ids")
    cut = replace(prompt, **{name: getattr(prompt, name)[:, 12:] for name in names})
    with pytest.raises(ValueError, match="placeholders"):
        prompt_embeddings(world.model, cut)


def test_installed_scoring_leaves_other_calls_alone(world: _World) -> None:
    original = world.model.forward
    batch = world.batch([world.prompt(1)], _completions(2))
    with torch.no_grad():
        logits = world.model(**batch.prompts.model_inputs()).logits
        expected = score_completions(world.model, batch).logps_NL
        try:
            install_scoring(world.model, temperature=1.0)
            assert torch.equal(world.model(**batch.prompts.model_inputs()).logits, logits)
            assert torch.equal(world.model(scoring=batch).logps_NL, expected)
        finally:
            world.model.forward = original
