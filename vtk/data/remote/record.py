"""`download.json`: what a data set's folder should hold, and what of it is here.

The plan (files, sizes, hashes, the commit that they belong to) is written before the first byte, so
that a download that is gone on with later never mixes two versions. What is done is added as it is
done; a file that is done but not yet in the record is found by its hash.
"""

import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from vtk.data.resolve import resolve_under
from vtk.errors import DataError
from vtk.net.content import Expected
from vtk.net.transfer import Fetched
from vtk.runs.files import read_json, write_json_atomic

RECORD_NAME: Final = "download.json"
SAVE_EVERY_S: Final = 2.0
_SCHEMA = 1


@dataclass(slots=True)
class FileState:
    """One file of a source.

    Attributes:
        path: In the source's own layout.
        target: Below the data set's folder.
        expected: What it must hold.
        is_archive: Whether it is unpacked.
        about_bytes: Its size as far as the server told; None if unknown.
        num_bytes: Its size; None until it is here.
        sha256: Of its content, once it is here.
        integrity: What it was checked against.
        selection: What of an archive is unpacked, `needed` or `all`; empty until it is.
        members: Of an archive: size and CRC-32 of each unpacked file; None where no archive told.
        is_kept: Whether it stays when it has been unpacked.
    """

    path: str
    target: str
    expected: Expected
    is_archive: bool
    about_bytes: int | None = None
    num_bytes: int | None = None
    sha256: str = ""
    integrity: str = ""
    selection: str = ""
    members: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    is_kept: bool = True

    @property
    def planned_bytes(self) -> int:
        """Its size as far as it is known before it is here."""
        return self.expected.num_bytes or self.about_bytes or 0

    def take(self, fetched: Fetched) -> None:
        """Note that it is here."""
        self.num_bytes, self.sha256 = fetched.num_bytes, fetched.sha256
        self.integrity = fetched.integrity

    def forget(self) -> None:
        """Note that it is not here, or not as it should be."""
        self.num_bytes, self.sha256, self.integrity = None, "", ""
        self.selection, self.members = "", {}


class Record:
    """The record of one source's download.

    Args:
        root: The data set's folder.
        revision: The commit of a Hub repository; empty for a web server.
        files: By path.
        agreed: When the user agreed to the terms, as UTC text; empty if that was not needed.
    """

    def __init__(
        self, root: Path, revision: str, files: dict[str, FileState], agreed: str = ""
    ) -> None:
        self.root, self.revision, self.files, self.agreed = root, revision, files, agreed
        self._lock, self._saved_s = threading.Lock(), 0.0

    @classmethod
    def load(cls, root: Path) -> "Record | None":
        """The record in a folder; None if there is none.

        Raises:
            DataError: It is damaged.
        """
        path = root / RECORD_NAME
        if not path.is_file():
            return None
        facts = read_json(path)
        try:
            if facts["schema"] != _SCHEMA:
                raise ValueError(f"schema {facts['schema']}")
            files = {entry["path"]: _read_state(entry) for entry in facts["files"]}
            return cls(root, str(facts["revision"]), files, str(facts["agreed"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path} is damaged: {error}",
                "Remove it and repeat the command: files that are right are kept.",
            ) from error

    def save(self, name: str, licence: str, *, is_due: bool = True) -> None:
        """Write the record; with `is_due` false only if that was not done for a while.

        Raises:
            VtkError: The file cannot be written.
        """
        with self._lock:
            if not is_due and time.monotonic() - self._saved_s < SAVE_EVERY_S:
                return
            self._saved_s = time.monotonic()
            write_json_atomic(
                self.root / RECORD_NAME,
                {
                    "schema": _SCHEMA,
                    "name": name,
                    "licence": licence,
                    "agreed": self.agreed,
                    "revision": self.revision,
                    "complete": all(self.is_ready(state) for state in self.files.values()),
                    "files": [asdict(state) for state in self.files.values()],
                },
            )

    def path_of(self, state: FileState) -> Path:
        """Where a file lies.

        Raises:
            DataError: Its path leaves the data set's folder.
        """
        return resolve_under(self.root, state.target)

    def is_ready(self, state: FileState, selection: str = "") -> bool:
        """Whether a file, or what is wanted of an archive, is here; looks at sizes only.

        Args:
            state: The file.
            selection: `all` if nothing less than the whole archive will do.
        """
        if not state.is_archive:
            return state.num_bytes is not None and _has_size(self.path_of(state), state.num_bytes)
        if not state.selection or (selection == "all" != state.selection):
            return False
        return all(
            _has_size(self.root / target, num_bytes)
            for target, (num_bytes, _) in state.members.items()
        )


def now_text() -> str:
    """The time as the record writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _has_size(path: Path, num_bytes: int) -> bool:
    try:
        return path.is_file() and path.stat().st_size == num_bytes
    except OSError:
        return False


def _read_state(entry: dict[str, Any]) -> FileState:
    fields = dict(entry)
    fields["expected"] = Expected(**fields["expected"])
    fields["members"] = {
        str(target): (int(size), None if crc is None else int(crc))
        for target, (size, crc) in fields["members"].items()
    }
    return FileState(**fields)
