"""One clip after another, decoded in this process to see whether it can be: the child's side.

`python -m vtk.video.probe CPU_S MEMORY_BYTES` reads one JSON string a line on stdin, a path, and
answers each with one JSON line: its `Probe`. The process lives under limits: CPU_S seconds of
processor time a clip (the kernel then ends it with SIGXCPU), MEMORY_BYTES of address space, no
files written. What a hostile clip breaks is this process alone; `vtk.video.prober` starts another.
It loads no torch, so that starting it again is cheap.
"""

import json
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import av

from vtk.errors import DataError
from vtk.video.containers import (
    damaged,
    index_stream,
    open_video,
    read_promise,
    require_regular_file,
)
from vtk.video.frame_folder import FOLDER_FPS, frame_files, read_image

MAX_WHOLE_FRAMES: Final = 1500
"""A longer stream is decoded at `NUM_PLACES` places instead of throughout, as it is read."""

NUM_PLACES: Final = 8
MIN_DECODED_FRAC: Final = 0.5
MIN_FRAMES: Final = 2


@dataclass(frozen=True, slots=True)
class Probe:
    """What a clip is, as far as it could be found out.

    Attributes:
        problem: Why it cannot be used; None if it can.
        num_frames: Frames that decode; of a long stream, frames that it holds.
        fps: Frame rate, in frames per second.
        duration_s: Length in seconds.
        width_px: Width of the first frame.
        height_px: Height of the first frame.
        codec: The codec's name.
        is_of_probe: Whether the problem is that probing it met a limit or a crash. That tells of
            this machine, its load and the limits as much as of the clip.
    """

    problem: str | None = None
    num_frames: int = 0
    fps: float | None = None
    duration_s: float | None = None
    width_px: int | None = None
    height_px: int | None = None
    codec: str | None = None
    is_of_probe: bool = False


def probe_clip(path: Path) -> Probe:
    """Decode a clip, or a folder of frames, and say what it is."""
    try:
        return _probe_folder(path) if path.is_dir() else _probe_file(path)
    except DataError as error:
        return Probe(problem=error.message)
    except MemoryError:
        return Probe(problem="decoding it takes more memory than is allowed", is_of_probe=True)
    except (av.FFmpegError, EOFError, OSError, ValueError) as error:
        return Probe(problem=getattr(error, "strerror", None) or str(error))


def _probe_file(path: Path) -> Probe:
    require_regular_file(path)
    index = index_stream(path)
    promised = read_promise(path).num_frames
    is_long = index.num_packets > MAX_WHOLE_FRAMES
    with open_video(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        codec = stream.codec_context.name
        num_decoded, size = _decode_places(container, stream) if is_long else _decode(container)
    wanted = NUM_PLACES if is_long else max(promised, index.num_packets)
    if num_decoded < MIN_DECODED_FRAC * wanted:
        raise damaged(path, f"only {num_decoded} of {wanted} frames can be decoded")
    num_frames = index.num_packets if is_long else num_decoded
    if num_frames < MIN_FRAMES:
        raise damaged(path, f"it has {num_frames} frame; at least {MIN_FRAMES} are needed")
    return Probe(None, num_frames, index.fps, num_frames / index.fps, *size, codec)


def _decode(container: Any) -> tuple[int, tuple[int | None, int | None]]:
    """Frames that decode, and the size of the first."""
    num_frames, size = 0, (None, None)
    for frame in container.decode(video=0):
        size = size if num_frames else (frame.width, frame.height)
        num_frames += 1
    return num_frames, size


def _decode_places(container: Any, stream: Any) -> tuple[int, tuple[int | None, int | None]]:
    """Places of a long stream at which a frame decodes, and the size of the first."""
    first, length = stream.start_time or 0, stream.duration or 0
    num_found, size = 0, (None, None)
    for place in range(NUM_PLACES):
        container.seek(first + length * place // NUM_PLACES, stream=stream, backward=True)
        frame = next(container.decode(stream), None)
        if frame is not None:
            size = size if num_found else (frame.width, frame.height)
            num_found += 1
    return num_found, size


def _probe_folder(folder: Path) -> Probe:
    files = frame_files(folder)
    shapes = {read_image(path).shape for path in files}
    if len(shapes) > 1:
        raise damaged(folder, "its frames change their size")
    if len(files) < MIN_FRAMES:
        raise damaged(folder, f"it has {len(files)} frame; at least {MIN_FRAMES} are needed")
    height_px, width_px, _ = shapes.pop()
    length_s = len(files) / FOLDER_FPS
    return Probe(None, len(files), FOLDER_FPS, length_s, width_px, height_px, "images")


def main(cpu_s: int, memory_bytes: int) -> None:
    """Answer paths from stdin until it ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    for line in sys.stdin:
        _allow_processor_time(cpu_s)
        answer = json.dumps(asdict(probe_clip(Path(json.loads(line)))))
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


def _allow_processor_time(cpu_s: int) -> None:
    """So many seconds from now on; the limit itself counts from the start of the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + cpu_s, hard))


if __name__ == "__main__":
    av.logging.set_level(av.logging.PANIC)
    main(int(sys.argv[1]), int(sys.argv[2]))
