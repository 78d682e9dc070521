"""Which steps of a run have completions, followed while the run grows.

The event log says it: a resumed run leaves files of steps that it has not made again, and these
belong to nothing. Only the events that matter are parsed, so a long log opens at once.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from vtk.errors import DataError
from vtk.runs import events, payload
from vtk.runs.reader import EventTail
from vtk.runs.store import RunPaths, read_json

DEFAULT_NUM_GENERATIONS: Final = 8


class StepIndex:
    """The steps of one run that have completions, and how many; not safe between threads.

    Args:
        paths: The run; it may hold nothing yet.
    """

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths
        self.counts: dict[int, int] = {}
        self.num_generations = num_generations(paths)
        self._num_restarts, self._seen_seq = 0, -1
        self._tail, self._waiting = self._new_tail(), deque[dict[str, Any]]()

    def poll(self, last_seq: int | None = None) -> set[int]:
        """Read what is new, and return the steps that were added, made again or dropped.

        Args:
            last_seq: In a replay, the last event that counts; going back reads the log anew.

        Raises:
            DataError: The log is there but cannot be read.
        """
        changed: set[int] = set()
        if last_seq is not None and last_seq < self._seen_seq:
            changed |= self._rewind()
        self._waiting.extend(self._tail.poll())
        if self._tail.num_restarts != self._num_restarts:
            changed |= self._rewind()
            self._waiting.extend(self._tail.poll())
        while self._waiting and (last_seq is None or self._waiting[0]["seq"] <= last_seq):
            event = self._waiting.popleft()
            self._seen_seq = max(self._seen_seq, event["seq"])
            changed |= self._take(event)
        return changed

    @property
    def num_completions(self) -> int:
        """Completions of all steps."""
        return sum(self.counts.values())

    def num_groups(self, step: int) -> int:
        """Groups that a step should have, by its number of completions."""
        return -(-self.counts[step] // self.num_generations)

    def _rewind(self) -> set[int]:
        """Begin with the log again, and return the steps that were known."""
        known = {*self.counts}
        self.counts.clear()
        self._waiting.clear()
        self._num_restarts, self._seen_seq, self._tail = 0, -1, self._new_tail()
        return known

    def _new_tail(self) -> EventTail:
        return EventTail(self.paths.events, types=(events.ROLLOUTS, events.ATTEMPT_STARTED))

    def _take(self, event: dict[str, Any]) -> set[int]:
        try:
            if event["type"] == events.ROLLOUTS:
                step = payload.count(event, "step")
                self.counts[step] = payload.count(event, "count")
                return {step}
            kept_step = payload.optional_count(event, "resumed_from_step") or 0
        except ValueError:
            return set()  # counted and shown by whoever follows the whole log
        dropped = {step for step in self.counts if step > kept_step}
        for step in dropped:
            del self.counts[step]
        return dropped


def num_generations(paths: RunPaths) -> int:
    """Completions per prompt by the run's settings; the usual number where they cannot be read."""
    try:
        config = read_json(paths.config_json).get("config")
    except DataError:
        return DEFAULT_NUM_GENERATIONS
    rollout = config.get("rollout") if isinstance(config, dict) else None
    number = rollout.get("num_generations") if isinstance(rollout, dict) else None
    return number if events.is_count(number) and number > 0 else DEFAULT_NUM_GENERATIONS


def newest_first(steps: Sequence[int]) -> list[int]:
    """Steps in the order in which they are looked at."""
    return sorted(steps, reverse=True)
