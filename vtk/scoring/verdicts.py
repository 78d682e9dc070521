"""What a benchmark's rule says about one completion."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from vtk.data.sample import Kind, VideoSample


class Verdict(NamedTuple):
    """One rule's word on one completion.

    Attributes:
        score: From 0 to 1.
        said: The answer that the rule read; None when it could read none.
    """

    score: float
    said: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule needs to know of a question.

    Attributes:
        kind: How it is to be answered.
        options: The options without their letters; empty where it has none.
        solution: The correct letters, or the value where there are no options.
    """

    kind: Kind
    options: tuple[str, ...]
    solution: str

    @classmethod
    def of(cls, sample: VideoSample) -> "Asked":
        """What a rule needs to know of a sample."""
        return cls(sample.kind, sample.options, sample.solution)


_OPEN, _CLOSE = "<answer>", "</answer>"


def answer_blocks(text: str) -> list[str]:
    """What stands in each `<answer>` block, stripped; an opening tag inside a block is its text.

    Looks at every character once, unlike a lazy regular expression on many unclosed tags.
    """
    blocks: list[str] = []
    start = text.find(_OPEN)
    while start >= 0:
        begin = start + len(_OPEN)
        end = text.find(_CLOSE, begin)
        if end < 0:
            break
        blocks.append(text[begin:end].strip())
        start = text.find(_OPEN, end)
    return blocks


Rule = Callable[[str, Asked], Verdict]
"""(completion, question) -> verdict. Pure, and linear in the completion's length."""
