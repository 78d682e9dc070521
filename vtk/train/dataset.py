"""Which questions a run trains on, and in which order: a function of the settings and the seed.

The order is one sequence for the whole run, epoch after epoch without a break, so that no batch is
cut short at an epoch's end and a position in it is nothing but a number of steps. A question's
place in that sequence is also what its draws are seeded with, so that the same batch gives the same
completions however it is spread over passes and processes.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import sha256

import torch
from torch.utils.data import Sampler

from vtk.data.sample import VideoSample


def choose_samples(
    samples: Sequence[VideoSample], max_samples: int | None, stratify: bool, seed: int
) -> list[VideoSample]:
    """At most `max_samples` of the questions, in the order of the file.

    Args:
        samples: All questions.
        max_samples: How many to keep; None keeps all.
        stratify: Keep the shares of question type and number of correct options.
        seed: Which ones.
    """
    if max_samples is None or max_samples >= len(samples):
        return list(samples)
    strata: dict[object, list[VideoSample]] = defaultdict(list)
    for sample in _ranked(samples, seed):
        strata[(sample.label, sample.num_correct) if stratify else None].append(sample)
    quotas = _quotas([len(stratum) for stratum in strata.values()], max_samples)
    kept = {
        sample.sample_id
        for stratum, quota in zip(strata.values(), quotas, strict=True)
        for sample in stratum[:quota]
    }
    return [sample for sample in samples if sample.sample_id in kept]


class PromptSampler(Sampler[int]):
    """The places of a whole run in order, each one repeated for its group of completions.

    Args:
        num_prompts: Prompts that the run asks on all devices together.
        num_generations: Completions per prompt; a place is yielded so many times in a row.
    """

    def __init__(self, num_prompts: int, num_generations: int) -> None:
        self.num_prompts, self.num_generations = num_prompts, num_generations

    def __len__(self) -> int:
        return self.num_prompts * self.num_generations

    def __iter__(self) -> Iterator[int]:
        for place in range(self.num_prompts):
            yield from [place] * self.num_generations


def run_order(num_samples: int, num_prompts: int, seed: int) -> list[int]:
    """The question asked at each place of a run, as indices.

    Args:
        num_samples: Questions to draw from.
        num_prompts: Places: prompts that the run asks on all devices together.
        seed: Decides the order; each epoch has its own.
    """
    num_epochs = -(-num_prompts // num_samples)
    epochs = (epoch_order(num_samples, seed, epoch) for epoch in range(num_epochs))
    return [index for order in epochs for index in order][:num_prompts]


def epoch_order(num_samples: int, seed: int, epoch: int) -> list[int]:
    """The questions' indices in the order of one epoch, each once."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "epoch", epoch))
    order: list[int] = torch.randperm(num_samples, generator=generator).tolist()
    return order


def derive_seed(seed: int, *parts: str | int) -> int:
    """A seed of 63 bits for one purpose at one place of a run, the same in every attempt."""
    name = ":".join(str(part) for part in (seed, *parts))
    return int.from_bytes(sha256(name.encode()).digest()[:8]) >> 1


def _ranked(samples: Sequence[VideoSample], seed: int) -> list[VideoSample]:
    """Shuffled by id, so that a larger choice holds the smaller one."""
    return sorted(samples, key=lambda sample: derive_seed(seed, "choose", sample.sample_id))


def _quotas(sizes: Sequence[int], total: int) -> list[int]:
    """`total` shared out in proportion to `sizes`, largest remainders first."""
    exact = [size * total / sum(sizes) for size in sizes]
    quotas = [int(share) for share in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda i: exact[i] - quotas[i], reverse=True)
    for i in by_remainder[: total - sum(quotas)]:
        quotas[i] += 1
    return quotas
