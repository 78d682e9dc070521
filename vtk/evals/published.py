"""Accuracies that others published, to be set beside ours and never mixed with them.

They were measured with other prompts, frames and parsers than any run here; the protocol named with
each is the nearest of ours. Sources: falonss703/VideoThinker:README.md and the main table of the
paper (CVPR 2026); tulerfeng/Video-R1:images/performance.png, read by eye.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

_PAPER: Final = "VideoThinker (CVPR 2026), main table"
_VIDEO_R1: Final = "Video-R1, figure of results, read by eye"
_SUITES: Final = ("clevrer", "mmvu", "video-holmes", "mvbench", "tempcompass", "video-mme")


@dataclass(frozen=True, slots=True)
class Published:
    """One published number.

    Attributes:
        model: As its authors call it.
        accuracy: From 0 to 1.
        protocol: The nearest of our protocols.
        source: Where it is published.
    """

    model: str
    accuracy: float
    protocol: str
    source: str


_ROWS: Final[tuple[tuple[str, str, tuple[float | None, ...]], ...]] = (
    ("Qwen2.5-VL-3B (CoT)", _PAPER, (44.7, 52.8, 32.5, 49.6, 30.0, 52.0)),
    ("VideoRFT-3B", _PAPER, (59.3, 55.1, 33.0, 59.5, 61.0, 45.4)),
    ("Qwen2.5-VL-3B GRPO", _PAPER, (64.9, 52.0, 32.3, 54.9, 41.4, 50.3)),
    ("VideoThinker-R1-3B", _PAPER, (79.1, 56.8, 34.3, 60.9, 63.5, 52.4)),
    ("Qwen2.5-VL-7B (CoT, 32 frames)", _VIDEO_R1, (None, 60.0, None, 59.0, 72.6, 56.6)),
    ("Video-R1-7B (32 frames)", _VIDEO_R1, (None, 63.8, None, 63.9, 73.2, 59.3)),
)


def published_numbers(suite: str) -> list[Published]:
    """The published accuracies of a suite; none for a suite that nobody published.

    Args:
        suite: A suite's name, or that of its results under a protocol (mvbench-recipe).
    """
    name = suite.removesuffix("-recipe")
    if name not in _SUITES:
        return []
    column = _SUITES.index(name)
    found = [(model, source, percent[column]) for model, source, percent in _ROWS]
    return [
        Published(model, percent / 100, "recipe", source)
        for model, source, percent in found
        if percent is not None
    ]


def as_json(numbers: list[Published]) -> list[dict[str, Any]]:
    """The numbers as plain data."""
    return [asdict(number) for number in numbers]
