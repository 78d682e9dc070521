"""Numbers to sentences: what a demo found, whichever way it fell.

The claim under test: plain GRPO on mostly observational questions loses on inferential ones, and
CDPO does not. One comparison decides, and it was named beforehand: CDPO against GRPO on inferential
questions. A difference counts as shown when its 95 % interval excludes zero *and* the sign-flip
p-value is below 0.05; when only one of the two says so, the sentence says "at the edge".
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from vtk.demo.results import base_point, split_pair
from vtk.format import format_count, format_percent

MIN_QUESTIONS: Final = 30
MAX_P_VALUE: Final = 0.05

Judgement = Literal["better", "worse", "edge", "unclear", "too few", "missing"]
Verdict = Literal["supported", "partly supported", "contradicted", "undecided", "not tested"]

NAMES: Final = {
    "base": "the base model",
    "bias": "the bias model",
    "grpo": "GRPO",
    "cdpo": "CDPO",
}


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found.

    Attributes:
        verdict: What the numbers say about the claim, in one or two words.
        headline: The same in a sentence.
        decisive: The comparison that decides, with its interval.
        details: One sentence per further comparison.
        caveats: What the numbers cannot say.
    """

    verdict: Verdict
    headline: str
    decisive: str
    details: tuple[str, ...]
    caveats: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The findings as plain data."""
        return asdict(self) | {"details": list(self.details), "caveats": list(self.caveats)}


def find(document: Mapping[str, Any]) -> Findings:
    """What the numbers of `vtk.demo.results.measure` say.

    Args:
        document: The numbers, with `is_quick` beside them.
    """
    verdict, lead = _judge_claim(document["paired"])
    decisive = compare_sentence(document["paired"], "cdpo-grpo", "inferential")
    compared = [
        ("grpo-base", "inferential"),
        ("cdpo-base", "inferential"),
        ("cdpo-grpo", "observational"),
        ("grpo-base", "observational"),
        ("bias-base", "observational"),
        ("bias-base", "inferential"),
    ]
    details = [compare_sentence(document["paired"], *which) for which in compared]
    details += [*_reasoning_sentences(document), *_phase_sentences(document)]
    return Findings(verdict, lead, decisive, tuple(details), tuple(_caveats(document)))


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


def _judge_claim(paired: Mapping[str, Any]) -> tuple[Verdict, str]:
    """The verdict on the claim and the words that lead to the deciding comparison."""
    decisive = judge(paired["cdpo-grpo"].get("inferential"))
    if decisive in ("missing", "too few"):
        return "not tested", "The claim was not tested."
    if decisive == "worse":
        return "contradicted", "The claim did not come out: CDPO does worse than plain GRPO here."
    if decisive == "better":
        return _judge_gain(paired)
    if decisive == "edge":
        return "undecided", "The claim is undecided, with a lean."
    return "undecided", "The claim is undecided."


def _judge_gain(paired: Mapping[str, Any]) -> tuple[Verdict, str]:
    """The verdict where CDPO beats GRPO on inferential questions: is the rest of the claim true?"""
    grpo = judge(paired["grpo-base"].get("inferential"))
    cdpo = judge(paired["cdpo-base"].get("inferential"))
    has_price = judge(paired["cdpo-grpo"].get("observational")) == "worse"
    price = " at a price on observational questions" if has_price else ""
    if grpo != "worse":
        lead = f"CDPO did better than GRPO{price}, but GRPO did not measurably lose to its base."
        return "partly supported", lead
    if cdpo == "worse":
        return "partly supported", f"Both lost inferential accuracy, CDPO less{price}."
    lead = "The claim came out: plain GRPO lost inferential accuracy and CDPO did not"
    return "supported", f"{lead},{price}." if has_price else f"{lead}."


def _evidence(found: Mapping[str, Any]) -> str:
    low, high = (format_points(end) for end in found["ci95"])
    return f"95 % interval {low} to {high}, {format_count(found['n'])} questions"


def _what_would_settle(found: Mapping[str, Any]) -> str:
    needed = found["questions_to_resolve"]
    if needed is None:
        return ""
    return f"; about {format_count(_two_digits(needed))} questions would settle one of this size"


def _two_digits(number: int) -> int:
    """A count with two significant digits: more would claim a precision it has not."""
    return int(float(f"{number:.1e}"))


def _reasoning_sentences(document: Mapping[str, Any]) -> list[str]:
    shares = document["reasoning"]["models"]
    if not document["strategies"]["base"]:
        return ["The base model's completions show neither of the two strategies."]
    sentences = []
    for name in ("observational", "inferential"):
        if all(name in shares[model] for model in shares):
            listed = ", ".join(
                f"{NAMES[model].removeprefix('the ')} "
                f"{format_percent(shares[model][name]['share'], 0)}"
                for model in NAMES
            )
            sentences.append(f"Share of reasoning completions on {name} questions: {listed}.")
    return sentences


def _phase_sentences(document: Mapping[str, Any]) -> list[str]:
    """What first-order analysis expects of the base model, beside what the runs did."""
    point = base_point(document)
    if point is None:
        return []
    reason, describe = point.reason, point.describe
    sentences = [
        f"In the base model describing is right on {format_percent(describe.observational, 0)} of "
        f"observational and {format_percent(describe.inferential, 0)} of inferential questions, "
        f"reasoning on {format_percent(reason.observational, 0)} and "
        f"{format_percent(reason.inferential, 0)}."
    ]
    for model in ("grpo", "cdpo"):
        expected = document["phase"]["expected_drift"].get(model)
        observed = document["reasoning"]["paired"][f"{model}-base"].get("all")
        if expected is not None and observed is not None:
            sentences.append(_drift_sentence(NAMES[model], expected, observed))
    return sentences


def _drift_sentence(name: str, expected: float, observed: Mapping[str, Any]) -> str:
    direction = "reasoning" if expected > 0 else "describing"
    low, high = observed["ci95"]
    did = (
        "as expected"
        if low > 0 < expected or high < 0 > expected
        else "the other way"
        if low > 0 or high < 0
        else "no change that could be shown"
    )
    return (
        f"First-order analysis expects {name} to drift towards {direction} "
        f"({expected:+.3f} on the strategy logit per group); its share of reasoning completions "
        f"changed by {format_points(observed['difference'])} points (95 % interval "
        f"{format_points(low)} to {format_points(high)}): {did}."
    ).replace("(-", "(−")


def _caveats(document: Mapping[str, Any]) -> list[str]:
    caveats = [
        "One seed: the intervals cover the choice of questions, not the noise of training. "
        "vtk demo --seeds 0,1,2,3,4 measures that.",
        "The comparison of CDPO with GRPO on inferential questions was named beforehand; the "
        "others are not corrected for their number.",
    ]
    if document["is_quick"]:
        caveats.insert(0, "A quick run trains for a few steps only: expect small differences.")
    num_errors = {
        name: found["all"]["num_errors"]
        for name, found in document["models"].items()
        if found["all"]["num_errors"]
    }
    if num_errors:
        listed = ", ".join(f"{name} {count}" for name, count in num_errors.items())
        caveats.append(f"Questions that ended in an error and count as wrong: {listed}.")
    return caveats
