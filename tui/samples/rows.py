"""Rows of a rollout file as what a screen shows. All text is made safe here, once.

A row that lacks what every row has is unreadable; what only newer runs record may be missing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from typing import Any, Final, TypeVar

from vtk.format import visible_lines, visible_text
from vtk.runs import payload
from vtk.runs.token_columns import unpack_token_chars, unpack_token_kl

MAX_TEXT_CHARS: Final = 50_000
"""A longer completion or question is cut here, with a note that says how much is missing."""
_NAME_CHARS: Final = 200

Row = Mapping[str, Any]
ReadT = TypeVar("ReadT")


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a completion.

    Attributes:
        end: Where its characters end in the completion.
        signed_kl: log policy − log bias model, in nats; NaN where it was no number.
    """

    end: int
    signed_kl: float


@dataclass(frozen=True, slots=True)
class Completion:
    """One completion, safe to print.

    Attributes:
        generation: Which of its group, from 0.
        text: What the model wrote, at most `MAX_TEXT_CHARS` of it.
        num_cut_chars: Characters of it that `text` leaves out.
        num_tokens: Its length in tokens.
        is_truncated: Whether it met the length limit.
        reward: Sum of the weighted parts.
        reward_accuracy: Before its weight.
        reward_format: Before its weight.
        advantage: Relative to its group.
        strict: 1 if the set of letters is right.
        parsed: The letters that were read; None if none could be.
        status: What reading them came to.
        signed_kl: Mean over its tokens, in nats; None without a bias model.
        num_chars: Characters of it in the file.
        token_kl: Its tokens' signed KL as recorded (`vtk.runs.token_columns`), or None.
        token_chars: Its tokens' characters as recorded, or None.
    """

    generation: int
    text: str
    num_cut_chars: int
    num_tokens: int
    is_truncated: bool
    reward: float
    reward_accuracy: float
    reward_format: float
    advantage: float
    strict: float
    parsed: str | None
    status: str
    signed_kl: float | None
    num_chars: int
    token_kl: str | None
    token_chars: str | None

    @property
    def tokens(self) -> tuple[Token, ...]:
        """Its tokens; empty where they were not recorded or do not fit the text."""
        if self.token_kl is None or self.token_chars is None:
            return ()
        try:
            return _tokens(self.token_kl, self.token_chars, self.num_chars)
        except ValueError:
            return ()  # shown as a completion without tints

    @property
    def is_right(self) -> bool:
        """Whether exactly the right letters were given."""
        return self.strict == 1.0


@dataclass(frozen=True, slots=True)
class BiasAnswer:
    """What the bias model answered to the same question, if it was asked."""

    text: str
    num_cut_chars: int
    parsed: str | None
    strict: float


@dataclass(frozen=True, slots=True)
class Group:
    """The completions of one prompt.

    Attributes:
        step: The optimizer step that they belong to.
        number: The prompt's place in the run.
        sample_id: The question's id.
        clip_id: The clip's.
        video: The clip's file.
        frames: File of small pictures in `rollouts/frames/`; None if none was kept.
        question_type: "observational", "inferential" or "unknown".
        num_correct: Right options.
        problem: The question with its lettered options.
        num_cut_problem_chars: Characters that `problem` leaves out.
        solution: The right letters.
        completions: In the order in which they were drawn.
        bias_answer: The bias model's, or None.
    """

    step: int
    number: int
    sample_id: str
    clip_id: str
    video: str
    frames: str | None
    question_type: str
    num_correct: int
    problem: str
    num_cut_problem_chars: int
    solution: str
    completions: tuple[Completion, ...]
    bias_answer: BiasAnswer | None

    @property
    def num_right(self) -> int:
        """Completions that are right."""
        return sum(completion.is_right for completion in self.completions)

    @property
    def num_as_bias_model(self) -> int:
        """Completions with the bias model's own answer; none where it gave none to be read."""
        parsed = None if self.bias_answer is None else self.bias_answer.parsed
        return 0 if parsed is None else sum(c.parsed == parsed for c in self.completions)

    @property
    def mean_reward(self) -> float:
        """Mean over the completions."""
        return sum(completion.reward for completion in self.completions) / len(self.completions)

    @property
    def reward_spread(self) -> float:
        """Standard deviation over the completions; 0 for a single one."""
        return spread([completion.reward for completion in self.completions])

    @property
    def signed_kl(self) -> float | None:
        """Mean over all tokens, in nats; None without a bias model."""
        return token_mean([(c.signed_kl, c.num_tokens) for c in self.completions])


def groups_of(rows: Sequence[Row]) -> tuple[list[Group], int]:
    """Groups of rows in the file's order, and the number of rows that are none."""
    groups: list[Group] = []
    num_unreadable = 0
    for _, members in groupby(rows, key=lambda row: (row.get("step"), row.get("group"))):
        named = [*members]
        completions = [made for row in named if (made := _read(_completion, row)) is not None]
        group = next((g for row in named if (g := _read(_group, row)) is not None), None)
        if group is None or not completions:
            num_unreadable += len(named)
            continue
        num_unreadable += len(named) - len(completions)
        groups.append(replace(group, completions=tuple(completions)))
    return groups, num_unreadable


def spread(values: Sequence[float]) -> float:
    """Sample standard deviation; 0 for fewer than two values, NaN if one is no number."""
    if len(values) < 2:
        return 0.0
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def token_mean(pairs: Sequence[tuple[float | None, int]]) -> float | None:
    """Mean of (value, weight) pairs; None if a value is missing or nothing has weight."""
    values = [(value, weight) for value, weight in pairs if value is not None]
    total = sum(weight for _, weight in values)
    if len(values) < len(pairs) or total == 0:
        return None
    return sum(value * weight for value, weight in values) / total


def _read(read: Callable[[Row], ReadT], row: Row) -> ReadT | None:
    """What a row says; None if it says nothing of the kind."""
    try:
        return read(row)
    except ValueError:
        return None  # counted by the caller


def _group(row: Row) -> Group:
    """What a row says of its group, without completions."""
    problem, num_cut = _bounded(payload.text(row, "problem"))
    return Group(
        step=payload.count(row, "step"),
        number=payload.count(row, "group"),
        sample_id=_name(row, "sample_id"),
        clip_id=_name(row, "clip_id"),
        video=visible_text(payload.optional_text(row, "video") or "", 4096),
        frames=payload.optional_text(row, "frames"),
        question_type=_name(row, "label") or "unknown",
        num_correct=payload.optional_count(row, "num_correct") or 0,
        problem=problem,
        num_cut_problem_chars=num_cut,
        solution=_name(row, "solution"),
        completions=(),
        bias_answer=_bias_answer(row),
    )


def _completion(row: Row) -> Completion:
    raw = payload.text(row, "completion")
    text, num_cut = _bounded(raw)
    return Completion(
        generation=payload.count(row, "generation"),
        text=text,
        num_cut_chars=num_cut,
        num_tokens=payload.count(row, "num_tokens"),
        is_truncated=row.get("is_truncated") is True,
        reward=number(row, "reward"),
        reward_accuracy=number(row, "reward_accuracy"),
        reward_format=number(row, "reward_format"),
        advantage=number(row, "advantage"),
        strict=number(row, "strict"),
        parsed=_optional_name(row, "parsed"),
        status=_name(row, "status"),
        signed_kl=payload.optional_number(row, "signed_kl"),
        num_chars=len(raw),
        token_kl=payload.optional_text(row, "token_kl"),
        token_chars=payload.optional_text(row, "token_chars"),
    )


def _bias_answer(row: Row) -> BiasAnswer | None:
    raw = payload.optional_text(row, "bias_completion")
    if raw is None:
        return None
    text, num_cut = _bounded(raw)
    return BiasAnswer(text, num_cut, _optional_name(row, "bias_parsed"), number(row, "bias_strict"))


def number(row: Row, name: str) -> float:
    """A number that every row has.

    Raises:
        ValueError: It is missing or no number.
    """
    value = payload.optional_number(row, name)
    if value is None:
        raise ValueError(f"{name} is missing")
    return value


def _tokens(packed_kl: str, packed_chars: str, num_chars: int) -> tuple[Token, ...]:
    values, lengths = unpack_token_kl(packed_kl), unpack_token_chars(packed_chars)
    if len(values) != len(lengths) or sum(lengths) != num_chars:
        return ()
    ends = accumulate(lengths)
    return tuple(Token(end, value) for end, value in zip(ends, values, strict=True))


def _bounded(text: str) -> tuple[str, int]:
    return visible_lines(text[:MAX_TEXT_CHARS]), max(0, len(text) - MAX_TEXT_CHARS)


def _name(row: Row, name: str) -> str:
    return _optional_name(row, name) or ""


def _optional_name(row: Row, name: str) -> str | None:
    value = payload.optional_text(row, name)
    return None if value is None else visible_text(value, _NAME_CHARS)
