"""Sample G completions for each prompt, computing each prompt once: the shared engine.

The reference engine runs all B·G copies of a prompt through the language model; a video prompt is
thousands of tokens, so that is most of its work. Here the B prompts are computed once and without
padding, and the completions branch off from their keys and values, which are never repeated
(`vtk.models.branches`). Rows that have ended leave the batch. Token by token the result is that of
`vtk.rollout.generate.generate`.

Shape letters: B prompts, G completions per prompt, N = B·G rows in prompt-major order, M rows that
still go on, P prompt tokens, T tokens so far, V vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from vtk.models.branches import Branches, PromptStates
from vtk.models.shared_prefix import prompts_layout, use_shared_prefix
from vtk.models.static_branches import StaticBranches
from vtk.rollout.embeddings import prompt_embeddings, prompt_positions
from vtk.rollout.generate import (
    Rollout,
    SamplingSettings,
    Seeds,
    ShouldStop,
    base_model,
    build_rollout,
    end_token_ids,
    raise_if_asked,
    sampling_mode,
    seeded,
)
from vtk.rollout.prompts import PromptInputs
from vtk.rollout.recorded import RecordedStep

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLProcessor

MIN_LIVE_FRAC = 0.75
"""Ended rows are taken out, which copies the others' states, once fewer than this share goes on."""


@dataclass(frozen=True, slots=True)
class Part:
    """Where rows lie among those that one seed draws for, so that they get their own numbers.

    Attributes:
        first: place of the first row.
        num_rows: rows that the seed draws for: the whole batch's, or with a seed a prompt its G.
    """

    first: int
    num_rows: int


def generate_shared(
    model: Any,
    processor: "Qwen2_5_VLProcessor",
    prompts: PromptInputs,
    sampling: SamplingSettings,
    num_generations: int,
    generator_seed: Seeds,
    should_stop: ShouldStop = lambda: False,
    part: Part | None = None,
    *,
    is_static: bool = False,
) -> Rollout:
    """Sample completions; arguments, result and errors are those of the reference engine.

    Args:
        model: a Qwen2.5-VL model, bare or with adapters; the active adapter is sampled from.
        processor: gives the tokenizer.
        prompts: B prompts, padded on the left.
        sampling: how tokens are drawn.
        num_generations: G, completions per prompt.
        generator_seed: as in the reference engine.
        should_stop: asked after every token.
        part: these completions are a part of what a seed draws for, and drawn as if all were.
        is_static: decode in tensors of fixed shape, so that a GPU records a step and replays it.

    Raises:
        Interrupted: ``should_stop`` said yes.
    """
    base = base_model(model)
    end_ids = end_token_ids(base, processor)
    num_branches = 1 if sampling.is_greedy else num_generations
    inputs = prompts.to(base.device)
    noise = _Noise.of(generator_seed, prompts.num_prompts, num_branches, base.device, part)
    batch_seed = generator_seed if isinstance(generator_seed, int) else None
    with torch.no_grad(), sampling_mode(base), seeded(batch_seed, base.device):
        states = StaticBranches if is_static else Branches
        batch = _prefill(base, inputs, num_branches, sampling.max_completion_tokens, states)
        rows, logps = _decode(base, batch, sampling, end_ids, noise, should_stop)
    if sampling.is_greedy:
        rows = [row for row in rows for _ in range(num_generations)]
        logps = [row for row in logps for _ in range(num_generations)]
    return build_rollout(rows, end_ids, processor, logps)


@dataclass(frozen=True)
class _Noise:
    """Where the noise of a draw comes from.

    It is always drawn for all N rows, so that a row's tokens do not depend on which others ended;
    with a stream a prompt they do not depend on the other prompts of the batch either.

    Attributes:
        streams: generators, None for torch's own, and the number of rows that each draws for.
        first: place of the batch's first row among these rows.
    """

    streams: tuple[tuple[torch.Generator | None, int], ...]
    first: int

    @classmethod
    def of(
        cls,
        seeds: Seeds,
        num_prompts: int,
        num_branches: int,
        device: torch.device,
        part: Part | None,
    ) -> "_Noise":
        first = 0 if part is None else part.first
        if seeds is None or isinstance(seeds, int):
            num_rows = num_prompts * num_branches if part is None else part.num_rows
            return cls(((None, num_rows),), first)
        generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        num_rows = num_branches if part is None else part.num_rows
        return cls(tuple((generator, num_rows) for generator in generators), first)

    def draw(self, like_MV: Tensor) -> Tensor:
        """Exponential noise for all rows, as (N, V)."""
        size_V, device = like_MV.shape[1], like_MV.device
        return torch.cat(
            [
                torch.empty(num_rows, size_V, device=device).exponential_(generator=generator)
                for generator, num_rows in self.streams
            ]
        )


@dataclass
class _Branches:
    """The rows that still go on.

    Attributes:
        row_M: which of the N rows each one is.
        ids_MT: prompt and completion so far; the repetition penalty looks at them.
        position_M: M-RoPE position of the next token, the same in all three axes.
        logits_MV: of the next token.
        states: keys and values of all tokens so far.
    """

    row_M: Tensor
    ids_MT: Tensor
    position_M: Tensor
    logits_MV: Tensor
    states: Branches

    def keep(self, index: Tensor) -> None:
        """Drop every row that is not in ``index``."""
        for name in ("row_M", "ids_MT", "position_M", "logits_MV"):
            setattr(self, name, getattr(self, name)[index])
        self.states.keep(index)


def _prefill(
    model: Any,
    prompts: PromptInputs,
    num_branches: int,
    max_completion_tokens: int,
    make_states: type[Branches],
) -> _Branches:
    """Compute the prompts once, packed, and branch them."""
    language, lengths = model.model.language_model, prompts.prompt_lengths_tokens
    use_shared_prefix(language)
    is_prompt_BP = prompts.attention_mask_1P.bool()
    positions_3BP, next_B = prompt_positions(model, prompts)
    states = PromptStates()
    output = language(
        inputs_embeds=prompt_embeddings(model, prompts)[is_prompt_BP].unsqueeze(0),
        attention_mask={"full_attention": prompts_layout(lengths, model.device)},
        position_ids=positions_3BP[:, is_prompt_BP].unsqueeze(1),
        past_key_values=states,
        use_cache=True,
    )
    last_B = torch.tensor(lengths, device=model.device).cumsum(0) - 1
    logits_BV = model.get_output_embeddings()(output.last_hidden_state[0, last_B])

    def branch(tensor: Tensor) -> Tensor:
        return tensor.repeat_interleave(num_branches, dim=0)

    return _Branches(
        row_M=torch.arange(prompts.num_prompts * num_branches, device=model.device),
        ids_MT=branch(prompts.input_ids_1P),
        position_M=branch(next_B),
        logits_MV=branch(logits_BV),
        states=make_states(states, lengths, num_branches, max_completion_tokens),
    )


def _decode(
    model: Any,
    batch: _Branches,
    sampling: SamplingSettings,
    end_ids: frozenset[int],
    noise: _Noise,
    should_stop: ShouldStop,
) -> tuple[list[list[int]], list[list[float]]]:
    """Draw until every row has ended or is at the length bound: N rows of ids, N of logps."""
    processors, forward = _logits_processors(sampling), _step(model, batch.states)
    ends = torch.tensor(sorted(end_ids), device=model.device)
    num_rows = batch.row_M.shape[0]
    ids_NL = ends[:1].repeat(num_rows, sampling.max_completion_tokens)
    logps_NL = torch.zeros(ids_NL.shape, device=model.device)
    ended_N = torch.zeros(num_rows, dtype=torch.bool, device=model.device)
    for step in range(sampling.max_completion_tokens):
        token_M = _draw(batch, processors, sampling.is_greedy, noise)
        ids_NL[batch.row_M, step] = token_M
        logps_MV = (batch.logits_MV.float() / (sampling.temperature or 1.0)).log_softmax(dim=-1)
        logps_NL[batch.row_M, step] = logps_MV.gather(1, token_M[:, None]).squeeze(1)
        ended_N[batch.row_M] |= torch.isin(token_M, ends)
        raise_if_asked(should_stop)
        live_M = ~ended_N[batch.row_M]
        num_live = int(live_M.sum())
        if num_live == 0 or step + 1 == sampling.max_completion_tokens:
            break
        if num_live < MIN_LIVE_FRAC * live_M.shape[0]:
            index = live_M.nonzero().flatten()
            batch.keep(index)
            token_M = token_M[index]
        batch.ids_MT = torch.cat([batch.ids_MT, token_M[:, None]], dim=1)
        batch.logits_MV = forward(token_M, batch.position_M)
        batch.position_M = batch.position_M + 1
        batch.states.advance()
    return ids_NL[:, : step + 1].tolist(), logps_NL[:, : step + 1].tolist()


def _draw(
    batch: _Branches, processors: LogitsProcessorList, is_greedy: bool, noise: _Noise
) -> Tensor:
    """The next token of each row."""
    ids_MT = cast(torch.LongTensor, batch.ids_MT)
    scores_MV = processors(ids_MT, batch.logits_MV.float())
    if is_greedy:
        return scores_MV.argmax(dim=-1)
    noise_NV = noise.draw(scores_MV)
    return (scores_MV.softmax(dim=-1) / noise_NV[noise.first + batch.row_M]).argmax(dim=-1)


def _step(model: Any, states: Branches) -> Callable[[Tensor, Tensor], Tensor]:
    """The model's answer to one new token a row; the states then hold it."""

    def compute(token_M: Tensor, position_M: Tensor) -> Tensor:
        output = model.model.language_model(
            input_ids=token_M[:, None],
            attention_mask={"full_attention": states},
            position_ids=position_M[None, :, None].expand(3, -1, -1),
            past_key_values=states,
            use_cache=True,
        )
        logits: Tensor = model.get_output_embeddings()(output.last_hidden_state[:, -1])
        return logits

    if not isinstance(states, StaticBranches):
        return compute
    recorded = RecordedStep(compute)
    return lambda token_M, position_M: recorded(
        token_M, position_M, key=(len(token_M), states.window)
    )


def _logits_processors(sampling: SamplingSettings) -> LogitsProcessorList:
    """The library's own processors in its own order; a setting that is off adds none."""
    processors = LogitsProcessorList()
    if sampling.repetition_penalty != 1:
        processors.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    if sampling.is_greedy:
        return processors
    if sampling.temperature != 1:
        processors.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k > 0:
        processors.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        processors.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p > 0:
        processors.append(MinPLogitsWarper(sampling.min_p))
    return processors
