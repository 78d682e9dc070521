"""What one row of the promise table measured: figures, and whether the promise was kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Figures:
    """The measurement of one promise.

    Attributes:
        row: Its number, T1 to T12.
        promise: One sentence.
        count: What was done how often, in words.
        figures: What came out, in words.
        broken: Each way in which the promise was broken; empty if it was kept.
    """

    row: str
    promise: str
    count: str = ""
    figures: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def check(self, is_kept: bool, otherwise: str) -> None:
        """Record a breach."""
        if not is_kept:
            self.broken.append(otherwise)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share of the values lies; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
