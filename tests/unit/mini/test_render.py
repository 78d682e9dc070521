"""Pictures: what differs can be told apart, and the same scene gives the same file."""

from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vtk.mini.language import COLORS, MATERIALS, SHAPES
from vtk.mini.physics import NUM_FRAMES, TABLE_DEPTH, TABLE_WIDTH
from vtk.mini.render import HEIGHT_PX, SPARK_FRAMES, WIDTH_PX, render_frames, write_clip
from vtk.mini.scenes import Scene, Thing

FULL_SIZE = (HEIGHT_PX, WIDTH_PX)
SMALL_SIZE = (56, 84)  # what the tiny model sees
# Mean absolute difference of the pixels around an object, of 255. Encoding costs about 2.
MIN_DIFFERENCE = {"color": 10.0, "shape": 6.0, "material": 6.0}


def still(things: list[Thing], centers: list[tuple[float, float]]) -> Scene:
    """A scene in which nothing moves."""
    centers_N2 = np.array(centers, dtype=float).reshape(-1, 2)
    positions = np.repeat(centers_N2[None], NUM_FRAMES, axis=0)
    without = np.repeat(positions[None], len(things), axis=0)
    nothing: tuple[tuple[()], ...] = ((),) * len(things)
    return Scene(tuple(things), positions, np.zeros_like(positions), (), nothing, without)


def portrait(thing: Thing, size: tuple[int, int]) -> NDArray[np.float64]:
    """The square around one object in the middle of the table."""
    frames = render_frames(still([thing], [(TABLE_WIDTH / 2, TABLE_DEPTH / 2)]), [0])
    image = torch.from_numpy(frames).permute(0, 3, 1, 2)
    if size != FULL_SIZE:
        image = torch.nn.functional.interpolate(image, size, mode="bicubic", antialias=True)
    reach = round(0.24 * size[1] / TABLE_WIDTH)
    rows, columns = (slice(side // 2 - reach, side // 2 + reach) for side in size)
    return image[0, :, rows, columns].numpy().astype(float)


@pytest.mark.parametrize("size", [FULL_SIZE, SMALL_SIZE], ids=["full", "small"])
def test_attributes_can_be_told_apart(size: tuple[int, int]) -> None:
    kinds = [Thing(*kind) for kind in product(COLORS, MATERIALS, SHAPES)]
    pictures = {kind: portrait(kind, size) for kind in kinds}
    num_compared = 0
    for one, other in combinations(kinds, 2):
        names = ("color", "material", "shape")
        differing = [n for n in names if getattr(one, n) != getattr(other, n)]
        if len(differing) == 1:
            num_compared += 1
            difference = np.abs(pictures[one] - pictures[other]).mean()
            assert difference > MIN_DIFFERENCE[differing[0]], (one, other)
    assert num_compared == 28 * 6 + 24 + 16 * 3


def test_frames_are_what_the_scene_says(scenes: list[Scene]) -> None:
    frames = render_frames(scenes[0], [0, 64, 127])
    assert frames.shape == (3, HEIGHT_PX, WIDTH_PX, 3)
    assert frames.dtype == np.uint8
    np.testing.assert_array_equal(frames, render_frames(scenes[0], [0, 64, 127]))
    np.testing.assert_array_equal(frames[1:2], render_frames(scenes[0], [64]))


def test_an_object_is_where_it_is_said_to_be() -> None:
    thing = Thing("red", "rubber", "sphere")
    for x, y in [(0.5, 0.5), (2.4, 0.6), (1.5, 1.7)]:
        image = render_frames(still([thing], [(x, y)]), [0])[0].astype(float)
        redness = image[..., 0] - image[..., 1:].max(axis=-1)
        rows, columns = np.nonzero(redness > 40)
        assert columns.mean() / WIDTH_PX * TABLE_WIDTH == pytest.approx(x, abs=0.04)
        assert rows.mean() / HEIGHT_PX * TABLE_DEPTH == pytest.approx(y, abs=0.04)


def test_what_is_nearer_hides_what_is_behind() -> None:
    near, far = Thing("red", "rubber", "cube"), Thing("cyan", "rubber", "cube")
    for order in ([near, far], [far, near]):
        places = [(1.5, 1.1) if thing is near else (1.5, 0.9) for thing in order]
        image = render_frames(still(order, places), [0])[0].astype(int)
        red, _, blue = image[round(1.0 / TABLE_DEPTH * HEIGHT_PX), WIDTH_PX // 2]
        assert red > blue + 50


def test_the_light_tells_where_a_patch_lies() -> None:
    table = render_frames(still([], []), [0])[0].astype(float)
    patch_px = 40
    patches = table.reshape(HEIGHT_PX // patch_px, patch_px, WIDTH_PX // patch_px, patch_px, 3)
    means = patches.mean(axis=(1, 3)).reshape(-1, 3)
    apart = [np.abs(a - b).max() for a, b in combinations(means, 2)]
    assert min(apart) > 2.0


def test_a_spark_glows_where_two_collide_and_only_then(scenes: list[Scene]) -> None:
    for scene in scenes:
        quiet = replace(scene, collisions=())
        for collision in scene.collisions:
            frames = [collision.frame + k for k in (-1, 0, SPARK_FRAMES - 1, SPARK_FRAMES)]
            others = [c.frame for c in scene.collisions if c is not collision]
            with_sparks, without = render_frames(scene, frames), render_frames(quiet, frames)
            for row, frame in enumerate(frames):
                if any(0 <= frame - other < SPARK_FRAMES for other in others):
                    continue
                is_glowing = 0 <= frame - collision.frame < SPARK_FRAMES
                assert (with_sparks[row] != without[row]).any() == is_glowing
                if is_glowing:
                    x, y = scene.positions_TN2[frame, list(collision.pair)].mean(axis=0)
                    pixel = round(y / TABLE_DEPTH * HEIGHT_PX), round(x / TABLE_WIDTH * WIDTH_PX)
                    assert with_sparks[row][pixel].min() > 220


def test_the_same_frames_give_the_same_file(tmp_path: Path, scenes: list[Scene]) -> None:
    """Whatever lay in memory before: an encoder that reads it would differ from time to time."""
    rng = np.random.default_rng(0)
    frames = render_frames(scenes[0], range(NUM_FRAMES))
    files = set()
    for number in range(6):
        for size in rng.integers(1, 400_000, 30):
            np.full(size, 85 * number % 256, dtype=np.uint8)
        write_clip(tmp_path / "clip.mp4", frames)
        files.add((tmp_path / "clip.mp4").read_bytes())
    assert len(files) == 1


def test_a_clip_shows_the_frames(tmp_path: Path, scenes: list[Scene]) -> None:
    frames = render_frames(scenes[1], range(NUM_FRAMES))
    write_clip(tmp_path / "clip.mp4", frames)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        shown = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    assert shown.shape == frames.shape
    error = shown.astype(float) - frames
    assert np.sqrt((error**2).mean()) < 5.0
    assert np.abs(error.mean()) < 1.5
