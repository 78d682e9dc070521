"""Attention of packed sequences and branches, against one dense softmax with an explicit mask."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vtk.errors import ConfigError
from vtk.models.branches import Branches, PromptStates
from vtk.models.shared_prefix import (
    PackedLayout,
    packed_attention,
    packed_layout,
    prompts_layout,
    use_shared_prefix,
)
from vtk.models.static_branches import StaticBranches
from vtk.models.tiny import build_tiny_model

NUM_HEADS, NUM_KV, HEAD_SIZE, SCALE = 4, 2, 8, 0.3


def _mask_of(lengths: list[int]) -> Tensor:
    return (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).long()


def _states(num_heads: int, num_tokens: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, num_heads, num_tokens, HEAD_SIZE, generator=generator)


def _dense(query: Tensor, key: Tensor, value: Tensor, may_see_TT: Tensor) -> Tensor:
    group = NUM_HEADS // NUM_KV
    key, value = (states.repeat_interleave(group, dim=1) for states in (key, value))
    scores = (query @ key.transpose(2, 3) * SCALE).masked_fill(~may_see_TT, -torch.inf)
    return (scores.softmax(dim=-1) @ value).transpose(1, 2)


def _may_see(prompt_lengths: list[int], completion_lengths: list[int]) -> Tensor:
    """Token i of the packed sequence may see token j: written token by token from the rule."""
    owner: list[tuple[int, int | None]] = []
    for prompt, length in enumerate(prompt_lengths):
        owner += [(prompt, None)] * length
    group = len(completion_lengths) // len(prompt_lengths)
    for row, length in enumerate(completion_lengths):
        owner += [(row // group, row)] * length
    rows = [
        [
            j <= i and theirs[0] == mine[0] and theirs[1] in (None, mine[1])
            for j, theirs in enumerate(owner)
        ]
        for i, mine in enumerate(owner)
    ]
    return torch.tensor(rows)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_packed_attention_is_dense_attention_under_the_rule(data: st.DataObject) -> None:
    prompt_lengths = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=3))
    num_rows = len(prompt_lengths) * data.draw(st.integers(1, 4))
    lengths = data.draw(st.lists(st.integers(1, 6), min_size=num_rows, max_size=num_rows))
    layout = packed_layout(prompt_lengths, _mask_of(lengths))
    num_tokens = sum(prompt_lengths) + sum(lengths)
    query, key, value = (
        _states(heads, num_tokens, seed).requires_grad_()
        for seed, heads in enumerate((NUM_HEADS, NUM_KV, NUM_KV))
    )
    packed = packed_attention(query, key, value, layout, SCALE)
    dense = _dense(query, key, value, _may_see(prompt_lengths, lengths))
    torch.testing.assert_close(packed, dense, rtol=0, atol=1e-5)
    weights = torch.linspace(-1, 1, packed.numel()).view_as(packed)
    gradients = [
        torch.autograd.grad((found * weights).sum(), (query, key, value))
        for found in (packed, dense)
    ]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_the_token_before_a_completion_is_its_prompts_last() -> None:
    layout = packed_layout([3, 2], _mask_of([2, 1, 1, 3]))
    #                tokens: 0 1 2 | 3 4 || 5 6 | 7 | 8 | 9 10 11
    assert layout.num_prompt_tokens == 5
    assert layout.previous_index.tolist() == [2, 5, 2, 4, 4, 9, 10]


def test_prompts_alone_are_causal() -> None:
    query, key, value = (_states(heads, 5, heads) for heads in (NUM_HEADS, NUM_KV, NUM_KV))
    layout = prompts_layout([2, 3], query.device)
    packed = packed_attention(query, key, value, layout, SCALE)
    torch.testing.assert_close(packed, _dense(query, key, value, _may_see([2, 3], [])))


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_branches_see_their_prompt_and_themselves(data: st.DataObject) -> None:
    """Token by token, rows leaving on the way, each row equals a sequence of its own."""
    prompt_lengths = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    group, num_tokens = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))
    prompts = PromptStates()
    prompt_key, prompt_value = (_states(NUM_KV, sum(prompt_lengths), seed) for seed in (1, 2))
    prompts.update(prompt_key, prompt_value, 0)
    make = data.draw(st.sampled_from([Branches, StaticBranches]))
    branches = make(prompts, prompt_lengths, group, num_tokens)
    num_rows = len(prompt_lengths) * group
    generator = torch.Generator().manual_seed(3)
    shape = (num_rows, num_tokens, HEAD_SIZE)
    own_key, own_value = (torch.randn(NUM_KV, *shape, generator=generator) for _ in range(2))
    query = torch.randn(NUM_HEADS, *shape, generator=generator)
    starts = [0, *torch.tensor(prompt_lengths).cumsum(0).tolist()]
    live = list(range(num_rows))
    for step in range(num_tokens):
        new_key, new_value = (
            states[:, live, step].transpose(0, 1).unsqueeze(2) for states in (own_key, own_value)
        )
        keys, values = branches.update(new_key, new_value, 0)
        asked = query[:, live, step].transpose(0, 1).unsqueeze(2)
        found = branches.attend(asked, keys, values, 0, SCALE)
        for place, row in enumerate(live):
            own = slice(starts[row // group], starts[row // group + 1])
            key, value = (
                torch.cat([states[0, :, own], mine[:, row, : step + 1]], dim=1).unsqueeze(0)
                for states, mine in ((prompt_key, own_key), (prompt_value, own_value))
            )
            everything = torch.ones(1, key.shape[2], dtype=torch.bool)
            alone = _dense(asked[place : place + 1], key, value, everything)
            torch.testing.assert_close(found[place : place + 1], alone, rtol=0, atol=1e-5)
        branches.advance()
        if len(live) > 1 and data.draw(st.booleans()):
            left = data.draw(st.integers(0, len(live) - 1))
            index = torch.tensor([place for place in range(len(live)) if place != left])
            branches.keep(index)
            live.pop(left)


def test_layers_must_come_in_order() -> None:
    key = _states(NUM_KV, 2, 0)
    with pytest.raises(ValueError, match="layer 1 came after 0"):
        PromptStates().update(key, key, 1)


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
def test_other_calls_keep_their_kernel_and_results(kernel: str, tmp_path: Any) -> None:
    model, _ = build_tiny_model(seed=0)
    model.set_attn_implementation(kernel)
    ids = torch.randint(20, 250, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model(input_ids=ids).logits
        use_shared_prefix(model.model.language_model)
        use_shared_prefix(model.model.language_model)
        assert torch.equal(model(input_ids=ids).logits, before)
    assert model.model.visual.config._attn_implementation == kernel
    model.save_pretrained(tmp_path)
    assert "shared_prefix" not in (tmp_path / "config.json").read_text()


def test_dropout_is_refused() -> None:
    model, _ = build_tiny_model(seed=0)
    language: Any = model.model.language_model
    use_shared_prefix(language)
    language.config.attention_dropout = 0.5
    for layer in language.layers:
        layer.self_attn.attention_dropout = 0.5
    language.train()
    layout: PackedLayout = prompts_layout([3], torch.device("cpu"))
    with pytest.raises(ConfigError, match="no attention dropout"):
        language(
            inputs_embeds=torch.zeros(1, 3, language.config.hidden_size),
            position_ids=torch.arange(3).view(1, 1, 3).expand(3, 1, 3),
            attention_mask={"full_attention": layout},
        )
