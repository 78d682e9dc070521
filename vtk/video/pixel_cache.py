"""Decoded clips kept on disk: decoded, sampled and resized once per data set, not once per run.

An entry's name is the hash of everything that decides its pixels: the content of the video file,
the settings, the decoder and its version, torch's (it resizes), and `PIXELS_VERSION`. So an entry
is never out of date; one that is no longer asked for is the first to leave.

No lock is held while a clip is decoded: of two processes that decode the same clip, the second
throws its copy away. A disk that cannot be written costs speed and nothing else.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Final

import torch

from vtk.runs.files import file_sha256
from vtk.video.cache_folder import BYTES_PER_GIB, CACHE_VARIABLE, CacheFolder, cache_dir
from vtk.video.decoders import DecoderName, choose_decoder, decoder_version
from vtk.video.entries import ENTRY_FORMAT, DamagedEntry, encode_entry, read_entry
from vtk.video.fingerprints import FileIdentity, Fingerprints
from vtk.video.frames import Clip, FrameSettings, read_clip

PIXELS_VERSION: Final = 1
"""Raised when `vtk.video.frames` samples or sizes differently: old entries are then not found."""

_LATER_SETTINGS: Final = {"span_s": None, "rounding": "nearest"}  # absent from earlier keys
MIN_AGE_S: Final = 2.0
"""A video that changed less long ago is decoded and not kept: somebody may still be writing it."""


@dataclass(slots=True)
class CacheCounts:
    """What a process asked of the cache.

    Attributes:
        num_hits: Clips served from disk.
        num_misses: Clips decoded.
        num_damaged: Entries that were not what was written; they were deleted.
        num_not_kept: Clips decoded and not kept, because the disk could not be written.
    """

    num_hits: int = 0
    num_misses: int = 0
    num_damaged: int = 0
    num_not_kept: int = 0


class PixelCache:
    """Reads clips through a folder of decoded ones; safe between threads and processes.

    Args:
        folder: Where entries are.
        min_age_s: See `MIN_AGE_S`.
    """

    def __init__(self, folder: CacheFolder, min_age_s: float = MIN_AGE_S) -> None:
        self.folder, self.min_age_s = folder, min_age_s
        self.counts = CacheCounts()
        self._fingerprints = Fingerprints(folder.log)
        self._decoders: dict[FrameSettings, DecoderName] = {}
        self._lock = Lock()
        self._is_kept_out = False
        self._notice: str | None = None

    def read(self, path: Path, settings: FrameSettings) -> Clip:
        """Read a clip: the same, to the last bit, whether it comes from disk or is decoded.

        Args:
            path: A local video file.
            settings: What to take from it.

        Raises:
            DataError: As `vtk.video.frames.read_clip`.
            MissingEnvironmentError: The named decoder does not work here.
        """
        decoder = self._decoder(settings)
        identity = self._identity(path)
        content_sha256 = None if identity is None else self._content(path, identity)
        if content_sha256 is None:
            self._count("num_misses")
            return read_clip(path, settings)
        key = entry_key(content_sha256, settings, decoder)
        clip = self._find(key)
        if clip is not None:
            self._count("num_hits")
            return clip
        self._count("num_misses")
        clip = read_clip(path, settings)
        if self._identity(path) == identity:
            self._keep(key, clip)
        return clip

    def take_notice(self) -> str | None:
        """Why clips are no longer kept and what mends it; told once."""
        with self._lock:
            notice, self._notice = self._notice, None
        return notice

    def _decoder(self, settings: FrameSettings) -> DecoderName:
        """The decoder by its own name; looking for one that is not installed takes long."""
        if settings not in self._decoders:
            self._decoders[settings] = choose_decoder(settings.decoder)
        return self._decoders[settings]

    def _identity(self, path: Path) -> FileIdentity | None:
        """The file as it is now; None if it cannot be told apart from what it may be next."""
        try:
            identity = FileIdentity.of(path) if path.is_file() else None
        except OSError:
            return None  # the reader looks again, and says what is wrong with it
        is_settled = identity is not None and identity.is_settled(time.time(), self.min_age_s)
        return identity if is_settled else None

    def _content(self, path: Path, identity: FileIdentity) -> str | None:
        """sha256 of the file, or None if it cannot be read or changed meanwhile."""
        try:
            found = self._fingerprints.find(identity)
        except OSError as error:
            self._step_aside(error)
            found = None
        if found is not None:
            return found
        try:
            content_sha256 = file_sha256(path)
        except OSError:
            return None  # as above
        if self._identity(path) != identity:
            return None
        self._write(lambda: self._fingerprints.remember(identity, content_sha256))
        return content_sha256

    def _find(self, key: str) -> Clip | None:
        path = self.folder.path_of(key)
        try:
            clip = read_entry(path, key)
        except FileNotFoundError:
            return None
        except DamagedEntry:
            self._count("num_damaged")
            self._write(lambda: path.unlink(missing_ok=True))
            return None
        except OSError as error:
            self._step_aside(error)
            return None
        self._write(lambda: self.folder.touch(path))
        return clip

    def _keep(self, key: str, clip: Clip) -> None:
        self._write(lambda: self.folder.write(key, encode_entry(key, clip)))
        if self._is_kept_out:
            self._count("num_not_kept")

    def _write(self, change: Callable[[], object]) -> None:
        """Change the folder, unless it turned out before that it cannot be changed."""
        if self._is_kept_out:
            return
        try:
            change()
        except FileNotFoundError:
            return  # another process cleared up meanwhile
        except OSError as error:
            self._step_aside(error)

    def _step_aside(self, error: OSError) -> None:
        with self._lock:
            if self._is_kept_out:
                return
            self._is_kept_out = True
            self._notice = (
                f"decoded clips are no longer kept in {self.folder.root}: "
                f"{error.strerror or error}. Results stay the same, decoding costs time. Free "
                f"some space there, name another folder with {CACHE_VARIABLE}, or switch the cache "
                "off with video.cache_gib=0"
            )

    def _count(self, name: str) -> None:
        with self._lock:
            setattr(self.counts, name, getattr(self.counts, name) + 1)


def entry_key(content_sha256: str, settings: FrameSettings, decoder: DecoderName) -> str:
    """The name of an entry: a hash of everything that decides its pixels.

    Args:
        content_sha256: Of the video file.
        settings: What is taken from it.
        decoder: The decoder that takes it; `settings` may say ``auto``.
    """
    decides = vars(settings) | {
        "content": content_sha256,
        "decoder": decoder,
        "decoder_version": decoder_version(decoder),
        "torch": torch.__version__,
        "pixels": PIXELS_VERSION,
        "format": ENTRY_FORMAT,
    }
    for name, usual in _LATER_SETTINGS.items():
        if decides[name] == usual:
            del decides[name]
    return sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def open_pixel_cache(
    cache_gib: float, environ: Mapping[str, str] = os.environ
) -> PixelCache | None:
    """The user's cache, or None where it is switched off.

    Args:
        cache_gib: Bound on its size, in GiB; 0 is off.
        environ: Says where it is.

    Raises:
        MissingEnvironmentError: The user has no home folder.
    """
    if cache_gib == 0:
        return None
    return PixelCache(CacheFolder(cache_dir(environ), int(cache_gib * BYTES_PER_GIB)))
