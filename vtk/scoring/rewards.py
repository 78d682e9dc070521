"""Rewards and grades: the one grader of training and evaluation.

`grade` scores one completion; `format_reward` takes a list, as TRL's rewards do. Letters: C
correct options (gold), P the options a completion names.

* strict: 1 if P = C.
* soft ("partial" in results): the recipe's rule. 1 if P = C; |P|/|C| if P is a non-empty proper
  subset of C; 0 as soon as one letter is wrong. Source: longmalongma/TW-GRPO:src/open_r1/grpo.py,
  which CDPO's reward repeats; its failures on notation are not kept.
* per_option: share of the question's options whose in/out call is right, CLEVRER's second official
  score (chuangg/CLEVRER:executor/run_mc.py). A completion without a readable answer makes no calls
  and scores 0; "none" calls every option out.

A question without any correct option scores 0 whatever is said: neither silence nor "none" may pay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vtk.scoring.answers import Extraction, extract_answer, find_tags, is_blank, parse_gold

Completion = str | list[dict[str, Any]]

_FORMAT_TAGS = [("think", False), ("think", True), ("answer", False), ("answer", True)]


@dataclass(frozen=True, slots=True)
class Grade:
    """All scores of one completion, each from 0 to 1.

    Args:
        strict: Set match of the strictly read answer.
        partial: Subset credit of the strictly read answer.
        per_option: Share of options called rightly by the strictly read answer.
        lenient: Set match of the leniently read answer.
        format: 1 if the layout is right, see `is_well_formed`.
        extraction: The strict reading.
        lenient_extraction: The lenient reading.
    """

    strict: float
    partial: float
    per_option: float
    lenient: float
    format: float
    extraction: Extraction
    lenient_extraction: Extraction


def grade(completion: str, solution: str, num_options: int) -> Grade:
    """Grade one completion.

    Args:
        completion: What the model wrote, without special tokens.
        solution: The correct letters, "A,C".
        num_options: How many options the question offered.

    Returns:
        Every score and both readings.

    Raises:
        DataError: The solution does not name offered letters.

    >>> grade("<think>it stops</think><answer>A</answer>", "A,C", 4).partial
    0.5
    """
    gold = parse_gold(solution, num_options)
    extraction = extract_answer(completion, num_options)
    lenient = extract_answer(completion, num_options, mode="lenient")
    return Grade(
        strict=_set_match(extraction.letters, gold),
        partial=_subset_credit(extraction.letters, gold),
        per_option=_per_option(extraction.letters, gold, num_options),
        lenient=_set_match(lenient.letters, gold),
        format=float(is_well_formed(completion)),
        extraction=extraction,
        lenient_extraction=lenient,
    )


def format_reward(completions: Sequence[Completion]) -> list[float]:
    """1 for each completion with the asked layout, else 0; see `is_well_formed`.

    >>> format_reward(["<think>it stops</think><answer>A</answer>", "<answer>A</answer>"])
    [1.0, 0.0]
    """
    return [float(is_well_formed(completion_text(completion))) for completion in completions]


def is_well_formed(completion: str) -> bool:
    """Whether a completion has the asked layout and nothing else.

    That is a non-empty thought and a non-empty answer in their tags, in this order, each tag once,
    with only white space before, between and after.
    """
    tags = find_tags(completion)
    if [(tag.name, tag.is_closing) for tag in tags] != _FORMAT_TAGS:
        return False
    think, think_end, answer, answer_end = tags
    outside = (
        completion[: think.start],
        completion[think_end.end : answer.start],
        completion[answer_end.end :],
    )
    inside = (completion[think.end : think_end.start], completion[answer.end : answer_end.start])
    return not any(text.strip() for text in outside) and not any(is_blank(text) for text in inside)


def completion_text(completion: Completion) -> str:
    """The text of a completion, given as a text or as TRL's conversation."""
    return completion if isinstance(completion, str) else str(completion[-1]["content"])


def _set_match(letters: frozenset[str] | None, gold: frozenset[str]) -> float:
    return float(bool(gold) and letters == gold)


def _subset_credit(letters: frozenset[str] | None, gold: frozenset[str]) -> float:
    if not letters or not gold or not letters <= gold:
        return 0.0
    return len(letters) / len(gold)


def _per_option(letters: frozenset[str] | None, gold: frozenset[str], num_options: int) -> float:
    if letters is None or not gold:
        return 0.0
    return 1.0 - len(letters ^ gold) / num_options
