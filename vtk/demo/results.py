"""The numbers of a demo: graded answers of all models in, one plain document out.

Pure: the document of results.json is recomputed from samples.jsonl at any time.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vtk.demo.phase import PhasePoint, StrategyOdds, drift
from vtk.evals.record import EvalRow
from vtk.evals.report import report_numbers
from vtk.evals.results import QUESTION_TYPES, group_by_question
from vtk.scoring.stats import clustered_mean, paired_difference

RESULTS_VERSION: Final = 1
MAIN_MODELS: Final = ("base", "bias", "grpo", "cdpo")
MAIN_PAIRS: Final = ("cdpo-grpo", "grpo-base", "cdpo-base", "bias-base")
SHARE_TYPES: Final = ("observational", "inferential", "all")

RowsByModel = Mapping[str, Sequence[EvalRow]]


def measure(
    rows_by_model: RowsByModel, observational_frac: float, betas: Mapping[str, float]
) -> dict[str, Any]:
    """Every number that a demo reports about its models.

    Args:
        rows_by_model: Model name -> its graded completions, base, bias, grpo and cdpo first; all of
            the same questions.
        observational_frac: Share of observational questions in the training file.
        betas: KL coefficient of each model that was trained against the bias model.

    Returns:
        `models` and `strategies` as in `vtk.evals.report.report_numbers`, `paired` for the pairs of
        `pairs_of`, `reasoning` (share of completions that reason, by model and type and paired) and
        `phase` (what first-order analysis expects of GRPO and of each beta; None where the base
        model does not show both strategies).
    """
    numbers = report_numbers(rows_by_model)
    pairs = pairs_of(list(rows_by_model))
    reasoning = _measure_reasoning(rows_by_model, pairs)
    return {
        "models": numbers["models"],
        "strategies": numbers["strategies"],
        "paired": {pair: numbers["paired"][pair] for pair in pairs},
        "reasoning": reasoning,
        "phase": _expected_drift(numbers["strategies"], reasoning, observational_frac, betas),
    }


def pairs_of(models: Sequence[str]) -> list[str]:
    """The pairs that are reported, "second-first": the main ones, and each variant's own."""
    variants = [name for name in models if name not in MAIN_MODELS]
    return [*MAIN_PAIRS, *(f"{name}-{first}" for name in variants for first in ("grpo", "base"))]


def split_pair(pair: str) -> tuple[str, str]:
    """First and second model of a pair's name: the second minus the first is what it reports."""
    second, _, first = pair.rpartition("-")
    return first, second


def base_point(document: Mapping[str, Any]) -> PhasePoint | None:
    """Where the base model stands in the phase diagram; None if it was not measured there."""
    phase = document["phase"]
    if phase is None:
        return None
    return PhasePoint(
        reason=StrategyOdds(**phase["reason"]),
        describe=StrategyOdds(**phase["describe"]),
        observational_frac=phase["observational_frac"],
        reason_share=phase["reason_share"],
        bias_reason_share=phase["bias_reason_share"],
    )


def _measure_reasoning(rows_by_model: RowsByModel, pairs: Sequence[str]) -> dict[str, Any]:
    """Share of reasoning completions, a question counting once; an error does not reason."""
    questions = {
        name: {draws[0].sample_id: draws for draws in group_by_question(rows)}
        for name, rows in rows_by_model.items()
    }
    return {
        "models": {name: _shares(list(found.values())) for name, found in questions.items()},
        "paired": {
            pair: _share_differences(*(questions[name] for name in split_pair(pair)))
            for pair in pairs
        },
    }


def _shares(questions: Sequence[list[EvalRow]]) -> dict[str, dict[str, Any]]:
    found = {}
    for name in SHARE_TYPES:
        asked = [draws for draws in questions if QUESTION_TYPES[name](draws[0])]
        if asked:
            shares = [_reasoning_share(draws) for draws in asked]
            estimate = clustered_mean(shares, [draws[0].clip_id for draws in asked])
            interval = [estimate.low, estimate.high]
            found[name] = {"n": len(asked), "share": estimate.mean, "ci95": interval}
    return found


def _share_differences(
    first: Mapping[str, list[EvalRow]], second: Mapping[str, list[EvalRow]]
) -> dict[str, dict[str, Any]]:
    found = {}
    for name in SHARE_TYPES:
        ids = [key for key, draws in first.items() if QUESTION_TYPES[name](draws[0])]
        if ids:
            estimate = paired_difference(
                [_reasoning_share(first[key]) for key in ids],
                [_reasoning_share(second[key]) for key in ids],
                [first[key][0].clip_id for key in ids],
            ).estimate
            interval = [estimate.low, estimate.high]
            found[name] = {"n": len(ids), "difference": estimate.mean, "ci95": interval}
    return found


def _reasoning_share(draws: Sequence[EvalRow]) -> float:
    return sum(row.strategy == "reason" for row in draws) / len(draws)


def _expected_drift(
    strategies: Mapping[str, Any],
    reasoning: Mapping[str, Any],
    observational_frac: float,
    betas: Mapping[str, float],
) -> dict[str, Any] | None:
    odds = {name: _odds(strategies["base"], name) for name in ("reason", "describe")}
    reason, describe = odds["reason"], odds["describe"]
    if reason is None or describe is None:
        return None
    point = PhasePoint(
        reason=reason,
        describe=describe,
        observational_frac=observational_frac,
        reason_share=_mixed_share(reasoning["models"]["base"], observational_frac),
        bias_reason_share=_mixed_share(reasoning["models"]["bias"], observational_frac),
    )
    return {
        "reason": {"observational": reason.observational, "inferential": reason.inferential},
        "describe": {"observational": describe.observational, "inferential": describe.inferential},
        "observational_frac": observational_frac,
        "reason_share": point.reason_share,
        "bias_reason_share": point.bias_reason_share,
        "expected_drift": {"grpo": drift(point)}
        | {name: drift(point, beta) for name, beta in betas.items()},
        "betas": dict(betas),
    }


def _odds(strategies: Mapping[str, Any], name: str) -> StrategyOdds | None:
    found = [
        strategies.get(label, {}).get(name, {}).get("accuracy")
        for label in ("observational", "inferential")
    ]
    return None if None in found else StrategyOdds(*found)


def _mixed_share(shares: Mapping[str, Any], observational_frac: float) -> float:
    """The share on the training mixture, from the shares on each type."""
    on_observational = float(shares["observational"]["share"])
    on_inferential = float(shares["inferential"]["share"])
    return observational_frac * on_observational + (1.0 - observational_frac) * on_inferential
