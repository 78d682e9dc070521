"""The folder of one evaluation, and the rule that rows of different settings never mix.

```
eval/<suite>/settings.json   hash and settings; written before the first question
eval/<suite>/samples.jsonl   one graded question a line (`vtk.evals.record`)
eval/<suite>/parts/          what several processes have answered (`vtk.evals.parts`)
eval/<suite>/results.json    recomputed from samples.jsonl, replaced as a whole
eval/<suite>/previous-N/     what --restart set aside
```

The hash in settings.json covers everything that decides a completion.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from vtk.errors import ConfigError, DataError
from vtk.evals.parts import part_files
from vtk.evals.record import PARTS_DIR, SAMPLES_FILE, SampleLog
from vtk.runs.events import to_json_value
from vtk.runs.files import read_json, storage_error, write_json_atomic
from vtk.runs.results import RESULTS_FILE

SETTINGS_FILE: Final = "settings.json"
_VERSION: Final = 1
_NUM_DIFFERENCES_SHOWN: Final = 6
_RESTART_HINT: Final = (
    "Use the same settings, keep both with --name NAME, or set those results aside with --restart."
)


def settings_hash(settings: Mapping[str, Any]) -> str:
    """sha256 of settings as canonical JSON: the same for the same settings in any order."""
    text = json.dumps(to_json_value(settings), sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def claim_settings(
    folder: Path, settings: Mapping[str, Any], environment: Mapping[str, Any]
) -> str:
    """Write settings.json, or check that the one there was made with the same settings.

    Args:
        folder: eval/<suite> of a run.
        settings: Everything that decides a completion.
        environment: Versions and device, recorded and not compared.

    Returns:
        The settings' hash.

    Raises:
        ConfigError: Rows made with other settings are there; the message names the differences.
        DataError: settings.json is damaged, or missing beside rows.
    """
    path = folder / SETTINGS_FILE
    wanted = settings_hash(settings)
    if not path.exists():
        if (folder / SAMPLES_FILE).exists() or (folder / PARTS_DIR).exists():
            raise DataError(f"{folder} holds rows without {SETTINGS_FILE}", _RESTART_HINT)
        document = {"version": _VERSION, "hash": wanted, "settings": settings}
        write_json_atomic(path, document | {"environment": environment})
        return wanted
    found = read_json(path)
    if found.get("hash") == wanted:
        return wanted
    differences = describe_differences(found.get("settings", {}), to_json_value(settings))
    raise ConfigError(f"{folder} holds results of other settings: {differences}", _RESTART_HINT)


def set_aside(folder: Path) -> Path | None:
    """Move the files of an earlier evaluation into `previous-N` beside them.

    Returns:
        Where they went; None if there were none.

    Raises:
        ConfigError: Another process is writing one of them; all stay where they are.
        VtkError: They cannot be moved.
    """
    names = [
        name
        for name in (SETTINGS_FILE, PARTS_DIR, SAMPLES_FILE, RESULTS_FILE)
        if (folder / name).exists()
    ]
    if not names:
        return None
    number = 1
    while (folder / f"previous-{number}").exists():
        number += 1
    target = folder / f"previous-{number}"
    with _held(folder):
        try:
            target.mkdir()
            for name in reversed(names):
                (folder / name).rename(target / name)
        except OSError as error:
            raise storage_error(target, error) from error
    return target


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Nobody else writes answers of an evaluation inside the block."""
    logs = [path for path in (folder / SAMPLES_FILE,) if path.exists()]
    with ExitStack() as held:
        for path in [*logs, *part_files(folder)]:
            held.enter_context(SampleLog(folder, path.relative_to(folder).as_posix()))
        yield


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys: {"a": {"b": 1}} is {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{dotted}.")
        else:
            flat[dotted] = value
    return flat


def differing_keys(trees: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Dotted keys on which the trees differ, each with its value in every tree (None if absent)."""
    flat = [flatten(tree) for tree in trees]
    keys = sorted({key for tree in flat for key in tree})
    values = {key: [tree.get(key) for tree in flat] for key in keys}
    return {key: found for key, found in values.items() if any(v != found[0] for v in found)}


def describe_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """A sentence's worth of what differs: "sampling.temperature 0.0 there, 0.7 now"."""
    differing = differing_keys([old, new])
    shown = [
        f"{key} {_short(there)} there, {_short(now)} now" for key, (there, now) in differing.items()
    ]
    rest = len(shown) - _NUM_DIFFERENCES_SHOWN
    return "; ".join(shown[:_NUM_DIFFERENCES_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 24 else f"{text[:21]}…"
