"""The second pass of an evaluation: a judge scores the kept answers that no rule can.

It asks the model under test nothing, so it can be stopped, repeated and gone on with by itself. An
answer whose judgement fails stays without a score: it is neither right nor wrong.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from vtk.data.sample import Judging
from vtk.errors import AccessError, Interrupted, NetworkError
from vtk.evals.judge import Judge
from vtk.evals.parts import put_in_order
from vtk.evals.peers import ALONE, Peers
from vtk.evals.record import EvalRow, SampleLog, read_rows
from vtk.evals.session import Inquiry, write_results
from vtk.net.chat import CHAT_PATIENCE, Chat, Unanswered
from vtk.net.crew import work_together
from vtk.net.patience import Patience
from vtk.net.transfer import Cancelled
from vtk.scoring.official import answer_text

MAX_FAULTS_IN_A_ROW: Final = 8
MAX_REPLY_CHARS: Final = 2_000
_NUM_THREADS: Final = 8


@dataclass(frozen=True)
class Faults:
    """Why answers stay unjudged.

    Attributes:
        counts: What happened -> how often, for single answers.
        ended_by: What ended the pass before its end; None if nothing did.
        hint: What to do about it.
    """

    counts: Mapping[str, int]
    ended_by: str | None = None
    hint: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"faults": dict(self.counts), "ended_by": self.ended_by, "hint": self.hint}


def judge_inquiry(
    inquiry: Inquiry,
    *,
    on_start: Callable[[int], None] = lambda _: None,
    on_judged: Callable[[], None] = lambda: None,
    should_stop: Callable[[], bool] = lambda: False,
    peers: Peers = ALONE,
    patience: Patience = CHAT_PATIENCE,
) -> dict[str, Any]:
    """Have the kept answers judged that have not been yet, and write results.json.

    Args:
        inquiry: One with a judge, asked before by `vtk.evals.session.run_inquiry`.
        on_start: Called with the number of answers that will be judged.
        on_judged: Called after each, in another thread, never twice at once.
        should_stop: Asked often.
        peers: The processes that shared the questions; the main one judges.
        patience: When to ask the judge again and when to give up.

    Returns:
        The results document.

    Raises:
        Interrupted: `should_stop` said yes; what was judged is kept.
        ConfigError: Another process is writing.
        VtkError: The disk is full.
    """
    if inquiry.judge is None:
        raise ValueError("the inquiry has no judge")
    if not peers.is_main:
        return peers.told_by_main({})
    faults = Faults({})
    with SampleLog(inquiry.folder) as log:
        rows = read_rows(log.path).rows
        waiting = [rows[key] for key in inquiry.plan if key in rows and rows[key].awaits_judge]
        on_start(len(waiting))
        judged = {s.sample_id: s.judging for s in inquiry.samples if s.judging is not None}
        bench = _Bench(inquiry.judge, log, judged, on_judged, should_stop, patience)
        try:
            faults = bench.judge(waiting)
        except Interrupted as stop:
            raise Interrupted(stop.message, "Repeat the command to go on.") from stop
        finally:
            put_in_order(log.path, inquiry.plan)
            results = write_results(inquiry, faults.as_json())
    return peers.told_by_main(results)


class _Bench:
    """Several threads that put answers to one judge, and what they share."""

    def __init__(
        self,
        judge: Judge,
        log: SampleLog,
        judged: Mapping[str, Judging],
        on_judged: Callable[[], None],
        should_stop: Callable[[], bool],
        patience: Patience,
    ) -> None:
        self._identity, self._rule = judge.as_json(), judge.rule
        self._log, self._judged = log, judged
        self._on_judged, self._should_stop = on_judged, should_stop
        self._cancelled = threading.Event()
        self._chat: Chat = judge.connect(self._cancelled, patience)
        self._lock = threading.Lock()
        self._is_closed = False
        self._counts: Counter[str] = Counter()
        self._num_in_a_row = 0

    def judge(self, rows: list[EvalRow]) -> Faults:
        """Have rows judged and append them to the log.

        Raises:
            Interrupted: It was to stop.
            VtkError: The disk is full.
        """
        works = [partial(self._judge_one, row) for row in rows]
        try:
            work_together(works, _NUM_THREADS, self._cancelled, self._look_up)
        except (AccessError, NetworkError) as error:
            return Faults(self._counts, error.message, error.hint)
        except Cancelled:
            hint = "Repeat the command: what was judged is kept."
            why = f"{self._chat.host} failed {MAX_FAULTS_IN_A_ROW} times in a row"
            return Faults(self._counts, why, hint)
        finally:
            with self._lock:  # a thread that a dead connection holds finds the log closed
                self._is_closed = True
        return Faults(self._counts)

    def _look_up(self) -> None:
        """End the pass if it is to stop, also while the judge is silent."""
        if self._should_stop():
            raise Interrupted("stopped between judgements")

    def _judge_one(self, row: EvalRow) -> None:
        self._look_up()
        judging = self._judged[row.sample_id]
        words = self._rule.words(answer_text(row.completion or ""), judging)
        try:
            reply = self._chat.ask(self._rule.system, words)
        except Unanswered as fault:
            self._count(str(fault))
            return
        verdict = self._rule.read(reply, judging)
        judgement = {
            "reply": reply[:MAX_REPLY_CHARS],
            "model": self._identity["model"],
            "prompt_sha256": self._identity["prompt_sha256"],
        }
        self._keep(replace(row, score=verdict.score, said=verdict.said, judgement=judgement))

    def _keep(self, row: EvalRow) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._num_in_a_row = 0
            self._log.append(row)
            self._on_judged()

    def _count(self, why: str) -> None:
        with self._lock:
            self._counts[why] += 1
            self._num_in_a_row += 1
            if self._num_in_a_row >= MAX_FAULTS_IN_A_ROW:
                raise Cancelled
