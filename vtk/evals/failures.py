"""When an evaluation ends because nothing works, instead of counting every question as wrong.

Single questions may fail, also many of one missing clip: their rows are errors and count as wrong.
Two things are no matter of single questions: that from the first one on none was answered, and that
what makes the completions has stopped working. Questions are counted, not their draws.
"""

from typing import Final

from vtk.errors import VtkError
from vtk.evals.record import EvalRow

MAX_FAILURES: Final = 16
"""Questions in a row that must fail before an evaluation ends."""

_ENGINE_KIND: Final = "generate"
_RETRY: Final = "repeat the command with --retry-errors: without it, it goes on after them"


class FailureWatch:
    """Looks at every row of one attempt, in order.

    Args:
        is_first: Whether this attempt begins with the suite's first question and nothing is done
            yet. Only there is it odd that the first ones fail: elsewhere they may be those of a
            clip that is not here.
    """

    def __init__(self, is_first: bool) -> None:
        self._is_starting = is_first
        self._failed_at_start: set[str] = set()
        self._failed_in_engine: set[str] = set()

    def check(self, row: EvalRow) -> None:
        """Take in one row.

        Raises:
            VtkError: Nothing works; the row counts none the less.
        """
        if row.error is None:
            self._is_starting = False
            self._failed_in_engine.clear()
            return
        if row.error["kind"] == _ENGINE_KIND:
            self._failed_in_engine.add(row.sample_id)
        if self._is_starting:
            self._failed_at_start.add(row.sample_id)
        what = f"({row.error['kind']}); the last: {row.error['message']}"
        if len(self._failed_at_start) == MAX_FAILURES:
            raise VtkError(
                f"the first {MAX_FAILURES} questions all failed {what}",
                f"Mend the cause, then {_RETRY}.",
            )
        if len(self._failed_in_engine) == MAX_FAILURES:
            raise VtkError(
                f"{MAX_FAILURES} questions in a row found no answer {what}",
                f"What makes the completions has stopped working; mend the cause, then {_RETRY}.",
            )
