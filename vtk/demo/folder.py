"""The folder of a demo: where everything lies, what has been done, and whose it is.

```
DIR/demo.json      the settings, and every finished step with its command and wall time
DIR/data/          clevrer-mini            DIR/runs/          every run
DIR/cache/         decoded clips           DIR/logs/          what each command said
DIR/results.json   DIR/report.html         DIR/previous-N/    what --force moved aside
```

A folder belongs to the settings that it was first made with; the same settings go on where the last
attempt stopped. Ablations can be added to a demo and seeds to a study: a step is done once its very
command has ended well.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vtk.errors import ConfigError, DataError
from vtk.evals.folder import describe_differences
from vtk.net.claim import claimed
from vtk.runs.files import read_json, storage_error, write_json_atomic

RECORD_VERSION: Final = 1
_CLAIM_NAME: Final = "demo.json.owner"
FORCE_HINT: Final = "Choose another --out, or move what is there aside with --force."


@dataclass(frozen=True, slots=True)
class DemoFolder:
    """Where everything of one demo lies. Making one touches no disk."""

    root: Path

    @property
    def record(self) -> Path:
        """The settings and the finished steps."""
        return self.root / "demo.json"

    @property
    def data_dir(self) -> Path:
        """Folder of the data sets."""
        return self.root / "data"

    @property
    def runs_dir(self) -> Path:
        """Folder of the runs."""
        return self.root / "runs"

    @property
    def cache_dir(self) -> Path:
        """Decoded clips: a demo leaves nothing outside its folder."""
        return self.root / "cache"

    @property
    def logs_dir(self) -> Path:
        """What the commands said."""
        return self.root / "logs"

    @property
    def results(self) -> Path:
        """The numbers."""
        return self.root / "results.json"

    @property
    def report(self) -> Path:
        """The page."""
        return self.root / "report.html"


@dataclass(slots=True)
class StepRecord:
    """What is known of one step: seconds spent in all attempts, and the command once it is done."""

    wall_s: float = 0.0
    command: str | None = None

    @property
    def is_done(self) -> bool:
        """Whether its command ended well."""
        return self.command is not None


@dataclass(slots=True)
class Record:
    """demo.json: written whole after every step.

    Attributes:
        path: The file.
        settings: What the demo was made with, as plain data.
        steps: Step's name -> what is known of it.
        facts: Names found out on the way, such as the base model's run.
    """

    path: Path
    settings: Mapping[str, Any]
    steps: dict[str, StepRecord] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> StepRecord:
        """The record of one step."""
        return self.steps.setdefault(name, StepRecord())

    def write(self) -> None:
        """Replace the file.

        Raises:
            VtkError: It cannot be written.
        """
        steps = {
            name: {"wall_s": step.wall_s, "command": step.command}
            for name, step in self.steps.items()
        }
        document = {"version": RECORD_VERSION, "settings": dict(self.settings)}
        write_json_atomic(self.path, document | {"steps": steps, "facts": self.facts})


@contextmanager
def alone_in(folder: DemoFolder) -> Iterator[None]:
    """Keep every other demo out of a folder within the block.

    Raises:
        ConfigError: Another one is at work there.
        VtkError: The folder cannot be written.
    """

    def refuse(owner: str) -> None:
        raise ConfigError(
            f"another vtk demo is at work in {folder.root}: {owner}",
            "Wait until it has ended, stop it with Ctrl-C, or choose another --out.",
        )

    with claimed(folder.root / _CLAIM_NAME, lambda: False, refuse):
        yield


def claim_folder(folder: DemoFolder, settings: Mapping[str, Any], *, is_forced: bool) -> Record:
    """Take a folder for a demo, or go on with the demo in it.

    Args:
        folder: Where; made if missing.
        settings: What the demo is made with, as plain data.
        is_forced: Move a demo that is there aside and start anew.

    Raises:
        ConfigError: The folder holds a demo of other settings, or something else.
        DataError: Its record is damaged.
        VtkError: The folder cannot be written.
    """
    if is_forced and folder.record.exists():
        set_aside(folder)
    if not folder.record.exists():
        if folder.root.is_dir() and any(_is_foreign(entry) for entry in folder.root.iterdir()):
            raise ConfigError(f"{folder.root} holds other files", "Choose another --out.")
        record = Record(folder.record, dict(settings))
        record.write()
        return record
    found = read_record(folder.record)
    if found.settings != dict(settings):
        differences = describe_differences(found.settings, settings)
        raise ConfigError(
            f"{folder.root} holds a demo of other settings: {differences}", FORCE_HINT
        )
    return found


def read_record(path: Path) -> Record:
    """Read demo.json.

    Raises:
        DataError: It is missing or damaged.
    """
    found = read_json(path)
    try:
        steps = {name: StepRecord(**step) for name, step in found["steps"].items()}
        return Record(path, found["settings"], steps, found["facts"])
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {error!r}", FORCE_HINT) from error


def set_aside(folder: DemoFolder) -> Path:
    """Move everything into `previous-N`, the record last.

    Returns:
        Where it went.

    Raises:
        VtkError: It cannot be moved.
    """
    number = 1
    while (folder.root / f"previous-{number}").exists():
        number += 1
    target = folder.root / f"previous-{number}"
    parts = [part for part in folder.root.iterdir() if _is_foreign(part) and part != folder.record]
    try:
        target.mkdir()
        for part in (*parts, folder.record):
            part.rename(target / part.name)
    except OSError as error:
        raise storage_error(target, error) from error
    return target


def _is_foreign(entry: Path) -> bool:
    return entry.name != _CLAIM_NAME and not entry.name.startswith("previous-")
