"""A file that is still arriving: its bytes, and the note that lets another process go on.

`NAME.part` holds the bytes from the first one on. `NAME.part.json` says where they come from, which
version of the file they belong to and how many of them are on the disk for certain. After a kill
all bytes of the part count, because the system keeps what was written; after a power cut, which
another boot shows, only those that were synced.
"""

import io
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vtk.errors import DataError
from vtk.format import without_secrets
from vtk.net.content import Digest, Expected, digest_file
from vtk.net.disk import disk_error
from vtk.runs.files import read_json, sync_folder, write_json_atomic
from vtk.runs.owner import boot_id

SYNC_EVERY_BYTES: Final = 64 << 20
SYNC_EVERY_S: Final = 10.0
FIRST_NOTE_BYTES: Final = 1 << 20
"""A file smaller than this is fetched anew rather than gone on with: a note costs more."""

_SCHEMA = 1


@dataclass(slots=True)
class Partial:
    """What of a file is here.

    Attributes:
        target: Where the whole file will lie.
        url: Where its bytes come from.
        expected: What is known of it.
        validator: A strong validator of its version; None if the server gave none.
        digest: Of the bytes that are here.
    """

    target: Path
    url: str
    expected: Expected
    validator: str | None = None
    digest: Digest = field(init=False)
    _stream: io.FileIO | None = None
    _synced_bytes: int = 0
    _synced_s: float = 0.0

    def __post_init__(self) -> None:
        self.digest = Digest(self.expected)

    @property
    def part(self) -> Path:
        """The file with the bytes."""
        return self.target.with_name(self.target.name + ".part")

    @property
    def note(self) -> Path:
        """The file that says what the bytes are."""
        return self.target.with_name(self.target.name + ".part.json")

    @property
    def num_bytes(self) -> int:
        """Bytes that are here."""
        return self.digest.num_bytes

    def open(self) -> None:
        """Find what an earlier process left, and be ready to append to it.

        Raises:
            VtkError: The files cannot be read or written.
        """
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            num_bytes, self.validator = self._usable()
            descriptor = os.open(self.part, os.O_RDWR | os.O_CREAT, 0o666)
            self._stream = io.FileIO(descriptor, "r+")  # no buffer: nothing is left to a close
            self._stream.truncate(num_bytes)
            self.digest = digest_file(self.part, self.expected, num_bytes)
            self._stream.seek(num_bytes)
        except OSError as error:
            raise disk_error(self.part, error) from error
        self._synced_bytes, self._synced_s = num_bytes, time.monotonic()

    def _usable(self) -> tuple[int, str | None]:
        """Bytes of the part that can be gone on with, and the version that they belong to."""
        if not (self.part.is_file() and self.note.is_file()):
            return 0, None
        try:
            facts = read_json(self.note)
        except DataError:
            return 0, None  # a torn note: the bytes may be anything
        wanted = self._facts()
        is_same_place = facts.get("url") == without_secrets(self.url)
        if not is_same_place and not self.expected.is_hashed:
            return 0, None
        same = ("schema", "sha256", "git_sha1", "total_bytes")
        if any(facts.get(key) != wanted[key] for key in same):
            return 0, None
        size, synced = self.part.stat().st_size, facts.get("synced_bytes")
        if facts.get("boot_id") is None or facts["boot_id"] != boot_id():
            size = min(size, synced) if isinstance(synced, int) else 0
        if self.expected.num_bytes is not None and size > self.expected.num_bytes:
            return 0, None
        validator = facts.get("validator")
        return size, validator if isinstance(validator, str) and is_same_place else None

    def _facts(self) -> dict[str, Any]:
        return {
            "schema": _SCHEMA,
            "url": without_secrets(self.url),
            "sha256": self.expected.sha256,
            "git_sha1": self.expected.git_sha1,
            "total_bytes": self.expected.num_bytes,
            "validator": self.validator,
            "boot_id": boot_id(),
        }

    @property
    def can_resume(self) -> bool:
        """Whether the rest can be asked for without the risk of a splice of two versions.

        A strong validator makes the server refuse another version. A known hash tells a splice
        from the file at the end; servers of one file need not agree on its validator, so then none
        is asked for.
        """
        return self.num_bytes > 0 and (self.validator is not None or self.expected.is_hashed)

    def restart(self, validator: str | None) -> None:
        """Throw the bytes away: the whole file comes again, in this version.

        Raises:
            VtkError: The files cannot be written.
        """
        self.validator, self.digest, self._synced_bytes = validator, Digest(self.expected), 0
        try:
            self.note.unlink(missing_ok=True)  # before the bytes: it must not describe new ones
            self._open_stream.seek(0)
            self._open_stream.truncate()
        except OSError as error:
            raise disk_error(self.part, error) from error

    def append(self, block: bytes) -> bool:
        """Add bytes; True if this was the moment to sync them.

        Raises:
            VtkError: The disk is full or fails; what was written of them is right.
        """
        try:
            left = memoryview(block)
            while left:
                left = left[self._open_stream.write(left) :]
        except OSError as error:
            raise disk_error(self.part, error) from error
        self.digest.update(block)
        news = self.num_bytes - self._synced_bytes
        is_first = self._synced_bytes == 0 and self.num_bytes >= FIRST_NOTE_BYTES
        is_late = news > 0 and time.monotonic() - self._synced_s > SYNC_EVERY_S
        if is_first or is_late or news >= SYNC_EVERY_BYTES:
            self.sync()
            return True
        return False

    def sync(self) -> None:
        """Bring the bytes to the disk, then the note that counts them.

        Raises:
            VtkError: The disk is full or fails.
        """
        try:
            os.fsync(self._open_stream.fileno())
        except OSError as error:
            raise disk_error(self.part, error) from error
        self._synced_bytes, self._synced_s = self.num_bytes, time.monotonic()
        write_json_atomic(self.note, {**self._facts(), "synced_bytes": self._synced_bytes})

    def commit(self) -> None:
        """Make the part the file, all at once.

        Raises:
            VtkError: The disk is full or fails.
        """
        stream = self._open_stream
        try:
            os.fsync(stream.fileno())
            stream.close()
            self.part.replace(self.target)
            self.note.unlink(missing_ok=True)
            sync_folder(self.target.parent)
        except OSError as error:
            raise disk_error(self.target, error) from error

    def close(self) -> None:
        """Keep what is here for the next process, if it is worth a note; call it in any case."""
        if self._stream is None or self._stream.closed:
            return
        try:
            if self.num_bytes < FIRST_NOTE_BYTES:
                self.note.unlink(missing_ok=True)
                self.part.unlink(missing_ok=True)
            elif self.num_bytes > self._synced_bytes:
                self.sync()
        finally:
            self._stream.close()

    @property
    def _open_stream(self) -> io.FileIO:
        if self._stream is None:
            raise ValueError("open() was not called")
        return self._stream
