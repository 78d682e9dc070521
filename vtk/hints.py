"""What the hint of an error says: the name that was meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest_hint(name: str, known: Iterable[str], what: str) -> str:
    """A hint for a name that is none of the known ones: the one that was meant, and all of them.

    Args:
        name: As the user gave it.
        known: All that there are.
        what: What they are called, with a capital: "Suites".
    """
    names = {known_name.lower(): known_name for known_name in known}
    near = get_close_matches(name.lower(), names, n=1)
    meant = f"Did you mean {names[near[0]]}? " if near else ""
    return f"{meant}{what}: {', '.join(names.values())}."
