"""The questions on which compared runs part ways, as plain data.

Two runs part ways where their scores differ, or where both are wrong with different answers. Every
text is made visible (`vtk.format.visible_text`) and cut to a length here, once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from vtk.evals.compare import GradedRun, shared_protocol
from vtk.evals.record import EvalRow
from vtk.evals.results import SCORE, question_score, question_types, scorings
from vtk.format import visible_text

MAX_QUESTIONS: Final = 10_000
"""Questions that one page holds; more make a file that a browser opens slowly."""

MAX_TEXT_CHARS: Final = 3_000
MAX_DRAWS: Final = 4
_ALL: Final = "all"


@dataclass(frozen=True)
class Differing:
    """One question that the runs answered differently.

    Attributes:
        suite: The name of the results.
        rows: Each run's completions of it, the baseline's first.
        facts: What the page shows of it, as JSON data.
    """

    suite: str
    rows: Sequence[Sequence[EvalRow]]
    facts: dict[str, Any] = field(compare=False)

    @property
    def asked(self) -> EvalRow:
        """What was asked: the same in all runs."""
        return self.rows[0][0]


def differing_questions(suite: str, runs: Sequence[GradedRun]) -> list[Differing]:
    """The questions of one suite on which the runs part ways, in a random order that is always the
    same, so that the first ones are a fair sample of all.

    Args:
        suite: The name of the results.
        runs: At least two; only questions that all answered count.
    """
    common = set.intersection(*(set(run.questions) for run in runs))
    first = [draws[0] for draws in runs[0].questions.values()]
    types = question_types(first)
    score, counts = next(iter(scorings(first, shared_protocol(runs)).values()))
    found = []
    for sample_id in sorted(common, key=lambda key: sha256(key.encode()).digest()):
        rows = [run.questions[sample_id] for run in runs]
        is_counted = all(counts(row) for draws in rows for row in draws)
        if not is_counted or not _part_ways(rows, score):
            continue
        asked = rows[0][0]
        kinds = [name for name, belongs in types.items() if name != _ALL and belongs(asked)]
        found.append(Differing(suite, rows, _facts(suite, kinds, rows, score)))
    return found


def _part_ways(rows: Sequence[Sequence[EvalRow]], score: str) -> bool:
    scores = {question_score(draws, score) for draws in rows}
    answers = {tuple(sorted(str(said(row, score)) for row in draws)) for draws in rows}
    return len(scores) > 1 or len(answers) > 1


def _facts(
    suite: str, kinds: Sequence[str], rows: Sequence[Sequence[EvalRow]], score: str
) -> dict[str, Any]:
    asked = rows[0][0]
    return {
        "suite": visible_text(suite),
        "types": [visible_text(kind) for kind in kinds],
        "id": visible_text(asked.sample_id),
        "clip": visible_text(asked.clip_id),
        "problem": shown(asked.problem),
        "solution": shown(asked.solution),
        "scores": [round(question_score(draws, score), 4) for draws in rows],
        "answers": [[_answer(row, score) for row in draws[:MAX_DRAWS]] for draws in rows],
        "num_draws": len(rows[0]),
        "frames": None,
    }


def _answer(row: EvalRow, score: str) -> Mapping[str, Any]:
    fault = None if row.error is None else f"{row.error['kind']}: {row.error['message']}"
    return {
        "said": shown(said(row, score)),
        "completion": shown(row.completion if fault is None else fault),
        "is_error": fault is not None,
        "is_cut": row.is_truncated,
    }


def said(row: EvalRow, score: str) -> str | None:
    """The answer that counted: the protocol's reading where its score does, else the grader's."""
    if score == SCORE:
        return row.said
    return "none" if row.parsed == "" else row.parsed


def shown(text: str | None) -> str | None:
    """Text for the page: nothing invisible in it, and not too long."""
    if text is None:
        return None
    kept = text[:MAX_TEXT_CHARS]
    lines = [visible_text(line, max_chars=MAX_TEXT_CHARS) for line in kept.split("\n")]
    left = len(text) - len(kept)
    return "\n".join(lines) + (f"\n[… {left} more characters]" if left else "")
