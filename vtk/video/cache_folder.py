"""The folder of the pixel cache: where it lies, how large it may grow, and what leaves it first.

```
CACHE/clips/KEY.clip       one entry: the frames of one clip (vtk.video.entries)
CACHE/fingerprints.log     which content a file was found to have (vtk.video.fingerprints)
```

Several processes share it without a lock. A file is complete under its name or not there at all;
who deletes one that another reads takes only its name away; and two that clear up at the same time
delete the same files. Nothing here knows what an entry holds, so `vtk data cache` starts at once.
"""

import errno
import os
import re
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from vtk.errors import MissingEnvironmentError
from vtk.format import format_bytes

CACHE_VARIABLE: Final = "VTK_CACHE_DIR"
BYTES_PER_GIB: Final = 2**30
MIN_FREE_BYTES: Final = BYTES_PER_GIB
"""The disk keeps so much for checkpoints and the event log, which matter more than the cache."""
_LOW_WATER_FRAC: Final = 0.9
_UNSEEN_FRAC: Final = 1 / 16
_TOUCH_AFTER_S: Final = 60.0
_ABANDONED_AFTER_S: Final = 3600.0
_ENTRY, _TEMPORARY = ".clip", ".tmp"
_OWN_NAME = re.compile(r"[0-9a-f]{64}\.clip|\.[0-9a-f]{64}\.[0-9]+-[0-9a-f]{8}\.tmp")

Buffer = bytes | memoryview


def cache_dir(environ: Mapping[str, str]) -> Path:
    """The cache's folder: `VTK_CACHE_DIR`, else `vtk` in the user's cache folder.

    It holds nothing that cannot be made again and serves every data set, so it lies where such
    things do (XDG base directory specification), neither with the data nor with the runs.

    Args:
        environ: The process's environment.

    Raises:
        MissingEnvironmentError: The user has no home folder.
    """
    if named := environ.get(CACHE_VARIABLE):
        return Path(named).expanduser().absolute()
    base = environ.get("XDG_CACHE_HOME", "")
    if Path(base).is_absolute():
        return Path(base) / "vtk"
    try:
        return Path.home() / ".cache" / "vtk"
    except RuntimeError as error:
        raise MissingEnvironmentError(
            "there is no home folder to keep decoded clips in",
            f"Name a folder with {CACHE_VARIABLE}, or do without: --set video.cache_gib=0",
        ) from error


@dataclass(frozen=True, slots=True)
class Usage:
    """What the cache holds: clips, and bytes of everything in it."""

    num_clips: int
    num_bytes: int


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    num_bytes: int
    used_s: float


class CacheFolder:
    """Entries by key, bounded in bytes, the least recently used leaving first.

    A process counts what it writes itself and looks at the folder again after every sixteenth of
    the bound, so several processes together can pass the bound by a sixteenth each for a while.

    Args:
        root: The folder; made when something is written.
        max_bytes: Bound on all entries together.
        min_free_bytes: What has to stay free on the disk.
    """

    def __init__(self, root: Path, max_bytes: int, min_free_bytes: int = MIN_FREE_BYTES) -> None:
        self.root, self.max_bytes, self.min_free_bytes = root, max_bytes, min_free_bytes
        self._lock = Lock()
        self._num_bytes = 0
        self._num_unseen_bytes = max_bytes  # nothing was looked at yet

    @property
    def log(self) -> Path:
        """Which content a file was found to have."""
        return self.root / "fingerprints.log"

    def path_of(self, key: str) -> Path:
        """Where the entry of that key is, or would be."""
        return self.root / "clips" / f"{key}{_ENTRY}"

    def touch(self, path: Path) -> None:
        """Note that an entry was used; a minute is exact enough to say which was used last.

        Raises:
            OSError: The folder cannot be written.
        """
        if time.time() - path.stat().st_mtime > _TOUCH_AFTER_S:
            os.utime(path)

    def write(self, key: str, parts: Sequence[Buffer]) -> bool:
        """Write an entry unless it is there already or larger than the whole cache.

        It is not synced: after a power cut its checksum tells, and a clip is decoded again.

        Args:
            key: Its name.
            parts: Its content, one after another.

        Returns:
            Whether it was written.

        Raises:
            OSError: The folder cannot be written, or the disk is nearly full.
        """
        path, num_bytes = self.path_of(key), sum(len(part) for part in parts)
        if num_bytes > self.max_bytes or path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        self._make_room(num_bytes)
        self._require_free(num_bytes)
        temporary = path.with_name(f".{key}.{os.getpid()}-{uuid.uuid4().hex[:8]}{_TEMPORARY}")
        try:
            with temporary.open("xb") as stream:
                stream.writelines(parts)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def usage(self) -> Usage:
        """What the cache holds now; nothing where there is no folder.

        Raises:
            OSError: The folder cannot be read.
        """
        files = self._files()
        entries = [file for file in files if file.path.suffix == _ENTRY]
        return Usage(len(entries), sum(file.num_bytes for file in files))

    def clear(self) -> Usage:
        """Delete everything, also while runs are reading: they decode again.

        Returns:
            What was deleted.

        Raises:
            OSError: A file cannot be deleted.
        """
        found = self.usage()
        for file in self._files():
            file.path.unlink(missing_ok=True)
        return found

    def _make_room(self, num_bytes: int) -> None:
        with self._lock:
            self._num_bytes += num_bytes
            self._num_unseen_bytes += num_bytes
            is_full = self._num_bytes > self.max_bytes
            if not is_full and self._num_unseen_bytes <= self.max_bytes * _UNSEEN_FRAC:
                return
            self._num_unseen_bytes = 0
            self._num_bytes = self._evict(num_bytes) + num_bytes

    def _evict(self, num_bytes: int) -> int:
        """Delete what other processes left half-written and, where it is full, the oldest entries.

        Returns:
            The bytes that stay.
        """
        now_s = time.time()
        files = sorted(self._files(), key=lambda file: file.used_s)
        total = sum(file.num_bytes for file in files)
        is_full = total + num_bytes > self.max_bytes
        low_water = self.max_bytes * _LOW_WATER_FRAC - num_bytes
        for file in files:
            is_entry = file.path.suffix == _ENTRY
            is_old = now_s - file.used_s > _ABANDONED_AFTER_S
            is_abandoned = file.path.suffix == _TEMPORARY and is_old
            if is_abandoned or (is_entry and is_full and total > low_water):
                file.path.unlink(missing_ok=True)
                total -= file.num_bytes
        return total

    def _require_free(self, num_bytes: int) -> None:
        free = shutil.disk_usage(self.root).free
        if free - num_bytes < self.min_free_bytes:
            reason = f"only {format_bytes(free)} free, and {format_bytes(self.min_free_bytes)} stay"
            raise OSError(errno.ENOSPC, reason)

    def _files(self) -> list[_File]:
        """The cache's own files, and no others, should the folder hold any.

        One that vanishes while this looks is left out.
        """
        clips = self.path_of("").parent
        named = list(clips.iterdir()) if clips.exists() else []
        found = []
        for path in [self.log, *[path for path in named if _OWN_NAME.fullmatch(path.name)]]:
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            found.append(_File(path, status.st_size, status.st_mtime))
        return found
