"""Graded questions to numbers: accuracy per protocol and question type, with intervals by clip.

Pure: rows in, plain data out, so that results are recomputed from samples.jsonl at any time without
a model. A question counts once however many completions were drawn: its score is their mean.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from vtk.evals.record import JUDGED_KINDS, EvalRow, RowKey
from vtk.scoring.stats import Estimate, clustered_mean

PROTOCOLS: Final = ("strict", "partial", "per_option", "lenient")
"""Names of `EvalRow`'s accuracies. strict is the headline; lenient reads answers more patiently."""

READINGS: Final = ("strict", "lenient")
"""Those that say something of a question with one correct option."""

SCORE: Final = "score"
"""`EvalRow`'s accuracy by the rule of the protocol that it was asked under."""

QUESTION_TYPES: Final[dict[str, Callable[[EvalRow], bool]]] = {
    "all": lambda _: True,
    "observational": lambda row: row.label == "observational",
    "inferential": lambda row: row.label == "inferential",
    "single": lambda row: row.num_correct == 1,
    "multi": lambda row: row.num_correct > 1,
}

TypeResults = dict[str, dict[str, Any]]


def summarise(rows: Sequence[EvalRow], protocol: str | None = None) -> dict[str, TypeResults]:
    """Accuracy by protocol and question type.

    Args:
        rows: Graded questions; errors among them count as wrong.
        protocol: The name under which the score by the protocol's rule is given; None where the
            rows have none.

    Returns:
        protocol -> type -> {n, accuracy, ci95, num_errors, num_clips, method}; accuracy and ci95
        are None where n is 0.
    """
    questions = group_by_question(rows)
    types = question_types(rows)
    return {
        name: {
            kind: _summarise_type(
                [q for q in questions if belongs(q[0]) and all(counts(row) for row in q)], score
            )
            for kind, belongs in types.items()
        }
        for name, (score, counts) in scorings(rows, protocol).items()
    }


def scorings(
    rows: Iterable[EvalRow], protocol: str | None
) -> dict[str, tuple[str, Callable[[EvalRow], bool]]]:
    """Name of an accuracy -> `EvalRow`'s field that holds it, and whether it counts a row.

    Args:
        rows: Graded questions.
        protocol: The name of the protocol that the questions were asked under, if there is one.
    """
    readings = READINGS if any(row.types for row in rows) else PROTOCOLS
    found: dict[str, tuple[str, Callable[[EvalRow], bool]]] = {}
    if protocol is not None:
        found[protocol] = (SCORE, _is_scored)
    return found | {reading: (reading, _is_lettered) for reading in readings}


def question_types(rows: Iterable[EvalRow]) -> Mapping[str, Callable[[EvalRow], bool]]:
    """Name of a type -> whether a row is of it: CLEVRER's types, or those that the rows carry."""
    groups = {group for row in rows for group in row.types.items()}
    if not groups:
        return QUESTION_TYPES
    types: dict[str, Callable[[EvalRow], bool]] = {"all": QUESTION_TYPES["all"]}
    for grouping, group in sorted(groups):
        types[f"{grouping}: {group}"] = _belongs(grouping, group)
    return types


def _belongs(grouping: str, group: str) -> Callable[[EvalRow], bool]:
    return lambda row: row.types.get(grouping) == group


def _is_lettered(row: EvalRow) -> bool:
    return row.kind == "choice"


def _is_scored(row: EvalRow) -> bool:
    return not row.awaits_judge


def build_results(
    suite: str,
    rows: Mapping[RowKey, EvalRow],
    plan: Sequence[RowKey],
    context: Mapping[str, Any],
    protocol: str | None = None,
) -> dict[str, Any]:
    """The results document of one suite under one protocol.

    Args:
        suite: Its name.
        rows: What has been graded.
        plan: Every question and draw, in order; fixed before the run.
        context: Settings and their hash, copied into the document.
        protocol: The name of the protocol by whose rule the rows were scored; None for the one
            grader alone, whose headline is "strict".

    Returns:
        The document of results.json, with one key per protocol and reading; `headline` names the
        first. It holds no time and no order of
        arrival, so the same rows give the same bytes.
    """
    graded = [rows[key] for key in plan if key in rows]
    return {
        "suite": suite,
        "protocol": protocol or "official",
        "headline": protocol or "strict",
        "complete": len(graded) == len(plan) and all(_is_scored(row) for row in graded),
        "num_questions": len({sample_id for sample_id, _ in plan}),
        "num_completions": len(plan),
        "num_missing": len(plan) - len(graded),
        **summarise(graded, protocol),
        "outcomes": _count_outcomes(graded),
        "statuses": _tally(row.status for row in graded),
        "errors": _tally(row.error["kind"] for row in graded if row.error),
        "format": _share([row.format == 1.0 for row in graded]),
        "truncated": _share([row.is_truncated for row in graded]),
        "mean_completion_tokens": _mean([row.num_tokens for row in graded if row.num_tokens]),
        "mean_video_tokens": _mean(
            [row.num_video_tokens for row in graded if row.num_video_tokens]
        ),
        "strategies": summarise_strategies(graded),
        **context,
    }


def judge_results(
    judge: Mapping[str, Any], rows: Mapping[RowKey, EvalRow], plan: Sequence[RowKey]
) -> dict[str, Any]:
    """What of a suite a judge scores, for its results.

    Args:
        judge: What decides a judgement.
        rows: What has been answered.
        plan: Every question and draw, in order.

    Returns:
        The judge; `kinds`, the questions that it scores, which the pooled accuracy `all` contains;
        and of their answers how many are `num_judged`, how many of those `num_unreadable` (its
        reply names no option: wrong) and how many `num_not_scored`.
    """
    answers = [rows[key] for key in plan if key in rows and rows[key].kind in JUDGED_KINDS]
    judged = [row for row in answers if row.judgement is not None]
    return {
        **judge,
        "kinds": sorted({row.kind for row in answers}),
        "is_in_all": any(not row.awaits_judge for row in answers),
        "num_judged": len(judged),
        "num_unreadable": sum(row.said is None for row in judged),
        "num_not_scored": sum(row.awaits_judge for row in answers),
    }


def group_by_question(rows: Iterable[EvalRow]) -> list[list[EvalRow]]:
    """The draws of each question together, questions in order of first appearance."""
    questions: dict[str, list[EvalRow]] = {}
    for row in rows:
        questions.setdefault(row.sample_id, []).append(row)
    return list(questions.values())


def question_score(draws: Sequence[EvalRow], protocol: str) -> float:
    """Mean score of one question's completions under a protocol."""
    return math.fsum(getattr(row, protocol) for row in draws) / len(draws)


def estimate_accuracy(questions: Sequence[Sequence[EvalRow]], protocol: str) -> Estimate | None:
    """Mean score with its interval, clustered by clip; None without questions."""
    if not questions:
        return None
    scores = [question_score(draws, protocol) for draws in questions]
    return clustered_mean(scores, [draws[0].clip_id for draws in questions])


def event_per_type(results: Mapping[str, Any], protocol: str = "strict") -> TypeResults:
    """The payload of an `eval_result` event: the types that have questions."""
    return {
        name: {key: found[key] for key in ("n", "accuracy", "ci95")}
        for name, found in results[protocol].items()
        if found["n"]
    }


def summarise_strategies(rows: Iterable[EvalRow]) -> dict[str, dict[str, dict[str, Any]]]:
    """How often each strategy is chosen and how often it is right, by question type.

    Returns:
        type -> strategy ("describe", "reason" or "neither") -> {n, share, accuracy}, counted over
        completions; empty where no completion shows a strategy.
    """
    completed = [row for row in rows if row.completion is not None]
    if not any(row.strategy for row in completed):
        return {}
    found = {}
    for name, belongs in QUESTION_TYPES.items():
        asked = [row for row in completed if belongs(row)]
        groups: dict[str, list[float]] = {"describe": [], "reason": [], "neither": []}
        for row in asked:
            groups[row.strategy or "neither"].append(row.strict)
        found[name] = {
            strategy: {
                "n": len(scores),
                "share": len(scores) / len(asked),
                "accuracy": _mean(scores),
            }
            for strategy, scores in groups.items()
            if asked
        }
    return found


def _summarise_type(questions: Sequence[Sequence[EvalRow]], protocol: str) -> dict[str, Any]:
    estimate = estimate_accuracy(questions, protocol)
    return {
        "n": len(questions),
        "accuracy": estimate.mean if estimate else None,
        "ci95": [estimate.low, estimate.high] if estimate else None,
        "num_errors": sum(any(row.error for row in draws) for draws in questions),
        "num_clips": estimate.num_clusters if estimate else 0,
        "method": estimate.method if estimate else None,
    }


def _count_outcomes(rows: Iterable[EvalRow]) -> dict[str, int]:
    """Every completion ends as exactly one of: correct, wrong, unparsable, error, not_scored.

    The last is there where a judge is awaited only.
    """
    counts = {"correct": 0, "wrong": 0, "unparsable": 0, "error": 0}
    for row in rows:
        if row.error:
            counts["error"] += 1
        elif row.awaits_judge:
            counts["not_scored"] = counts.get("not_scored", 0) + 1
        elif (row.parsed if row.score is None else row.said) is None:
            counts["unparsable"] += 1
        else:
            score = row.strict if row.score is None else row.score
            counts["correct" if score == 1.0 else "wrong"] += 1
    return counts


def _tally(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
