"""The published recipe's rule for every benchmark, faults included.

Source: falonss703/VideoThinker:src/eval/eval_bench.py, which repeats
tulerfeng/Video-R1:src/eval_bench.py; restated here in our own words.

The answer is what stands in the first `<answer>` block, stripped, wherever it stands; without one,
or when it is empty, the whole completion, stripped. Then by the kind of the question:

* choice: 1 if the answer equals the solution, character for character. "A." and "a" are wrong, and
  so is "A, C" for "A,C".
* numerical: both with or both without a "." or ",", and equal after rounding to two decimals;
  commas are dropped before reading.
* regression: share of the thresholds 0.50, 0.55 … 0.95 that 1 − relative error exceeds.
* everything else (free-form): 0.
"""

from vtk.scoring.verdicts import Asked, Verdict, answer_blocks

_NUM_THRESHOLDS = 10


def recipe_verdict(completion: str, asked: Asked) -> Verdict:
    """The recipe's score of one completion.

    >>> recipe_verdict("<think>x</think><answer>B</answer>", Asked("choice", ("x", "y"), "B"))
    Verdict(score=1.0, said='B')
    """
    answer = recipe_answer(completion)
    match asked.kind:
        case "numerical":
            score = _numerical(answer, asked.solution)
        case "regression":
            score = _relative_accuracy(answer, asked.solution)
        case "free-form":
            score = 0.0
        case _:
            score = float(answer == asked.solution)
    return Verdict(score, answer or None)


def recipe_answer(completion: str) -> str:
    """What the recipe takes for the answer."""
    blocks = answer_blocks(completion)
    return (blocks[0] if blocks else "") or completion.strip()


def _numerical(answer: str, solution: str) -> float:
    if _has_decimals(answer) != _has_decimals(solution):
        return 0.0
    said, gold = _number(answer), _number(solution)
    if said is None or gold is None:
        return 0.0
    return float(round(said, 2) == round(gold, 2))


def _has_decimals(text: str) -> bool:
    return "." in text or "," in text


def _relative_accuracy(answer: str, solution: str) -> float:
    said, gold = _number(answer), _number(solution)
    if said is None or gold is None:
        return 0.0
    error = abs(said - gold) / (abs(gold) + 1e-8)
    num_met = sum(error < 0.5 - 0.05 * step for step in range(_NUM_THRESHOLDS))
    return num_met / _NUM_THRESHOLDS


def _number(text: str) -> float | None:
    """A finite number, commas dropped; None for anything else."""
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return None
    return value if abs(value) != float("inf") and value == value else None
