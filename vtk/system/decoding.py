"""Checks of the video decoders: each decodes a clip that is written on the spot."""

import tempfile
from pathlib import Path

from vtk.errors import VtkError
from vtk.system.checks import Check, first_line, missing_package, try_import

PROBE_NUM_FRAMES, PROBE_WIDTH_PX, PROBE_HEIGHT_PX, PROBE_GREY = 8, 64, 48, 200
MAX_GREY_ERROR = 6
"""H.264 is lossy; a flat grey comes back within a few levels."""


def check_decoders() -> list[Check]:
    """Every decoder that vtk can use; PyAV is needed, the others only add speed."""
    av = try_import("av")
    if isinstance(av, str):
        return [missing_package("decoder pyav", f"PyAV does not import: {av}", ["av"])]
    from vtk.video.decoders import AUTO_ORDER

    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "probe.mp4"
        write_probe_clip(clip)
        return [check_decoder(name, clip) for name in AUTO_ORDER]


def check_decoder(name: str, clip: Path) -> Check:
    """One decoder gives back the grey that was written.

    Args:
        name: pyav, decord or torchcodec.
        clip: A clip of `write_probe_clip`.
    """
    title = f"decoder {name}"
    package = {"pyav": "av"}.get(name, name)
    fault = try_import(package)
    if isinstance(fault, str):
        return Check(title, "note", f"not used: {fault} (optional)")
    from vtk.video.frames import FrameSettings, read_clip

    budget_px = 56 * 28
    settings = FrameSettings(2, None, budget_px, budget_px, decoder=name)
    try:
        frames_FCHW = read_clip(clip, settings).frames_FCHW
    except (VtkError, RuntimeError, OSError) as error:
        detail = f"cannot decode a clip: {first_line(error)}"
        return missing_package(title, detail, ["--force-reinstall", package])
    error_grey = abs(float(frames_FCHW.float().mean()) - PROBE_GREY)
    if error_grey > MAX_GREY_ERROR:
        detail = f"decodes wrong colours: off by {error_grey:.0f} of 255"
        return missing_package(title, detail, ["--force-reinstall", package])
    return Check(title, "ok", "decoded a clip written here, colours right")


def write_probe_clip(path: Path) -> None:
    """Write a short clip of one flat grey as H.264 in mp4, for the decoders to read back.

    Args:
        path: The file to write.
    """
    import av
    import numpy as np

    pixels_HWC = np.full((PROBE_HEIGHT_PX, PROBE_WIDTH_PX, 3), PROBE_GREY, dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = PROBE_WIDTH_PX, PROBE_HEIGHT_PX, "yuv420p"
        for _ in range(PROBE_NUM_FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels_HWC, format="rgb24")))
        container.mux(stream.encode())
