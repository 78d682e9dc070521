"""Decoded clips kept in memory, because training reads the same clips again every epoch.

The key holds the file's identity (path, size, modification time) and every setting, so a replaced
file or another pixel budget never answers with old frames.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from vtk.video.containers import damaged
from vtk.video.frames import Clip, FrameSettings, read_clip
from vtk.video.pixel_cache import PixelCache, open_pixel_cache

ClipKey = tuple[str, int, int, FrameSettings]


class ClipCache:
    """Least-recently-used clips, bounded by the bytes of their frames; safe between threads.

    Frames are shared between readers and must not be written to.

    Args:
        max_bytes: bound on the frames kept, in bytes; a clip above it is read but not kept.
        disk: what a clip that is not in memory is read through; None decodes it.
    """

    def __init__(self, max_bytes: int, disk: PixelCache | None = None) -> None:
        self.max_bytes, self.disk = max_bytes, disk
        self.num_bytes = 0
        self.num_hits = 0
        self.num_misses = 0
        self._refused: dict[Path, str] = {}
        self._clips: OrderedDict[ClipKey, Clip] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, path: Path, settings: FrameSettings) -> Clip:
        """Read a clip, from memory when the same file was read with the same settings.

        Args:
            path: a local video file.
            settings: what to take from it.

        Raises:
            DataError: as `vtk.video.frames.read_clip`; or the clip is refused.
        """
        if path in self._refused:
            raise damaged(path, self._refused[path])
        if not path.is_file():
            return read_clip(path, settings)
        key = clip_key(path, settings)
        with self._lock:
            if key in self._clips:
                self._clips.move_to_end(key)
                self.num_hits += 1
                return self._clips[key]
            self.num_misses += 1
        clip = self._read_below(path, settings)
        with self._lock:
            self._keep(key, clip)
        return clip

    def refuse(self, problems: Mapping[Path, str]) -> None:
        """Read none of these clips from now on: what is wrong with each is known already.

        Args:
            problems: Clip -> what is wrong with it.
        """
        self._refused |= problems

    def take_notice(self) -> str | None:
        """Why clips are no longer kept on disk and what mends it; told once."""
        return None if self.disk is None else self.disk.take_notice()

    def _read_below(self, path: Path, settings: FrameSettings) -> Clip:
        return read_clip(path, settings) if self.disk is None else self.disk.read(path, settings)

    def _keep(self, key: ClipKey, clip: Clip) -> None:
        if key in self._clips or clip.frames_FCHW.nbytes > self.max_bytes:
            return
        self._clips[key] = clip
        self.num_bytes += clip.frames_FCHW.nbytes
        while self.num_bytes > self.max_bytes:
            _, oldest = self._clips.popitem(last=False)
            self.num_bytes -= oldest.frames_FCHW.nbytes


def open_clips(max_bytes: int, cache_gib: float) -> ClipCache:
    """Clips in memory above the user's clips on disk: what training and evaluation read through.

    Args:
        max_bytes: bound on the memory, in bytes of frames.
        cache_gib: bound on the disk, in GiB; 0 keeps nothing there.

    Raises:
        MissingEnvironmentError: the user has no home folder.
    """
    return ClipCache(max_bytes, open_pixel_cache(cache_gib))


def clip_key(path: Path, settings: FrameSettings) -> ClipKey:
    """What a clip's frames are kept under: the file's identity, and every setting."""
    status = path.stat()
    return (str(path.resolve()), status.st_size, status.st_mtime_ns, settings)
