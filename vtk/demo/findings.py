"""Numbers to sentences: what a demo found, whichever way it fell.

The claim under test: plain GRPO on mostly observational questions loses on inferential ones, and
CDPO does not. One comparison decides, and it was named beforehand: CDPO against GRPO on inferential
questions.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from vtk.demo.results import base_point
from vtk.demo.sentences import NAMES, UNJUDGED, compare_sentence, format_points, judge
from vtk.format import format_percent

Verdict = Literal["supported", "partly supported", "contradicted", "undecided", "not tested"]

_FURTHER: Final = (
    ("grpo-base", "inferential"),
    ("cdpo-base", "inferential"),
    ("cdpo-grpo", "observational"),
    ("grpo-base", "observational"),
    ("bias-base", "observational"),
    ("bias-base", "inferential"),
)


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
    details = _further_comparisons(document["paired"])
    details += [*_reasoning_sentences(document), *_phase_sentences(document)]
    return Findings(verdict, lead, decisive, tuple(details), tuple(_caveats(document)))


def _further_comparisons(paired: Mapping[str, Any]) -> list[str]:
    """A sentence for each; that a question type has too few questions is said once."""
    is_decided = judge(paired["cdpo-grpo"].get("inferential")) not in UNJUDGED
    said_of = set() if is_decided else {"inferential"}
    sentences = []
    for pair, question_type in _FURTHER:
        if judge(paired.get(pair, {}).get(question_type)) in UNJUDGED:
            if question_type in said_of:
                continue
            said_of.add(question_type)
        sentences.append(compare_sentence(paired, pair, question_type))
    return sentences


def _judge_claim(paired: Mapping[str, Any]) -> tuple[Verdict, str]:
    """The verdict on the claim and the words that lead to the deciding comparison."""
    decisive = judge(paired["cdpo-grpo"].get("inferential"))
    if decisive in UNJUDGED:
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
