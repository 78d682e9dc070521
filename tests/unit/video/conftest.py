"""Real mp4 files for the video tests."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

WriteClip = Callable[..., Path]


@pytest.fixture(scope="session")
def write_clip() -> WriteClip:
    """Write an H.264 clip whose frame i is a grey of level 2 i (plus a moving white square)."""

    def write(
        path: Path,
        num_frames: int = 32,
        width_px: int = 240,
        height_px: int = 160,
        fps: int = 25,
        square: bool = False,
        options: dict[str, str] | None = None,
    ) -> Path:
        with av.open(str(path), "w") as container:
            stream = container.add_stream(
                "libx264", rate=Fraction(fps), options=options or {"qp": "0"}
            )
            stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv444p"
            for number in range(num_frames):
                image = np.full((height_px, width_px, 3), min(2 * number, 255), dtype=np.uint8)
                if square:
                    image[10:30, number : number + 20] = 255
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                for packet in stream.encode(frame):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
        return path

    return write
