"""Evaluations of a run that were made after it: what eval/<suite>/results.json says.

An evaluation during a training is an event of the log. One made later by `vtk eval --model RUN`
adds nothing to the log of a run that has ended; its results lie in the run's folder.
"""

import re
from pathlib import Path
from typing import Any, Final

from vtk.errors import DataError
from vtk.format import visible_text
from vtk.runs import payload
from vtk.runs.files import read_json
from vtk.runs.snapshot import EvalResult
from vtk.runs.store import RunPaths

RESULTS_FILE: Final = "results.json"
_HEADLINE: Final = "headline"
_USUAL_PROTOCOL: Final = "official"
_EARLIER_HEADLINE: Final = "strict"
_CHECKPOINT: Final = re.compile(r"step_(\d+)$")


class StoredResults:
    """Follows the results files of one run; each is read again only when it has changed."""

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths
        self._known: dict[Path, tuple[int, EvalResult | str | None]] = {}

    def poll(self) -> tuple[tuple[EvalResult, ...], tuple[str, ...]]:
        """Return the finished evaluations in order of time, and what is wrong with the others."""
        files = sorted(self.paths.root.glob(f"eval/*/{RESULTS_FILE}"))
        found = [self._read_if_new(path) for path in files]
        results = sorted((r for r in found if isinstance(r, EvalResult)), key=lambda r: r.time)
        return tuple(results), tuple(r for r in found if isinstance(r, str))

    def _read_if_new(self, path: Path) -> EvalResult | str | None:
        try:
            changed_ns = path.stat().st_mtime_ns
        except FileNotFoundError:  # set aside meanwhile by `vtk eval --restart`
            return None
        if path not in self._known or self._known[path][0] != changed_ns:
            self._known[path] = changed_ns, _read(path, changed_ns / 1e9)
        return self._known[path][1]


def _read(path: Path, time_s: float) -> EvalResult | str | None:
    """The headline of a finished evaluation; a text says what is wrong with the file."""
    try:
        document = read_json(path)
        if document.get("complete") is not True:
            return None
        headline = payload.optional_text(document, _HEADLINE) or _EARLIER_HEADLINE
        per_type = payload.per_type({"per_type": payload.mapping(document, headline)})
        asked = {name: accuracy for name, accuracy in per_type.items() if accuracy.n}
        return EvalResult(_step(document), _suite(document), time_s, asked)
    except DataError as error:
        return visible_text(error.message)
    except ValueError as error:
        return visible_text(f"{path} is no result of an evaluation: {error}")


def _suite(document: dict[str, Any]) -> str:
    """What the results are called; in older ones the suite and a protocol that is not its own."""
    if (name := payload.optional_text(document, "name")) is not None:
        return name
    suite, protocol = payload.text(document, "suite"), payload.optional_text(document, "protocol")
    return suite if protocol in (None, _USUAL_PROTOCOL) else f"{suite}-{protocol}"


def _step(document: dict[str, Any]) -> int | None:
    """The step of the checkpoint that was evaluated; None for a model that is no checkpoint."""
    path = payload.optional_text(payload.mapping(document, "model"), "path")
    named = _CHECKPOINT.search(path or "")
    return int(named[1]) if named else None
