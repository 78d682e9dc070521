"""Sample G completions for each prompt with the library's own ``generate``: the reference engine.

Every sampling parameter is set here and the checkpoint's generation config is put aside for the
call, because a checkpoint brings its own: Qwen2.5-VL's temperature is 1e-6, which makes all
completions of a group the same. The caller's random state is untouched when a seed is given.

Shape letters: B prompts, G completions per prompt, N = B·G rows in prompt-major order (the G
completions of the first prompt come first), P prompt tokens, L completion tokens, T = P + L.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from vtk.errors import ConfigError, Interrupted
from vtk.rollout.prompts import PromptInputs

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLProcessor

ShouldStop = Callable[[], bool]
Seeds = int | Sequence[int] | None
"""What decides a draw: one seed for the batch, one a prompt, or the caller's random state."""


@dataclass(frozen=True)
class SamplingSettings:
    """How the next token is drawn.

    Attributes:
        max_completion_tokens: longest completion, in tokens.
        temperature: 0 takes the likeliest token; else the logits are divided by it.
        top_p: draw from the smallest set of tokens with this probability; 1 is off.
        top_k: draw from the k likeliest tokens; 0 is off.
        min_p: drop tokens below this share of the likeliest token's probability; 0 is off.
        repetition_penalty: divides the logits of tokens already used; 1 is off.
    """

    max_completion_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        bounds = {
            "max_completion_tokens": self.max_completion_tokens >= 1,
            "temperature": self.temperature >= 0,
            "top_p": 0 < self.top_p <= 1,
            "top_k": self.top_k >= 0,
            "min_p": 0 <= self.min_p <= 1,
            "repetition_penalty": self.repetition_penalty > 0,
        }
        for name, is_valid in bounds.items():
            if not is_valid:
                raise ConfigError(f"rollout.{name} is {getattr(self, name)}, out of its range")

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature == 0


@dataclass(frozen=True)
class Rollout:
    """Completions of B prompts, N rows in prompt-major order.

    Attributes:
        completion_ids: token ids of each row, up to and including its first end token.
        texts: the same without special tokens.
        truncated: whether the row was cut at the length bound, without an end token.
        logps: log-probability of each drawn token in nats, under the temperature alone; None from
            the engine that does not say.
    """

    completion_ids: list[list[int]]
    texts: list[str]
    truncated: list[bool]
    logps: list[list[float]] | None = field(default=None, compare=False)


def generate(
    model: Any,
    processor: "Qwen2_5_VLProcessor",
    prompts: PromptInputs,
    sampling: SamplingSettings,
    num_generations: int,
    generator_seed: Seeds,
    should_stop: ShouldStop = lambda: False,
) -> Rollout:
    """Sample completions.

    Args:
        model: a Qwen2.5-VL model, bare or with adapters; the active adapter is sampled from.
        processor: gives the tokenizer.
        prompts: B prompts, padded on the left.
        sampling: how tokens are drawn.
        num_generations: G, completions per prompt.
        generator_seed: decides the draw. One seed draws for the batch as a whole; with one a
            prompt the tokens of a prompt are the same whichever others are in the batch, for which
            this engine samples them one after the other. None draws from the caller's random state.
        should_stop: asked after every token.

    Returns:
        B·G completions, prompt-major. At temperature 0 the completions of a prompt are one
        completion G times.

    Raises:
        Interrupted: ``should_stop`` said yes; nothing is returned of the unfinished batch.
    """
    if isinstance(generator_seed, Sequence) and not sampling.is_greedy:
        return _one_by_one(
            model, processor, prompts, sampling, num_generations, generator_seed, should_stop
        )
    batch_seed = generator_seed if isinstance(generator_seed, int) else None
    base = base_model(model)
    end_ids = end_token_ids(base, processor)
    config = _generation_config(sampling, num_generations, end_ids, processor)
    inputs = prompts.to(base.device)
    with (
        torch.no_grad(),
        sampling_mode(base),
        seeded(batch_seed, base.device),
        _own_generation_config(base, config),
    ):
        ids_NT = base.generate(
            **inputs.model_inputs(),
            stopping_criteria=StoppingCriteriaList([_StopWhenAsked(should_stop)]),
        )
    rows = ids_NT[:, inputs.input_ids_1P.shape[1] :].tolist()
    if sampling.is_greedy:
        rows = [row for row in rows for _ in range(num_generations)]
    return build_rollout(rows, end_ids, processor)


def _one_by_one(
    model: Any,
    processor: "Qwen2_5_VLProcessor",
    prompts: PromptInputs,
    sampling: SamplingSettings,
    num_generations: int,
    seeds: Sequence[int],
    should_stop: ShouldStop,
) -> Rollout:
    """Each prompt by its own seed; the library draws for a whole batch at once."""
    parts = [
        generate(model, processor, prompt, sampling, num_generations, seed, should_stop)
        for prompt, seed in zip(prompts.split(), seeds, strict=True)
    ]
    return Rollout(
        completion_ids=[ids for part in parts for ids in part.completion_ids],
        texts=[text for part in parts for text in part.texts],
        truncated=[is_cut for part in parts for is_cut in part.truncated],
    )


def base_model(model: Any) -> Any:
    """The model inside a PEFT wrapper, adapters still in place; any other model as it is."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def end_token_ids(model: Any, processor: "Qwen2_5_VLProcessor") -> frozenset[int]:
    """All token ids that end a completion: the checkpoint's list and the tokenizer's own.

    Qwen2.5-VL ends a turn with one token and a document with another; both end a completion.
    """
    listed = model.generation_config.eos_token_id
    ids = listed if isinstance(listed, list) else [listed]
    tokenizer = processor.tokenizer
    return frozenset(token for token in (*ids, tokenizer.eos_token_id) if token is not None)


def build_rollout(
    rows: list[list[int]],
    end_ids: frozenset[int],
    processor: "Qwen2_5_VLProcessor",
    logps: list[list[float]] | None = None,
) -> Rollout:
    """Cut each row after its first end token and decode it.

    Args:
        rows: generated ids, without the prompt; what follows the first end token is ignored.
        end_ids: tokens that end a completion.
        processor: gives the tokenizer.
        logps: of the tokens, if the engine knows them; cut likewise.
    """
    completions = [_cut_after_end(row, end_ids) for row in rows]
    return Rollout(
        completion_ids=completions,
        texts=processor.tokenizer.batch_decode(completions, skip_special_tokens=True),
        truncated=[row[-1] not in end_ids for row in completions],
        logps=logps and [row[: len(ids)] for row, ids in zip(logps, completions, strict=True)],
    )


def _cut_after_end(row: list[int], end_ids: frozenset[int]) -> list[int]:
    length = next((place + 1 for place, token in enumerate(row) if token in end_ids), len(row))
    return row[:length]


def _generation_config(
    sampling: SamplingSettings,
    num_generations: int,
    end_ids: frozenset[int],
    processor: "Qwen2_5_VLProcessor",
) -> GenerationConfig:
    fields: dict[str, Any] = {"do_sample": False, "num_return_sequences": 1}
    if not sampling.is_greedy:
        fields = {
            "do_sample": True,
            "num_return_sequences": num_generations,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p or None,
        }
    fields |= {
        "repetition_penalty": sampling.repetition_penalty,
        "max_new_tokens": sampling.max_completion_tokens,
        "num_beams": 1,
        "use_cache": True,
        "eos_token_id": sorted(end_ids),
        "pad_token_id": processor.tokenizer.pad_token_id,
    }
    config: GenerationConfig = GenerationConfig.from_dict(fields)
    return config


class _StopWhenAsked(StoppingCriteria):
    """Leaves the generation loop by raising, so that no half-finished rollout is ever scored."""

    def __init__(self, should_stop: ShouldStop) -> None:
        self.should_stop = should_stop

    def __call__(self, input_ids: Tensor, *_: Any, **__: Any) -> Tensor:
        raise_if_asked(self.should_stop)
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


def raise_if_asked(should_stop: ShouldStop) -> None:
    """Raise Interrupted when a stop was asked for."""
    if should_stop():
        raise Interrupted("stopped while generating")


@contextmanager
def _own_generation_config(model: Any, config: GenerationConfig) -> Iterator[None]:
    """Put the checkpoint's generation config aside: generate fills every unset field from it."""
    checkpoint_config = model.generation_config
    model.generation_config = config
    try:
        yield
    finally:
        model.generation_config = checkpoint_config


@contextmanager
def sampling_mode(model: Any) -> Iterator[None]:
    """No dropout and no recomputation for the call; the mode of each module comes back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Draw from a seed and leave the caller's random state as it was; None changes nothing."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
