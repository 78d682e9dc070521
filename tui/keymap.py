"""The user's own keys: a TOML file that gives actions of `tui.keys` other keys.

    [charts]
    zoom-in = "z"
    zoom-out = ["Z", "ctrl+x"]

What is wrong with the file is said before the dashboard opens: a key that does nothing, or does
another thing than expected, would only be found in the middle of a run.
"""

import difflib
import json
import os
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from textual.keys import KEY_NAME_REPLACEMENTS, Keys, key_to_character

from tui.keys import Key
from vtk.errors import ConfigError
from vtk.format import visible_text

KEYS_VARIABLE: Final = "VTK_KEYS"
_MODIFIERS: Final = {"ctrl", "shift", "alt", "meta", "super", "hyper"}
_FIXED: Final = "ctrl+c"
_NAMED: Final = {key.value for key in Keys} | set(KEY_NAME_REPLACEMENTS.values())
_TOGETHER: Final = (
    {"app", "replay", "charts"},
    {"app", "replay", "samples", "list"},
    {"app", "replay", "samples", "group"},
    {"app", "replay", "charts", "compare"},
    {"text"},
)
"""Places whose keys work at the same time."""
_SEE: Final = "vtk dashboard --keys prints every action with its keys."


def keys_file() -> Path:
    """Where the user's keys are: `VTK_KEYS`, else `vtk/keys.toml` in the user's configuration."""
    named = os.environ.get(KEYS_VARIABLE)
    if named:
        return Path(named).expanduser()
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "vtk" / "keys.toml"


def read_keys(table: Sequence[Key]) -> tuple[Key, ...]:
    """Return the table with the user's keys; the table itself where there is no file.

    Raises:
        ConfigError: The file cannot be read, or names what is not there, or gives a key twice.
    """
    path = keys_file()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if os.environ.get(KEYS_VARIABLE):
            hint = f"Make it, or unset {KEYS_VARIABLE}."
            raise ConfigError(f"{_told(path)} is not there", hint) from error
        return tuple(table)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{_told(path)} cannot be read: {visible_text(error)}") from error
    try:
        return remapped(table, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{_told(path)} is not TOML: {visible_text(error)}", _SEE) from error
    except ConfigError as error:
        raise ConfigError(f"{_told(path)}: {error.message}", error.hint) from error


def remapped(table: Sequence[Key], wanted: Mapping[str, Any]) -> tuple[Key, ...]:
    """Return the table with other keys.

    Args:
        table: Every action.
        wanted: Place to name to a key, or a list of keys.

    Raises:
        ConfigError: An action or a key is unknown, or two actions would have one key.
    """
    changes = dict(_changes(table, wanted))
    changed = tuple(
        replace(key, keys=",".join(map(_canonical, given)), display=" or ".join(given))
        if (given := changes.get(key.id))
        else key
        for key in table
    )
    _refuse_clashes(table, changed)
    return changed


def textual_keymap(table: Sequence[Key], changed: Sequence[Key]) -> dict[str, str]:
    """For `App.set_keymap`: what differs, by the action's id."""
    pairs = zip(table, changed, strict=True)
    return {new.id: new.keys for old, new in pairs if new.keys != old.keys}


def as_toml(table: Sequence[Key]) -> str:
    """Every action with its keys, as a file that `read_keys` reads."""
    lines = list[str]()
    for where in dict.fromkeys(key.where for key in table):
        lines += ["", f"[{where}]"]
        for key in table:
            if key.where == where:
                found = key.keys.split(",")
                value = json.dumps(found if len(found) > 1 else found[0])
                lines.append(f"{key.name} = {value}  # {key.help}")
    return "\n".join(lines[1:])


def _changes(
    table: Sequence[Key], wanted: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    ids = [key.id for key in table]
    for where, actions in wanted.items():
        if not isinstance(actions, dict):
            raise ConfigError(f"{_told(where)} stands in no table", f"Write [charts] first. {_SEE}")
        for name, value in actions.items():
            action = f"{where}.{name}"
            if action not in ids:
                raise ConfigError(f"no action is called {_told(action)}", _meant(action, ids))
            given = value if isinstance(value, list) else [value]
            if not given or not all(isinstance(key, str) and key for key in given):
                raise ConfigError(f'{action} wants a key or a list of keys, such as "z"', _SEE)
            yield action, tuple(_checked(key, action) for key in given)


def _checked(key: str, action: str) -> str:
    """The key, where there is such a one."""
    *modifiers, name = key.split("+") if len(key) > 1 else [key]
    is_known = (
        len(name) == 1 or name in _NAMED or key in _NAMED or key_to_character(name) is not None
    )
    if not is_known or not name.isprintable() or not set(modifiers) <= _MODIFIERS:
        raise ConfigError(
            f"{action}: there is no key called {_told(key)}",
            "A key is a character, or a name such as f5, enter, pageup, ctrl+x, shift+left.",
        )
    if key == _FIXED:
        raise ConfigError(f"{action}: {key} always leaves the dashboard", "Choose another key.")
    return key


def _canonical(key: str) -> str:
    """The one name that Textual has for a key: a character other than a letter has it in words."""
    if len(key) > 1 or key.isalnum():
        return key
    name = unicodedata.name(key).lower().replace("-", "_").replace(" ", "_")
    return KEY_NAME_REPLACEMENTS.get(name, name)


def _refuse_clashes(table: Sequence[Key], changed: Sequence[Key]) -> None:
    """One key for two actions is a fault, except where it has been so on purpose."""
    known = {pair for pair, _ in _shared(table)}
    for pair, key in _shared(changed):
        if pair not in known:
            raise ConfigError(
                f"{_told(key)} would be both {pair[0]} and {pair[1]}",
                f"Give one of them another key. {_SEE}",
            )


def _shared(table: Sequence[Key]) -> Iterator[tuple[tuple[str, str], str]]:
    """The pairs of actions that have a key in common where both work, with that key."""
    for one, other in combinations(table, 2):
        common = set(one.keys.split(",")) & set(other.keys.split(","))
        if common and any({one.where, other.where} <= places for places in _TOGETHER):
            yield (one.id, other.id), min(common)


def _meant(action: str, ids: Sequence[str]) -> str:
    close = difflib.get_close_matches(action, ids, n=1)
    return f"Did you mean {close[0]}? {_SEE}" if close else _SEE


def _told(text: object) -> str:
    return visible_text(text, 120)
