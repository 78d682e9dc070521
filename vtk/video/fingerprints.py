"""Which content a file has, remembered so that it is read only once.

What is remembered is tied to everything that the file system says of a file: path, device, inode,
size, and both times. The second of these, the time of the last change of any kind, cannot be set
back by a program, so a file that was rewritten in place with its old date is noticed too.

The memory is a log that all processes append to, a line in one write. A line that is torn, glued to
another or damaged fails its own checksum and is passed over: that file is read again.
"""

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Final, Self

MAX_LOG_BYTES: Final = 16 * 2**20
"""About 120,000 files; a longer log is begun anew, and files are read once more."""

_CHECK_CHARS: Final = 16


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """One version of one file, as the file system tells it apart."""

    path: str
    device: int
    inode: int
    num_bytes: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """The file as it is now.

        Raises:
            OSError: It cannot be looked at.
        """
        found = path.stat()
        times = (found.st_mtime_ns, found.st_ctime_ns)
        return cls(str(path.absolute()), found.st_dev, found.st_ino, found.st_size, *times)

    def is_settled(self, now_s: float, min_age_s: float) -> bool:
        """Whether the last change is so old that a later one must show in the times.

        A file system counts time in ticks, up to two seconds long; two changes within one tick look
        like one (the racy entries of git's index, git-scm.com/docs/racy-git).

        Args:
            now_s: UTC seconds.
            min_age_s: Longer than a tick, in seconds.
        """
        return now_s - max(self.mtime_ns, self.ctime_ns) / 1e9 >= min_age_s


class Fingerprints:
    """sha256 of files' contents by `FileIdentity`; safe between threads and processes.

    Args:
        log: The file that remembers; it need not exist.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._lock = Lock()
        self._known: dict[str, str] | None = None

    def find(self, identity: FileIdentity) -> str | None:
        """The sha256 of the file's content, if it is remembered.

        Raises:
            OSError: The log is there but cannot be read.
        """
        with self._lock:
            if self._known is None:
                self._known = {}
                self._known = self._read()
            return self._known.get(_name(identity))

    def remember(self, identity: FileIdentity, content_sha256: str) -> None:
        """Keep what was found, here and for other processes.

        Args:
            identity: The file, the same before and after it was read.
            content_sha256: In hexadecimal digits.

        Raises:
            OSError: The log cannot be written; this process remembers all the same.
        """
        name = _name(identity)
        with self._lock:
            if self._known is None:
                self._known = {}
            self._known[name] = content_sha256
        self.log.parent.mkdir(parents=True, exist_ok=True)
        line = f"\n{name} {content_sha256} {_check(name, content_sha256)}"
        descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def _read(self) -> dict[str, str]:
        if not self.log.is_file():
            return {}
        content = self.log.read_bytes()
        if len(content) > MAX_LOG_BYTES:
            self.log.unlink(missing_ok=True)
            return {}
        words = (line.split(" ") for line in content.decode("ascii", "replace").split("\n"))
        return {
            line[0]: line[1] for line in words if len(line) == 3 and line[2] == _check(*line[:2])
        }


def _name(identity: FileIdentity) -> str:
    return sha256(repr(identity).encode("utf-8", "surrogateescape")).hexdigest()


def _check(name: str, content_sha256: str) -> str:
    return sha256(f"{name} {content_sha256}".encode()).hexdigest()[:_CHECK_CHARS]
