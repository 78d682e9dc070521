"""Which steps of a run have completions, followed while the run grows.

The event log says it: a resumed run leaves files of steps that it has not made again, and these
belong to nothing. Only the events that matter are parsed, so a long log opens at once.
"""

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
        self._num_restarts = 0
        self._tail = EventTail(paths.events, types=(events.ROLLOUTS, events.ATTEMPT_STARTED))

    def poll(self) -> set[int]:
        """Read what is new, and return the steps that were added, made again or dropped.

        Raises:
            DataError: The log is there but cannot be read.
        """
        found = self._tail.poll()
        changed: set[int] = set()
        if self._tail.num_restarts != self._num_restarts:
            self._num_restarts = self._tail.num_restarts
            changed |= set(self.counts)
            self.counts.clear()
        for event in found:
            changed |= self._take(event)
        return changed

    @property
    def num_completions(self) -> int:
        """Completions of all steps."""
        return sum(self.counts.values())

    def num_groups(self, step: int) -> int:
        """Groups that a step should have, by its number of completions."""
        return -(-self.counts[step] // self.num_generations)

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
