"""One comparison as one sentence, with its evidence.

A difference counts as shown when its 95 % interval excludes zero *and* the sign-flip p-value is
below 0.05; when only one of the two says so, the sentence says "at the edge".
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from vtk.demo.results import split_pair
from vtk.format import format_count

MIN_QUESTIONS: Final = 30
MAX_P_VALUE: Final = 0.05

Judgement = Literal["better", "worse", "edge", "unclear", "too few", "missing"]
UNJUDGED: Final = ("too few", "missing")

NAMES: Final = {
    "base": "the base model",
    "bias": "the bias model",
    "grpo": "GRPO",
    "cdpo": "CDPO",
}


def judge(found: Mapping[str, Any] | None) -> Judgement:
    """What one paired difference shows about the second model.

    Args:
        found: An entry of `paired`: n, difference, ci95 and p_value; None if nothing was asked.
    """
    if not found or found["n"] == 0:
        return "missing"
    if found["n"] < MIN_QUESTIONS:
        return "too few"
    low, high = found["ci95"]
    is_outside, is_rare = low > 0 or high < 0, found["p_value"] < MAX_P_VALUE
    if is_outside and is_rare:
        return "better" if found["difference"] > 0 else "worse"
    return "edge" if is_outside or is_rare else "unclear"


def compare_sentence(paired: Mapping[str, Any], pair: str, question_type: str) -> str:
    """One sentence on how the second model of a pair does against the first.

    Args:
        paired: Pair -> question type -> difference, as in results.json.
        pair: "second-first".
        question_type: observational, inferential or another of the document's types.
    """
    first, second = (model_name(name) for name in split_pair(pair))
    found = paired.get(pair, {}).get(question_type)
    judgement = judge(found)
    if found is None or judgement == "missing":
        return (
            f"No {question_type} questions were asked, "
            f"so {second} and {first} were not compared on them."
        )
    if judgement == "too few":
        return (
            f"Only {found['n']} {question_type} questions were asked: too few to compare {second} "
            f"with {first} (at least {MIN_QUESTIONS} are needed)."
        )
    if found["num_better"] == found["num_worse"] == 0:
        sentence = (
            f"{second} and {first} score the same on each of the {found['n']} {question_type} "
            f"questions; a difference of {_margin(found)} points cannot be excluded."
        )
        return sentence[0].upper() + sentence[1:]
    amount = f"{format_points(found['difference'])} points ({_evidence(found)})"
    if judgement == "unclear":
        sentence = (
            f"No difference between {second} and {first} on {question_type} questions "
            f"could be shown: {amount}{_what_would_settle(found)}."
        )
    elif judgement == "edge":
        direction = "better" if found["difference"] > 0 else "worse"
        sentence = (
            f"{second} seems {direction} than {first} on {question_type} questions, "
            f"at the edge of what can be told: {amount}, p = {found['p_value']:.2g}."
        )
    else:
        sentence = f"{second} answers {question_type} questions {judgement} than {first}: {amount}."
    return sentence[0].upper() + sentence[1:]


def judge_over_seeds(pair: str, question_type: str, found: Mapping[str, Any] | None) -> str:
    """One sentence on a paired difference over seeds.

    Args:
        pair: "second-first".
        question_type: Of the questions.
        found: mean, ci95 (None with one seed), num_seeds, num_positive, num_negative; None if
            nothing was asked.
    """
    first, second = (model_name(name) for name in split_pair(pair))
    if found is None:
        return f"No {question_type} questions were asked of both {second} and {first}."
    amount = f"{format_points(found['mean'])} points"
    if found["ci95"] is None:
        sentence = f"{second} against {first} on {question_type} questions, one seed: {amount}."
    else:
        low, high = found["ci95"]
        evidence = (
            f"{amount} (95 % interval over {found['num_seeds']} seeds {format_points(low)} to "
            f"{format_points(high)}; {found['num_positive']} up, {found['num_negative']} down)"
        )
        if low <= 0 <= high:
            sentence = (
                f"over seeds no difference between {second} and {first} on {question_type} "
                f"questions could be shown: {evidence}."
            )
        else:
            word = "better" if found["mean"] > 0 else "worse"
            sentence = (
                f"over seeds {second} answers {question_type} questions {word} than {first}: "
                f"{evidence}."
            )
    return sentence[0].upper() + sentence[1:]


def model_name(name: str) -> str:
    """How sentences call a model."""
    return NAMES.get(name, f"the variant {name}")


def format_points(fraction: float) -> str:
    """A difference of two fractions in signed percentage points.

    Example:
        >>> format_points(-0.123)
        '−12.3'
    """
    rounded = round(100 * fraction, 1)
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"


def _evidence(found: Mapping[str, Any]) -> str:
    low, high = (format_points(end) for end in found["ci95"])
    return f"95 % interval {low} to {high}, {format_count(found['n'])} questions"


def _what_would_settle(found: Mapping[str, Any]) -> str:
    needed = found["questions_to_resolve"]
    if needed is None:
        return ""
    return f"; about {format_count(_two_digits(needed))} questions would settle one of this size"


def _margin(found: Mapping[str, Any]) -> str:
    return f"{100 * max(abs(end) for end in found['ci95']):.1f}"


def _two_digits(number: int) -> int:
    """A count with two significant digits: more would claim a precision it has not."""
    return int(float(f"{number:.1e}"))
