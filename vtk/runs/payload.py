"""Typed access to an event's payload: a ValueError names what is missing or of the wrong kind."""

from collections.abc import Mapping
from typing import Any

from vtk.format import visible_text
from vtk.runs.events import is_count, is_number
from vtk.runs.snapshot import TypeAccuracy

Event = Mapping[str, Any]


def count(event: Event, name: str) -> int:
    """Return a whole number of at least 0."""
    value = optional_count(event, name)
    if value is None:
        raise ValueError(f"{name} is missing")
    return value


def optional_count(event: Event, name: str) -> int | None:
    """Return a whole number of at least 0, or None where it is missing or null."""
    value = event.get(name)
    if value is None:
        return None
    if not is_count(value):
        raise ValueError(
            f"{name} must be a whole number of at least 0, not {visible_text(value, 40)}"
        )
    return int(value)


def optional_number(event: Event, name: str) -> float | None:
    """Return a number, or None where it is missing or null."""
    value = event.get(name)
    return None if value is None else _float(value, name)


def text(event: Event, name: str) -> str:
    """Return a text."""
    value = optional_text(event, name)
    if value is None:
        raise ValueError(f"{name} is missing")
    return value


def optional_text(event: Event, name: str) -> str | None:
    """Return a text, or None where it is missing or null."""
    value = event.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} must be text, not {visible_text(value, 40)}")
    return value


def mapping(event: Event, name: str) -> Mapping[str, Any]:
    """Return an object; empty where it is missing or null."""
    value = event.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object, not {visible_text(value, 40)}")
    return value


def numbers(event: Event, name: str) -> dict[str, float]:
    """Return an object of numbers without those that are null."""
    inner = mapping(event, name)
    found: dict[str, float] = {}
    for key, value in inner.items():
        # A log has millions of these, nearly all plain floats: they take no detour.
        number = value if type(value) is float else optional_number(inner, key)
        if number is not None:
            found[key] = number
    return found


def objects(event: Event, name: str) -> tuple[Mapping[str, Any], ...]:
    """Return a list of objects; empty where it is missing or null."""
    value = event.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError(f"{name} must be a list of objects")
    return tuple(value)


def per_type(event: Event) -> dict[str, TypeAccuracy]:
    """Return the accuracies of an `eval_result`, by question type."""
    inner = mapping(event, "per_type")
    return {name: _accuracy(mapping(inner, name)) for name in inner}


def _accuracy(facts: Event) -> TypeAccuracy:
    return TypeAccuracy(count(facts, "n"), optional_number(facts, "accuracy"), _interval(facts))


def _interval(facts: Event) -> tuple[float, float] | None:
    value = facts.get("ci95")
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("ci95 must be two numbers")
    return _float(value[0], "ci95"), _float(value[1], "ci95")


def _float(value: Any, name: str) -> float:
    if not is_number(value):
        raise ValueError(f"{name} must be a number, not {visible_text(value, 40)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is too large for a float") from None
