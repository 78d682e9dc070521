"""Which labelled rows go into which file, and how they are changed on the way."""

from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256

from vtk.data.intervention import remove_intervention
from vtk.data.problem import build_problem
from vtk.data.spilled_rows import Row
from vtk.errors import DataError
from vtk.format import format_percent


def bias_rows(rows: Sequence[Row], bias_questions: str) -> Iterator[Row]:
    """The observational rows, which the bias model is trained on.

    Args:
        rows: Labelled rows.
        bias_questions: `original`, or `modified` to take the intervention out of each question.

    Raises:
        DataError: A question's intervention cannot be taken out.
    """
    for row in rows:
        if row["label"] == "observational":
            yield row if bias_questions == "original" else without_intervention(row)


def thin_out(rows: Sequence[Row], observational_frac: float, seed: int) -> list[Row]:
    """As many rows as possible, in order, of which this share is observational.

    Args:
        rows: Labelled rows.
        observational_frac: The wanted share, between 0 and 1.
        seed: Which rows of the type that is too frequent stay.

    Raises:
        DataError: One of the two types is missing.
    """
    count = Counter(row["label"] for row in rows)
    num_observational, num_inferential = count["observational"], count["inferential"]
    if not num_observational or not num_inferential:
        raise DataError(
            f"cannot reach {format_percent(observational_frac)} observational questions: there are "
            f"{num_observational} observational and {num_inferential} inferential ones"
        )
    odds = observational_frac / (1 - observational_frac)
    keep = {
        "observational": min(num_observational, round(num_inferential * odds)),
        "inferential": min(num_inferential, round(num_observational / odds)),
    }
    kept: set[str] = set()
    for label, num_kept in keep.items():
        ids = sorted(
            (row["sample_id"] for row in rows if row["label"] == label),
            key=lambda sample_id: sha256(f"{seed}:{sample_id}".encode()).digest(),
        )
        kept.update(ids[: max(1, num_kept)])
    return [row for row in rows if row["sample_id"] in kept]


def without_intervention(row: Row) -> Row:
    """The same row asking about the clip as it is.

    Raises:
        DataError: The question's form is unknown.
    """
    try:
        question = remove_intervention(row["question"])
    except ValueError as error:
        raise DataError(
            f"scene {row['scene_index']}, question {row['question_id']}: {error}",
            "Write the bias file with --bias-questions original.",
        ) from error
    problem = build_problem(question, row["options"])
    return row | {"question": question, "problem": problem, "intervention_removed": True}
