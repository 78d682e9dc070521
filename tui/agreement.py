"""Agreement with the bias model and accuracy by question type, of the rollouts of some steps.

Where CDPO works, the policy stops giving the bias model's answers to the questions that the bias
model gets wrong, so agreement falls on inferential questions first.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from textual.content import Content

from tui.accuracy import interval_words, rollout_shares
from tui.literal import joined, lines, literal
from tui.trail import WINDOW
from vtk.format import MISSING, format_count, format_percent
from vtk.runs.events import QUESTION_TYPES
from vtk.runs.snapshot import RunState, TypeAccuracy

_NAME_CELLS: Final = 19
_CELLS: Final = 19
_NOT_RECORDED: Final = "not recorded by this run (--set record.bias_answers=true)"


def agreement_content(state: RunState, width: int, height: int) -> Content:
    """A line that names the types, and one each for agreement now, at first, and accuracy.

    Args:
        state: The run.
        width: Cells across; as many question types as fit.
        height: Lines; with fewer than four agreement at first is left out.
    """
    last = rollout_shares(state, "bias_agreement", state.step - WINDOW + 1, state.step)
    at_first = rollout_shares(state, "bias_agreement", 1, WINDOW)
    right = rollout_shares(state, "acc", state.step - WINDOW + 1, state.step)
    types = [name for name in QUESTION_TYPES if name in {*last, *at_first, *right}]
    shown = types[: max(1, (width - _NAME_CELLS) // _CELLS)]
    rows = [
        _row(f"last {WINDOW} steps", [literal(name, "bold") for name in shown]),
        _row("as the bias model", _cells(last, shown)),
        _row(f"- in the first {WINDOW}", _cells(at_first, shown)),
        _row("right answers", _cells(right, shown)),
    ]
    if not last:
        rows[1] = joined(_padded(literal("as the bias model"), _NAME_CELLS), literal(_NOT_RECORDED))
    if height < len(rows) or not at_first or state.step <= WINDOW:
        del rows[2]
    return lines(rows, width)


def _row(name: str, cells: list[Content]) -> Content:
    told = [_padded(cell, _CELLS) for cell in cells]
    return joined(_padded(literal(name, "$foreground-muted"), _NAME_CELLS), *told)


def _cells(shares: Mapping[str, TypeAccuracy], types: Sequence[str]) -> list[Content]:
    return [_cell(shares.get(name)) for name in types]


def _cell(share: TypeAccuracy | None) -> Content:
    if share is None:
        return literal(MISSING)
    told = f"{format_percent(share.accuracy, 0)} {interval_words(share, 0)} "
    return joined(literal(told), literal(f"n {format_count(share.n)}", "$foreground-muted"))


def _padded(content: Content, cells: int) -> Content:
    return content.pad_right(max(0, cells - content.cell_length))
