"""Time variants of one computation against each other in one process.

Rounds are interleaved (A B C A B C ...), so that what else happens on the machine meets all
variants alike, and a ratio is taken within each round before the median over rounds.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Rounds:
    """Seconds of each variant in each round.

    Attributes:
        seconds: Variant -> one number a round.
    """

    seconds: Mapping[str, Sequence[float]]

    def median_s(self, variant: str) -> float:
        """Median seconds of a variant."""
        return statistics.median(self.seconds[variant])

    def ratios(self, slow: str, fast: str) -> list[float]:
        """How many times as long `slow` took as `fast`, round by round."""
        pairs = zip(self.seconds[slow], self.seconds[fast], strict=True)
        return [one / other for one, other in pairs]

    def ratio(self, slow: str, fast: str) -> dict[str, float]:
        """Median, least and greatest of `ratios`."""
        found = self.ratios(slow, fast)
        return {"median": statistics.median(found), "min": min(found), "max": max(found)}


def time_rounds(
    variants: Mapping[str, Callable[[], object]],
    num_rounds: int,
    device: torch.device,
    on_round: Callable[[int], None] = lambda _: None,
) -> Rounds:
    """Run every variant once unmeasured, then in interleaved rounds.

    Args:
        variants: What to run.
        num_rounds: Measured rounds.
        device: On a GPU its own clock counts; on a CPU this process's time, so that other
            processes do not.
        on_round: Called after each round with its number from 1.
    """
    clock = _gpu_seconds if device.type == "cuda" else _process_seconds
    for run in variants.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(num_rounds):
        for name, run in variants.items():
            seconds[name].append(clock(run))
        on_round(number + 1)
    return Rounds(seconds)


def _process_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def _gpu_seconds(run: Callable[[], object]) -> float:
    event: Any = torch.cuda.Event  # its constructor has no types
    start, end = (event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    run()
    end.record()
    torch.cuda.synchronize()
    milliseconds: float = start.elapsed_time(end)
    return milliseconds / 1000
