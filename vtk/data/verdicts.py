"""`DATA/NAME/clips.json`: what `vtk data check` found of every clip, and who asks it.

A verdict holds for the version of a clip that was probed: a clip whose size or time of modification
is another has none. One that came from a limit holds until the next check, which probes it again.
Training skips the questions of a bad clip and evaluation counts them as wrong, both by name and
without decoding it, as they do with a clip that does not decode.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from vtk.errors import DataError
from vtk.hints import folder_options
from vtk.runs.files import read_json, write_json_atomic
from vtk.video.probe import Probe

MANIFEST: Final = "clips.json"
OK, BAD = "ok", "bad"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of one clip.

    Attributes:
        verdict: ok or bad.
        num_bytes: Size of the file when it was probed; None for a folder or a missing clip.
        mtime_ns: Its time of modification, in nanoseconds; None for a missing clip.
        probe: Frames, rate, length, size, and what is wrong.
    """

    verdict: str
    num_bytes: int | None
    mtime_ns: int | None
    probe: Probe

    @classmethod
    def of(cls, probe: Probe, version: tuple[int | None, int | None]) -> "Verdict":
        """The verdict that follows from a probe of one version of a clip."""
        return cls(OK if probe.problem is None else BAD, *version, probe)

    @property
    def version(self) -> tuple[int | None, int | None]:
        """The version of the clip that it holds for."""
        return self.num_bytes, self.mtime_ns


Verdicts = dict[str, Verdict]
"""Path of the clip below the data set's folder -> verdict."""


def clip_version(path: Path) -> tuple[int | None, int | None]:
    """What tells a clip from what it was: size and time of modification, (None, None) if missing.

    A folder of frames changes its time when an image comes or goes.
    """
    try:
        status = path.stat()
    except OSError:
        return None, None
    return (None if path.is_dir() else status.st_size), status.st_mtime_ns


def read_verdicts(root: Path) -> Verdicts:
    """The manifest of the data set in `root`; empty if there is none.

    Raises:
        DataError: It is damaged, or of another version.
    """
    path = root / MANIFEST
    if not path.is_file():
        return {}
    document = read_json(path)
    clips = document.get("clips")
    if document.get("version") != _VERSION or not isinstance(clips, dict):
        raise _damaged(path)
    try:
        return {name: _verdict_of(entry) for name, entry in clips.items()}
    except (TypeError, KeyError, ValueError) as error:
        raise _damaged(path) from error


def write_verdicts(root: Path, verdicts: Mapping[str, Verdict]) -> None:
    """Replace the manifest.

    Raises:
        VtkError: It cannot be written.
    """
    clips = {name: _entry_of(verdicts[name]) for name in sorted(verdicts)}
    write_json_atomic(root / MANIFEST, {"version": _VERSION, "clips": clips})


def known_problems(root: Path) -> dict[Path, str]:
    """Clips below `root` that are known to be bad and have not changed since.

    Returns:
        Absolute path, links followed, -> what is wrong with it.

    Raises:
        DataError: The manifest is damaged.
    """
    found = {}
    for name, verdict in read_verdicts(root).items():
        path = (root / name).resolve()
        if verdict.verdict == BAD and verdict.version == clip_version(path):
            found[path] = f"{verdict.probe.problem} (vtk data check)"
    return found


def _entry_of(verdict: Verdict) -> dict[str, Any]:
    facts: dict[str, Any] = asdict(verdict)
    probe: dict[str, Any] = facts.pop("probe")
    return facts | probe


def _verdict_of(entry: Mapping[str, Any]) -> Verdict:
    facts = {"is_of_probe": False, **entry}  # which older manifests do not have
    probe = Probe(**{field.name: facts[field.name] for field in fields(Probe)})
    if entry["verdict"] not in (OK, BAD) or (probe.problem is None) != (entry["verdict"] == OK):
        raise ValueError(entry["verdict"])
    return Verdict(entry["verdict"], entry["num_bytes"], entry["mtime_ns"], probe)


def _damaged(path: Path) -> DataError:
    return DataError(
        f"{path} is damaged",
        f"Delete it, then repeat: vtk data check {path.parent.name}"
        f"{folder_options(data_dir=path.parent.parent)}",
    )
