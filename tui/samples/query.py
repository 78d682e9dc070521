"""Which groups are shown and in which order: a few numbers of each, kept in memory, decide."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tui.samples.rows import Group

GroupRef = tuple[int, int]
"""A group's step and its place in the step's file, from 0."""

ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """What decides whether and where a group is shown.

    Attributes:
        ref: Where it is.
        question_type: Its question's.
        num_correct: Right options of its question.
        num_completions: Of the group.
        num_right: Right ones among them.
        num_right_misformatted: Right ones without the right layout.
        reward_spread: Standard deviation of the rewards.
        signed_kl: Mean over its tokens, in nats; None without a bias model.
        bias_is_right: Whether the bias model answers rightly; None if it was not asked.
    """

    ref: GroupRef
    question_type: str
    num_correct: int
    num_completions: int
    num_right: int
    num_right_misformatted: int
    reward_spread: float
    signed_kl: float | None
    bias_is_right: bool | None


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of the browser.

    Attributes:
        order: A key of `ORDERS`.
        question_type: A key of `QUESTION_FILTERS`.
        answers: A key of `ANSWER_FILTERS`.
        text: Only groups in whose question, name or completions it occurs; case does not matter.
    """

    order: str = "newest"
    question_type: str = ALL
    answers: str = ALL
    text: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether the index alone answers it, without a look into the files."""
        return self == Query()


@dataclass(frozen=True, slots=True)
class Order:
    """One way to sort: which groups belong, and the larger key first; None goes last."""

    words: str
    belongs: Callable[[GroupFacts], bool]
    key: Callable[[GroupFacts], float | None]


def _any(_: GroupFacts) -> bool:
    return True


def _equal(_: GroupFacts) -> float:
    return 0.0


ORDERS: Final[Mapping[str, Order]] = {
    "newest": Order("newest", _any, _equal),
    "repelled": Order("most repelled", _any, lambda facts: facts.signed_kl),
    "attracted": Order(
        "least repelled",
        _any,
        lambda facts: None if facts.signed_kl is None else -facts.signed_kl,
    ),
    "misformatted": Order(
        "right, format failed",
        lambda facts: facts.num_right_misformatted > 0,
        lambda facts: facts.num_right_misformatted,
    ),
    "spread": Order("highest spread", _any, lambda facts: facts.reward_spread),
    "bias_right": Order(
        "bias right, policy wrong",
        lambda facts: facts.bias_is_right is True and facts.num_right < facts.num_completions,
        lambda facts: -facts.num_right / facts.num_completions,
    ),
}

QUESTION_FILTERS: Final[Mapping[str, Callable[[GroupFacts], bool]]] = {
    ALL: _any,
    "observational": lambda facts: facts.question_type == "observational",
    "inferential": lambda facts: facts.question_type == "inferential",
    "single": lambda facts: facts.num_correct == 1,
    "multi": lambda facts: facts.num_correct > 1,
}

ANSWER_FILTERS: Final[Mapping[str, Callable[[GroupFacts], bool]]] = {
    ALL: _any,
    "some right": lambda facts: facts.num_right > 0,
    "some wrong": lambda facts: facts.num_right < facts.num_completions,
    "all right": lambda facts: facts.num_right == facts.num_completions,
    "all wrong": lambda facts: facts.num_right == 0,
}


class Listing:
    """Groups in the order in which they are shown.

    Args:
        steps: The step of each.
        places: Its place in the step's file.
        num_searched: Groups that were looked at to make it.
        num_groups: Groups of the run.
    """

    def __init__(
        self,
        steps: NDArray[np.int64],
        places: NDArray[np.int64],
        num_searched: int,
        num_groups: int,
    ) -> None:
        self.steps, self.places = steps, places
        self.num_searched, self.num_groups = num_searched, num_groups

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, line: int) -> GroupRef:
        return int(self.steps[line]), int(self.places[line])

    def line_of(self, ref: GroupRef) -> int | None:
        """Where a group is shown; None if it is not."""
        found = np.flatnonzero((self.steps == ref[0]) & (self.places == ref[1]))
        return int(found[0]) if len(found) else None

    def line_of_step(self, step: int) -> int | None:
        """Where the first group of the step, or of the nearest one, is shown.

        Args:
            step: As somebody typed it: it may be larger than any number of the columns.
        """
        if not len(self):
            return None
        nearest = min(max(step, int(self.steps.min())), int(self.steps.max()))
        return int(np.abs(self.steps - nearest).argmin())


def facts_of(group: Group, place: int) -> GroupFacts:
    """The numbers of one group that decide where it is shown."""
    misformatted = [c for c in group.completions if c.is_right and c.reward_format < 1.0]
    bias = group.bias_answer
    return GroupFacts(
        ref=(group.step, place),
        question_type=group.question_type,
        num_correct=group.num_correct,
        num_completions=len(group.completions),
        num_right=group.num_right,
        num_right_misformatted=len(misformatted),
        reward_spread=group.reward_spread,
        signed_kl=group.signed_kl,
        bias_is_right=None if bias is None else bias.strict == 1.0,
    )


def contains(group: Group, text: str) -> bool:
    """Whether a group's question, names or completions hold a text; case does not matter."""
    wanted = text.casefold()
    told = [group.sample_id, group.clip_id, group.problem]
    told += [completion.text for completion in group.completions]
    return any(wanted in one.casefold() for one in told)


def plain_listing(counts: Sequence[tuple[int, int]]) -> Listing:
    """All groups, newest first.

    Args:
        counts: (step, number of groups), newest step first.
    """
    steps = np.array([step for step, _ in counts], dtype=np.int64)
    numbers = np.array([number for _, number in counts], dtype=np.int64)
    total = int(numbers.sum())
    starts = np.repeat(np.cumsum(numbers) - numbers, numbers)
    return Listing(np.repeat(steps, numbers), np.arange(total) - starts, total, total)


def ranked_listing(
    found: Sequence[GroupFacts], query: Query, num_searched: int, num_groups: int
) -> Listing:
    """The groups that a query asks for, in its order; among equals newest first.

    Args:
        found: What is known of the groups that were looked at, and hold the query's text.
        query: What is asked.
        num_searched: Groups that were looked at.
        num_groups: Groups of the run.
    """
    order = ORDERS[query.order]
    filters = (
        order.belongs,
        QUESTION_FILTERS[query.question_type],
        ANSWER_FILTERS[query.answers],
    )
    kept = [facts for facts in found if all(belongs(facts) for belongs in filters)]
    kept.sort(key=lambda facts: _descending(order.key(facts), facts.ref))
    refs = np.array([facts.ref for facts in kept], dtype=np.int64).reshape(-1, 2)
    return Listing(refs[:, 0], refs[:, 1], num_searched, num_groups)


def _descending(key: float | None, ref: GroupRef) -> tuple[bool, float, int, int]:
    is_last = key is None or key != key
    return is_last, 0.0 if key is None or is_last else -key, -ref[0], ref[1]
