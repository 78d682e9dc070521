"""Runs the programs of counterfactual questions as far as the split needs them.

A program is a list of words in postfix order. The official executor answers a question by running
an option's program and then the question's. Which pairs would collide without an object needs a
simulator (the gold answers come from the file), so here the option's program gives the pair that
the option names, and the question's program gives the object that is removed and whether the
verdict is negated. Operators and their arguments: chuangg/CLEVRER:executor/executor.py. Data files
and that executor spell some operators differently; both spellings are accepted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeVar

from vtk.data.clevrer import (
    COLORS,
    MATERIALS,
    SHAPES,
    MalformedRowError,
    Pair,
    SceneObject,
)

_T = TypeVar("_T")
SceneObjects = Mapping[int, SceneObject]
SPELLINGS = {"get_counterfact": "filter_counterfact"}
_WORDS = frozenset((*COLORS, *MATERIALS, *SHAPES))


@dataclass(frozen=True, slots=True)
class Intervention:
    """Which object a counterfactual question removes, and whether it asks what will not happen."""

    removed_id: int
    is_negated: bool


@dataclass(frozen=True, slots=True)
class _Objects:
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Object:
    object_id: int


@dataclass(frozen=True, slots=True)
class _Events:
    pairs: tuple[Pair, ...]
    removed_id: int | None = None


@dataclass(frozen=True, slots=True)
class _Event:
    """One event; without a pair it stands for the option, which a question's program takes."""

    pair: Pair | None


@dataclass(frozen=True, slots=True)
class _Verdict:
    removed_id: int | None
    is_negated: bool = False


_Value = _Objects | _Object | _Events | _Event | _Verdict | str


def read_option(program: Sequence[str], objects: SceneObjects) -> Pair:
    """The pair of objects that an option says collide.

    Raises:
        MalformedRowError: The program does not run or does not end with one event.
    """
    result = _Machine(objects, []).run(program)
    if not isinstance(result, _Event) or result.pair is None:
        raise MalformedRowError("an option's program does not end with one event")
    return result.pair


def read_question(program: Sequence[str], objects: SceneObjects) -> Intervention:
    """The object that a question removes, and its polarity.

    Raises:
        MalformedRowError: The program does not run or does not ask about a removed object.
    """
    result = _Machine(objects, [_Event(None)]).run(program)
    if not isinstance(result, _Verdict):
        raise MalformedRowError("the question's program does not end with a verdict")
    if result.removed_id is None:
        raise MalformedRowError("the question's program removes no object")
    return Intervention(result.removed_id, result.is_negated)


class _Machine:
    """A stack of values and the operators on it."""

    def __init__(self, objects: SceneObjects, stack: list[_Value]) -> None:
        self._objects = objects
        self._stack = stack
        self._operators: dict[str, Callable[[], _Value]] = {
            "objects": lambda: _Objects(tuple(sorted(objects))),
            "all_events": lambda: _Events(tuple(combinations(sorted(objects), 2))),
            "filter_color": lambda: self._filter_attribute("color"),
            "filter_material": lambda: self._filter_attribute("material"),
            "filter_shape": lambda: self._filter_attribute("shape"),
            "unique": self._unique,
            "filter_collision": self._filter_collision,
            "filter_counterfact": self._filter_counterfact,
            "belong_to": self._belong_to,
            "negate": self._negate,
        }

    def run(self, program: Sequence[str]) -> _Value:
        for word in program:
            if word in _WORDS:
                self._stack.append(word)
                continue
            operator = self._operators.get(SPELLINGS.get(word, word))
            if operator is None:
                raise MalformedRowError(f"unknown word {word!r} in a program")
            self._stack.append(operator())
        if len(self._stack) != 1:
            raise MalformedRowError(f"a program leaves {len(self._stack)} values instead of one")
        return self._stack[0]

    def _pop(self, kind: type[_T], operator: str) -> _T:
        if not self._stack:
            raise MalformedRowError(f"{operator!r} lacks an argument")
        value = self._stack.pop()
        if not isinstance(value, kind):
            found = type(value).__name__.lstrip("_").lower()
            wanted = kind.__name__.lstrip("_").lower()
            raise MalformedRowError(f"{operator!r} needs {wanted}, found {found}")
        return value

    def _filter_attribute(self, attribute: str) -> _Objects:
        operator = f"filter_{attribute}"
        wanted = self._pop(str, operator)
        among = self._pop(_Objects, operator)
        kept = (i for i in among.ids if getattr(self._objects[i], attribute) == wanted)
        return _Objects(tuple(kept))

    def _unique(self) -> _Object | _Event:
        found = self._stack.pop() if self._stack else None
        if isinstance(found, _Objects):
            return _Object(_only(found.ids, "objects"))
        if isinstance(found, _Events):
            return _Event(_only(found.pairs, "events"))
        raise MalformedRowError("'unique' needs objects or events")

    def _filter_collision(self) -> _Events:
        wanted = self._pop(_Object, "filter_collision")
        events = self._pop(_Events, "filter_collision")
        kept = tuple(pair for pair in events.pairs if wanted.object_id in pair)
        return replace(events, pairs=kept)

    def _filter_counterfact(self) -> _Events:
        removed = self._pop(_Object, "filter_counterfact")
        events = self._pop(_Events, "filter_counterfact")
        return replace(events, removed_id=removed.object_id)

    def _belong_to(self) -> _Verdict:
        events = self._pop(_Events, "belong_to")
        self._pop(_Event, "belong_to")
        return _Verdict(events.removed_id)

    def _negate(self) -> _Verdict:
        verdict = self._pop(_Verdict, "negate")
        return replace(verdict, is_negated=not verdict.is_negated)


def _only(found: Sequence[_T], kind: str) -> _T:
    if len(found) != 1:
        raise MalformedRowError(f"'unique' found {len(found)} {kind} instead of one")
    return found[0]
