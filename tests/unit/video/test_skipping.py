"""Frames that nothing needs are passed over; the others come out as from decoding everything."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from vtk.video.containers import index_stream, open_video
from vtk.video.decoders import decode
from vtk.video.skipping import decode_wanted

Encode = Callable[..., Path]
ENCODINGS = {
    "no B-frames": {"bf": "0"},
    "three B-frames": {"bf": "3"},
    "a pyramid": {"bf": "8", "x264-params": "b-pyramid=normal:b-adapt=0"},
    "open groups": {"g": "12", "x264-params": "open-gop=1:bframes=3"},
    "weighted": {"preset": "slow", "g": "30"},
    "intra only": {"g": "1"},
}


@pytest.fixture
def encode(tmp_path: Path) -> Encode:
    """A clip of 60 frames of moving squares in noise."""

    def write(codec: str, options: dict[str, str], suffix: str = "mp4") -> Path:
        path = tmp_path / f"{codec}.{suffix}"
        generator = np.random.default_rng(0)
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream(codec, rate=Fraction(25), options=options)
            stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
            for number in range(60):
                image = generator.integers(90, 120, (96, 128, 3), dtype=np.uint8)
                image[10:30, number : number + 20] = (255, 40, 40)
                image[60:80, 100 - number : 120 - number] = 4 * number
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
        return path

    return write


def pixels(frames: dict[int, av.VideoFrame]) -> dict[int, bytes]:
    return {number: frame.to_ndarray(format="rgb24").tobytes() for number, frame in frames.items()}


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("wanted", [[0, 59], list(range(0, 60, 7)), [1, 2, 30, 31, 58]], ids=str)
def test_wanted_frames_have_the_pixels_of_a_whole_decode(
    encode: Encode, name: str, wanted: list[int]
) -> None:
    path = encode("libx264", ENCODINGS[name])
    found = decode_wanted(path, wanted, index_stream(path))
    assert found is not None
    with open_video(path) as container:
        whole = dict(enumerate(container.decode(video=0)))
    assert pixels(found) == pixels({number: whole[number] for number in wanted})
    assert [found[number].time for number in wanted] == [whole[number].time for number in wanted]


def test_frames_are_really_passed_over(encode: Encode) -> None:
    """What no frame refers to is destroyed, so that decoding any of it would fail or show."""
    path = encode("libx264", ENCODINGS["three B-frames"])
    index = index_stream(path)
    assert index.pts is not None
    before = decode_wanted(path, [0, 59], index)
    content, num_destroyed = bytearray(path.read_bytes()), 0
    with open_video(path) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    for packet in packets:
        assert packet.pos is not None
        is_referred_to = content[packet.pos + 4] & 0b0110_0000  # nal_ref_idc after the length
        if not is_referred_to and packet.pts not in (index.pts[0], index.pts[59]):
            content[packet.pos + 5 : packet.pos + packet.size] = bytes(packet.size - 5)
            num_destroyed += 1
    assert num_destroyed >= 15
    path.write_bytes(content)
    after = decode_wanted(path, [0, 59], index)
    assert before is not None
    assert after is not None
    assert pixels(after) == pixels(before)
    with pytest.raises(av.FFmpegError), open_video(path) as container:
        list(container.decode(video=0))


@pytest.mark.parametrize("codec", ["mpeg4", "libx265", "libvpx-vp9"])
def test_other_codecs_are_decoded_whole(encode: Encode, codec: str) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = encode(codec, options)
    assert decode_wanted(path, [0, 59], index_stream(path)) is None
    assert decode(path, "pyav", lambda count, _: [0, count - 1]).num_source_frames == 60


@pytest.mark.parametrize("suffix", ["avi", "mkv", "mp4"])
def test_times_of_decoding_are_not_taken_for_those_of_presentation(
    encode: Encode, suffix: str
) -> None:
    """An avi file with B-frames says when frames are decoded, the others when they are shown."""
    path = encode("libx264", ENCODINGS["three B-frames"], suffix)
    wanted = [7, 24, 59]
    found = decode_wanted(path, wanted, index_stream(path))
    assert (found is None) == (suffix == "avi")
    with open_video(path) as container:
        whole = [torch.from_numpy(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    expected_FHWC = torch.stack([whole[number] for number in wanted])
    assert torch.equal(decode(path, "pyav", lambda *_: wanted).frames_FHWC, expected_FHWC)
