"""The numbers behind a report on several models: plain data, no layout."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vtk.errors import DataError
from vtk.evals.compare import difference_by_type
from vtk.evals.record import EvalRow
from vtk.evals.results import (
    QUESTION_TYPES,
    estimate_accuracy,
    group_by_question,
    summarise_strategies,
)

RowsByModel = Mapping[str, Sequence[EvalRow]]
_REPORTED_TYPES: Final = ("observational", "inferential", "all", "single", "multi")


def report_numbers(rows_by_model: RowsByModel) -> dict[str, Any]:
    """Accuracy of each model by question type, and the paired difference of each two.

    Args:
        rows_by_model: Model name -> its graded completions; all of the same questions.

    Returns:
        `models.<name>.<type>.{n, strict, ci95, per_option, partial, num_errors}` (ci95 is that of
        strict), `strategies.<name>` and `paired.<second>-<first>.<type>`, second minus first under
        the strict protocol, for each two models in the order given.

    Raises:
        DataError: The models did not answer the same questions.
    """
    questions = {name: _by_id(rows) for name, rows in rows_by_model.items()}
    ids = _same_questions(questions)
    names = list(questions)
    pairs = [(first, second) for i, first in enumerate(names) for second in names[i + 1 :]]
    return {
        "models": {name: _numbers([questions[name][i] for i in ids]) for name in names},
        "strategies": {name: summarise_strategies(rows_by_model[name]) for name in names},
        "paired": {
            f"{second}-{first}": difference_by_type(
                [questions[first][i] for i in ids], [questions[second][i] for i in ids]
            )["strict"]
            for first, second in pairs
        },
    }


def _numbers(questions: Sequence[list[EvalRow]]) -> dict[str, dict[str, Any]]:
    found = {}
    for name in _REPORTED_TYPES:
        asked = [draws for draws in questions if QUESTION_TYPES[name](draws[0])]
        estimates = {p: estimate_accuracy(asked, p) for p in ("strict", "per_option", "partial")}
        strict = estimates["strict"]
        found[name] = {
            "n": len(asked),
            **{p: estimate.mean if estimate else None for p, estimate in estimates.items()},
            "ci95": [strict.low, strict.high] if strict else None,
            "num_errors": sum(any(row.error for row in draws) for draws in asked),
        }
    return found


def _by_id(rows: Sequence[EvalRow]) -> dict[str, list[EvalRow]]:
    return {draws[0].sample_id: draws for draws in group_by_question(rows)}


def _same_questions(questions: Mapping[str, Mapping[str, list[EvalRow]]]) -> list[str]:
    sets = {name: set(found) for name, found in questions.items()}
    first = next(iter(sets))
    for name, found in sets.items():
        if found != sets[first]:
            raise DataError(
                f"{name} and {first} answered different questions "
                f"({len(found)} and {len(sets[first])}, {len(found & sets[first])} in common)"
            )
    return list(questions[first])
