"""Draw a scene from above at a slant: what CLEVRER's clips show, flat enough for a small frame.

Colours are CLEVR's eight (github.com/facebookresearch/clevr-dataset-gen, properties.json). A sphere
is round and shaded, a cube has a lit top and a dark side, a cylinder a lit oval top; metal is
darker at the rim and carries a sharp highlight, rubber is matte. The table is lit from one side:
Qwen's vision tower knows relative positions only, and the gradient says where a patch lies. The
light turns from warm to cool within a clip, which says when. Where two objects collide a spark
glows for a third of a second: sixteen frames of a clip, which is what a tiny model sees, would
otherwise miss most moments of contact.

Shape suffixes: F frames, H height, W width, C colour channels (RGB).
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vtk.mini.physics import FRAMES_PER_S, NUM_FRAMES, RADIUS, TABLE_DEPTH, TABLE_WIDTH
from vtk.mini.scenes import Scene, Thing

WIDTH_PX = 240
HEIGHT_PX = 160
SPARK_FRAMES = 9  # how long a spark glows; of sixteen frames of a clip, one or two show it

_RGB = {
    "gray": (87, 87, 87),
    "red": (173, 35, 35),
    "blue": (42, 75, 215),
    "green": (29, 105, 20),
    "brown": (129, 74, 25),
    "purple": (129, 38, 192),
    "cyan": (41, 208, 208),
    "yellow": (255, 238, 51),
}
_SPARK_RGB = np.array([255.0, 255.0, 235.0], dtype=np.float32)
_SPARK_SIZE = 0.6  # in object radii
# x264's macroblock tree reads memory that nobody wrote (seen in frames 15 blocks wide), so that the
# same frames come out differently from one time to the next; it is off.
_ENCODER = {"crf": "20", "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}

Image = NDArray[np.floating]  # float32 throughout; sums with plain floats keep it


def render_frames(scene: Scene, frame_indices: Sequence[int]) -> NDArray[np.uint8]:
    """Frames of a scene.

    Returns:
        (F, 160, 240, 3) uint8 RGB.
    """
    frames = np.empty((len(frame_indices), HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    for row, index in enumerate(frame_indices):
        image = _table(index / NUM_FRAMES)
        centers_N2 = scene.positions_TN2[index]
        for i in np.argsort(centers_N2[:, 1], kind="stable"):
            _draw(image, scene.things[i], centers_N2[i])
        for collision in scene.collisions:
            if 0 <= index - collision.frame < SPARK_FRAMES:
                _draw_spark(image, centers_N2[list(collision.pair)].mean(axis=0))
        frames[row] = np.clip(image + 0.5, 0, 255).astype(np.uint8)
    return frames


def write_clip(path: Path, frames_FHWC: NDArray[np.uint8]) -> None:
    """Encode frames as H.264 in mp4; the same frames give the same pixels when decoded.

    Args:
        path: File to write.
        frames_FHWC: uint8 RGB, shown at 25 frames a second.
    """
    import av

    with av.open(
        str(path), mode="w", format="mp4", options={"movflags": "+faststart"}
    ) as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_S)
        stream.width, stream.height = frames_FHWC.shape[2], frames_FHWC.shape[1]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = dict(_ENCODER)
        stream.time_base = Fraction(1, FRAMES_PER_S)
        for image in frames_FHWC:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def _table(elapsed: float) -> Image:
    """(H, W, C): lighter to the right and towards the viewer, turning from warm to cool in a clip.

    Args:
        elapsed: How much of the clip is over, from 0 to 1.
    """
    x = np.linspace(0.0, 1.0, WIDTH_PX, dtype=np.float32)[None, :]
    y = np.linspace(0.0, 1.0, HEIGHT_PX, dtype=np.float32)[:, None]
    warmth = np.float32(48.0 * (0.5 - elapsed))
    shades = [165 + 45 * x + 25 * y + warmth, 170 + 25 * x + 35 * y, 205 + 10 * x - 35 * y - warmth]
    return np.stack(np.broadcast_arrays(*shades), axis=-1).astype(np.float32)


def _around(image: Image, center_2: NDArray[np.float64]) -> tuple[Image, Image, Image]:
    """The part of the image around a place, and its coordinates in object radii from there.

    Returns:
        (h, w, C) a view, (1, w) to the right and (h, 1) downwards; empty outside the view.
    """
    scale = WIDTH_PX / TABLE_WIDTH
    cx, cy = float(center_2[0]) * scale, float(center_2[1]) * HEIGHT_PX / TABLE_DEPTH
    reach = int(RADIUS * scale * 1.5) + 2
    left, right = max(int(cx) - reach, 0), max(min(int(cx) + reach + 1, WIDTH_PX), 0)
    top, bottom = max(int(cy) - reach, 0), max(min(int(cy) + reach + 1, HEIGHT_PX), 0)
    u = ((np.arange(left, right, dtype=np.float32) - cx) / (RADIUS * scale))[None, :]
    v = ((np.arange(top, bottom, dtype=np.float32) - cy) / (RADIUS * scale))[:, None]
    return image[top:bottom, left:right], u, v


def _draw_spark(image: Image, center_2: NDArray[np.float64]) -> None:
    """Paint the glow between two objects that collide."""
    region, u, v = _around(image, center_2)
    glow = np.exp(-(((u * u + v * v) / _SPARK_SIZE**2) ** 2))
    region += glow[..., None] * (_SPARK_RGB - region)


def _draw(image: Image, thing: Thing, center_2: NDArray[np.float64]) -> None:
    """Paint one object, and its shadow, into the image."""
    region, u, v = _around(image, center_2)
    if not region.size:
        return
    edge = RADIUS * WIDTH_PX / TABLE_WIDTH
    shadow = _inside(1.0 - np.sqrt((u - 0.12) ** 2 + ((v - 0.3) / 0.85) ** 2), edge / 4)
    region *= (1.0 - 0.3 * shadow)[..., None]
    alpha, light = _SHAPES[thing.shape](u, v, edge)
    color = np.array(_RGB[thing.color], dtype=np.float32)
    metal = thing.material == "metal"
    light = np.clip(1.0 + (light - 1.0) * (1.7 if metal else 0.8), 0.25, 1.6)
    painted = light[..., None] * color
    spot = np.exp(-(((u + 0.3) ** 2 + (v + 0.4) ** 2) / (0.05 if metal else 0.3)))
    painted += (spot * (170.0 if metal else 18.0))[..., None]
    region += alpha[..., None] * (np.minimum(painted, 255.0) - region)


def _inside(signed: Image, sharpness_px: float) -> Image:
    """Coverage of a pixel by a shape; `signed` is the distance to its border, positive inside."""
    return np.asarray(np.clip(signed * sharpness_px + 0.5, 0.0, 1.0))


def _sphere(u: Image, v: Image, edge_px: float) -> tuple[Image, Image]:
    radius = np.sqrt(u * u + v * v)
    height = np.sqrt(np.maximum(1.0 - radius * radius, 0.0))
    light = 0.55 + 0.65 * np.maximum(height * 0.7 - u * 0.35 - v * 0.5, 0.0)
    return _inside(1.0 - radius, edge_px), light


def _cube(u: Image, v: Image, edge_px: float) -> tuple[Image, Image]:
    border = 0.86 - np.maximum(np.abs(u), np.abs(v))
    light = np.where(v < -0.25, 1.35, np.where(u > 0.45, 0.6, 0.9)).astype(np.float32)
    return _inside(border, edge_px), np.broadcast_to(light, border.shape)


def _cylinder(u: Image, v: Image, edge_px: float) -> tuple[Image, Image]:
    lid = 1.0 - np.sqrt((u / 0.82) ** 2 + ((v + 0.55) / 0.4) ** 2)
    base = 1.0 - np.sqrt((u / 0.82) ** 2 + ((v - 0.55) / 0.4) ** 2)
    body = np.minimum(0.82 - np.abs(u), 0.55 - np.abs(v))
    border = np.maximum(np.maximum(lid * 0.4, base * 0.4), body)
    side = 1.05 - 0.55 * np.abs(u + 0.25)
    return _inside(border, edge_px), np.where(lid > 0, np.float32(1.4), side)


_SHAPES = {"sphere": _sphere, "cube": _cube, "cylinder": _cylinder}
