"""A scene as CLEVRER's annotation file: object properties, 128 frames of motion, collision log.

The format is that of http://clevrer.csail.mit.edu.
"""

from typing import Any

from vtk.mini.physics import NUM_FRAMES, RADIUS, TABLE_DEPTH, TABLE_WIDTH
from vtk.mini.scenes import Scene

_DIGITS = 5


def to_annotation(scene: Scene, scene_index: int) -> dict[str, Any]:
    """The annotation of one clip.

    Args:
        scene: The world.
        scene_index: Its number.

    Returns:
        Values for JSON: lengths in table units, speeds in units/s, z the height of an object's
        middle.
    """
    return {
        "scene_index": scene_index,
        "video_filename": video_name(scene_index),
        "object_property": [
            {"object_id": i, "color": t.color, "material": t.material, "shape": t.shape}
            for i, t in enumerate(scene.things)
        ],
        "motion_trajectory": [_frame(scene, frame) for frame in range(NUM_FRAMES)],
        "collision": [
            {
                "object_ids": list(c.pair),
                "frame_id": c.frame,
                "location": [*_middle(scene, c.pair, c.frame), RADIUS],
            }
            for c in scene.collisions
        ],
    }


def video_name(scene_index: int) -> str:
    """File name of a scene's clip."""
    return f"video_{scene_index:05d}.mp4"


def _frame(scene: Scene, frame: int) -> dict[str, Any]:
    objects = []
    for i in range(len(scene.things)):
        x, y = (float(v) for v in scene.positions_TN2[frame, i])
        vx, vy = (float(v) for v in scene.velocities_TN2[frame, i])
        objects.append(
            {
                "object_id": i,
                "location": [round(x, _DIGITS), round(y, _DIGITS), RADIUS],
                "orientation": [0.0, 0.0, 0.0],
                "velocity": [round(vx, _DIGITS), round(vy, _DIGITS), 0.0],
                "angular_velocity": [0.0, 0.0, 0.0],
                "inside_camera_view": 0.0 <= x <= TABLE_WIDTH and 0.0 <= y <= TABLE_DEPTH,
            }
        )
    return {"frame_id": frame, "objects": objects}


def _middle(scene: Scene, pair: tuple[int, int], frame: int) -> list[float]:
    a, b = scene.positions_TN2[frame, pair[0]], scene.positions_TN2[frame, pair[1]]
    return [round(float(v), _DIGITS) for v in (a + b) / 2]
