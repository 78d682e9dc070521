"""The samples of one run for a screen: index, files, ranking and pictures behind one lock.

Every method reads files and so is called from a worker thread; what they return never changes
afterwards and may be used anywhere.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Final

from tui.samples.files import StepFiles, StepGroups, read_groups
from tui.samples.index import StepIndex, newest_first
from tui.samples.query import (
    GroupFacts,
    GroupRef,
    Listing,
    Query,
    contains,
    facts_of,
    plain_listing,
    ranked_listing,
)
from tui.samples.rows import Group
from vtk.errors import DataError
from vtk.format import visible_text
from vtk.runs.frame_strip import FrameStrip, decode_strip
from vtk.runs.store import RunPaths

_STRIP_NAME: Final = re.compile(r"[0-9a-f]{8,64}\.png")
_MAX_STRIP_BYTES: Final = 2**26
_STEPS_BEFORE_PROGRESS: Final = 64


@dataclass(frozen=True, slots=True)
class Loaded:
    """Groups that were asked for; None for one that its file does not hold, with what is said."""

    groups: dict[GroupRef, Group | None]
    notices: dict[int, str]


class SampleBrowser:
    """Everything that is looked up in one run's completions.

    Args:
        paths: The run.
    """

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths
        self._lock = Lock()
        self._index = StepIndex(paths)
        self._files = StepFiles(paths)
        self._num_groups: dict[int, int] = {}
        self._facts: dict[int, tuple[GroupFacts, ...]] = {}

    def poll(self, last_seq: int | None = None) -> set[int]:
        """Read what the run has added, and return the steps that are new, made again or gone.

        Args:
            last_seq: In a replay, the last event that counts.

        Raises:
            DataError: The event log cannot be read.
        """
        with self._lock:
            changed = self._index.poll(last_seq)
            for step in changed:
                self._files.forget(step)
                self._num_groups.pop(step, None)
                self._facts.pop(step, None)
            return changed

    @property
    def num_completions(self) -> int:
        """Completions of the run, as its log counts them."""
        with self._lock:
            return self._index.num_completions

    def listing(
        self,
        query: Query,
        on_progress: Callable[[Listing], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> Listing:
        """The groups that a query asks for.

        Args:
            query: What is asked; the plain one is answered without a look into the files.
            on_progress: Told of what was found so far, now and then.
            is_cancelled: Asked before each file; a yes ends the search with what was found.
        """
        counts = self._counts()
        if query.is_plain:
            return plain_listing(counts)
        num_groups = sum(number for _, number in counts)
        found: list[GroupFacts] = []
        num_searched, next_told = 0, _STEPS_BEFORE_PROGRESS
        for done, (step, number) in enumerate(counts, start=1):
            if is_cancelled is not None and is_cancelled():
                break
            found += self._matching(step, query.text)
            num_searched += number
            if on_progress is not None and done >= next_told:
                next_told = 2 * done
                on_progress(ranked_listing(found, query, num_searched, num_groups))
        return ranked_listing(found, query, num_searched, num_groups)

    def load(self, refs: Iterable[GroupRef]) -> Loaded:
        """The groups that a screen shows."""
        groups: dict[GroupRef, Group | None] = {}
        notices: dict[int, str] = {}
        for step, place in refs:
            with self._lock:
                held = self._files.read(step)
                self._num_groups[step] = max(len(held.groups), 1)
            groups[step, place] = held.groups[place] if place < len(held.groups) else None
            if said := _notice(held):
                notices[step] = said
        return Loaded(groups, notices)

    def strip(self, name: str) -> FrameStrip:
        """The small pictures of a clip.

        Raises:
            DataError: They are missing or damaged.
        """
        path = self.paths.frames_dir / name
        if not _STRIP_NAME.fullmatch(name):
            raise DataError(f"{visible_text(name)!r} names no pictures")
        try:
            if not path.is_file() or path.stat().st_size > _MAX_STRIP_BYTES:
                raise DataError(f"the pictures {name} are not there")
            return decode_strip(path.read_bytes())
        except OSError as error:
            raise DataError(f"cannot read {name}: {error.strerror or error}") from error
        except ValueError as error:
            raise DataError(f"the pictures {name} are damaged: {error}") from error

    def _counts(self) -> list[tuple[int, int]]:
        """(step, groups), newest first; by the file where it was read, else by the log."""
        with self._lock:
            steps = newest_first(list(self._index.counts))
            return [
                (step, self._num_groups.get(step) or self._index.num_groups(step)) for step in steps
            ]

    def _matching(self, step: int, text: str) -> tuple[GroupFacts, ...]:
        with self._lock:
            known = self._facts.get(step)
        if known is not None and not text:
            return known
        groups = read_groups(self.paths.rollout_file(step)).groups
        facts = tuple(facts_of(group, place) for place, group in enumerate(groups))
        with self._lock:
            if step in self._index.counts:
                self._facts[step] = facts
        if not text:
            return facts
        return tuple(one for one, group in zip(facts, groups, strict=True) if contains(group, text))


def _notice(held: StepGroups) -> str:
    said = [held.notice] if held.notice else []
    if held.num_unreadable:
        said.append(f"{held.num_unreadable} lines could not be read")
    return "; ".join(said)
