"""Headers that ask for absurd memory are refused by name, before anything is allotted."""

import resource
import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from tests.unit.data.benchmarks.layouts import write_clip
from vtk.errors import DataError
from vtk.video import containers, decoders
from vtk.video.frames import FrameSettings, read_clip
from vtk.video.mp4_index import FREE_ENTRIES, index_fault
from vtk.video.probe import probe_clip

FRAMES = FrameSettings(num_frames=4, fps=None, min_pixels_px=784, max_pixels_px=4096)


def patched(path: Path, kind: bytes, *numbers: tuple[int, int]) -> Path:
    """A clip with 32-bit numbers of one box replaced; offsets count from the box's content."""
    content = bytearray(write_clip(path).read_bytes())
    at = content.index(kind) + 4
    for offset, number in numbers:
        struct.pack_into(">I", content, at + offset, number)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("num_frames", [FREE_ENTRIES + 1, 80_000_000, 0xFFFFFFFF])
def test_more_frames_than_bytes_are_refused_before_the_file_is_opened(
    tmp_path: Path, num_frames: int
) -> None:
    clip = patched(tmp_path / "a.mp4", b"stsz", (4, 1), (8, num_frames))
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=rf"a\.mp4.*promises {num_frames:,} frames"):
        read_clip(clip, FRAMES)
    assert "promises" in str(probe_clip(clip).problem)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 50_000


def test_samples_of_all_tracks_edits_and_fragments_are_counted(tmp_path: Path) -> None:
    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(content), kind) + content

    sizes = box(b"stsz", struct.pack(">III", 0, 1, 300_000))
    edits = box(b"edts", box(b"elst", struct.pack(">II", 0, 2) + bytes(24)))
    track = box(b"trak", edits + box(b"mdia", box(b"minf", box(b"stbl", sizes))))
    run = box(b"moof", box(b"traf", box(b"trun", struct.pack(">II", 0, 400_000))))
    path = tmp_path / "a.mp4"
    for content, fault in (
        (box(b"moov", track), None),  # 600,000
        (box(b"moov", track) + run, None),  # 1,000,000
        (box(b"moov", track + track), "1,200,000 frames"),
        (box(b"moov", track) + run + run, "1,400,000 frames"),
        (box(b"moov", box(b"cmov", b"")), "compressed"),
        (struct.pack(">I4sQ", 1, b"moov", 2**40) + track + track, "1,200,000"),
        (b"RIFF" + bytes(100), None),
    ):
        path.write_bytes(content)
        found = index_fault(path)
        assert (found is None) if fault is None else (fault in str(found)), (content[:20], found)


def test_an_allocation_that_ffmpeg_refuses_is_the_files_fault(tmp_path: Path) -> None:
    clip = patched(tmp_path / "a.mp4", b"stss", (4, 0x30000000))
    with pytest.raises(DataError, match=r"a\.mp4: its header asks for more memory"):
        read_clip(clip, FRAMES)
    assert probe_clip(clip).problem is not None


SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
from vtk.video.decoders import decode
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20), used + (200 << 20)))
try:
    decode(Path(sys.argv[1]), "pyav", lambda num_frames, fps: [0, 1])
except MemoryError as error:
    print(error)
"""


@pytest.mark.slow
def test_an_allocation_that_fails_for_want_of_memory_is_the_machines(tmp_path: Path) -> None:
    clip = patched(tmp_path / "a.mp4", b"stss", (4, 0x06000000))
    with pytest.raises(DataError):
        read_clip(clip, FRAMES)
    command = [sys.executable, "-c", SHORT_OF_MEMORY, str(clip)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Cannot allocate memory" in done.stdout


def test_a_frame_beyond_8k_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "large.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("mjpeg", 10)
        stream.width, stream.height, stream.pix_fmt = 7200, 7200, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((10800, 7200), np.uint8), "yuvj420p")
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    with pytest.raises(DataError, match=r"large\.mkv"):
        read_clip(path, FRAMES)
    assert probe_clip(path).problem is not None


def test_a_size_that_the_header_states_is_refused_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    monkeypatch.setattr(containers, "MAX_FRAME_PX", 64 * 64 - 1)
    with pytest.raises(DataError, match=r"a\.mp4: 64x64 px is too large"):
        read_clip(clip, FRAMES)


def test_a_frame_that_grows_on_the_way_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    with containers.open_video(clip) as container:
        container.streams.video[0].codec_context.options = {"max_pixels": "100"}
        with pytest.raises(av.FFmpegError):
            next(container.decode(video=0))
        monkeypatch.setattr(containers, "MAX_FRAME_PX", 64 * 64)
    with containers.open_video(clip) as container:
        assert container.streams.video[0].codec_context.options == {"max_pixels": "4096"}
        assert next(container.decode(video=0)).width == 64


def test_frames_that_together_are_too_many_are_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    monkeypatch.setattr(decoders, "MAX_HELD_BYTES", 4 * 64 * 64 * 3)
    assert len(read_clip(clip, FRAMES).timestamps_s) == 4
    monkeypatch.setattr(decoders, "MAX_HELD_BYTES", 4 * 64 * 64 * 3 - 1)
    with pytest.raises(DataError, match="4 frames of the video") as refused:
        read_clip(clip, FRAMES)
    assert "video.num_frames" in str(refused.value.hint)
