"""The clevrer-mini world: discs that slide on a table, collide elastically and slow down.

Many scenes are simulated at once. Every operation is elementwise over scenes and pairs are handled
one after the other, so a scene's result does not depend on its neighbours in the batch, and an
object that touches nothing can be removed without changing one bit of the others' paths.

Shape suffixes: S scenes, N objects, T frames, 2 the table's x (to the right) and y (towards the
viewer). Lengths are in table units: the view is 3 wide and 2 deep, an object's radius is 0.2.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

NUM_FRAMES = 128
FRAMES_PER_S = 25
TABLE_WIDTH = 3.0
TABLE_DEPTH = 2.0
RADIUS = 0.2
FRICTION = 0.12  # deceleration, units/s^2

_SUBSTEPS = 4


@dataclass(frozen=True, slots=True)
class Simulation:
    """What happened in S scenes.

    Attributes:
        positions_STN2: Centre of each object at each frame.
        velocities_STN2: Velocity of each object at each frame, units/s.
        collision_frame_SNN: First frame at which a pair touched, -1 if it never did. Symmetric.
        min_gap_SNN: Smallest distance between the surfaces of a pair over the clip; `inf` if one
            of them is absent, and on the diagonal.
        impulse_SNN: Largest normal speed exchanged by a pair, units/s; small values are grazes.
        num_contacts_SN: Contacts of each object, a pair's second contact counted again.
    """

    positions_STN2: NDArray[np.float64]
    velocities_STN2: NDArray[np.float64]
    collision_frame_SNN: NDArray[np.int64]
    min_gap_SNN: NDArray[np.float64]
    impulse_SNN: NDArray[np.float64]
    num_contacts_SN: NDArray[np.int64]


def simulate(
    positions_SN2: NDArray[np.float64],
    velocities_SN2: NDArray[np.float64],
    present_SN: NDArray[np.bool_],
) -> Simulation:
    """Run S scenes for the length of a clip.

    Args:
        positions_SN2: Centres at frame 0.
        velocities_SN2: Velocities at frame 0, units/s.
        present_SN: Objects that take part; the others neither move nor are touched.
    """
    num_scenes, num_objects, _ = positions_SN2.shape
    x, y = positions_SN2[:, :, 0].copy(), positions_SN2[:, :, 1].copy()
    vx = np.where(present_SN, velocities_SN2[:, :, 0], 0.0)
    vy = np.where(present_SN, velocities_SN2[:, :, 1], 0.0)
    log = _Log(num_scenes, num_objects)
    dt = 1.0 / (FRAMES_PER_S * _SUBSTEPS)
    for frame in range(NUM_FRAMES):
        log.record_frame(frame, x, y, vx, vy)
        for _ in range(_SUBSTEPS):
            x += vx * dt
            y += vy * dt
            for i, j in combinations(range(num_objects), 2):
                _collide(i, j, x, y, vx, vy, present_SN, log, frame)
            _slow_down(vx, vy, dt)
    return log.result()


class _Log:
    """Mutable arrays behind a `Simulation`."""

    def __init__(self, num_scenes: int, num_objects: int) -> None:
        pairs = (num_scenes, num_objects, num_objects)
        self.positions = np.zeros((num_scenes, NUM_FRAMES, num_objects, 2))
        self.velocities = np.zeros((num_scenes, NUM_FRAMES, num_objects, 2))
        self.collision_frame = np.full(pairs, -1, dtype=np.int64)
        self.min_gap = np.full(pairs, np.inf)
        self.impulse = np.zeros(pairs)
        self.num_contacts = np.zeros((num_scenes, num_objects), dtype=np.int64)

    def record_frame(
        self,
        frame: int,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        vx: NDArray[np.float64],
        vy: NDArray[np.float64],
    ) -> None:
        self.positions[:, frame, :, 0], self.positions[:, frame, :, 1] = x, y
        self.velocities[:, frame, :, 0], self.velocities[:, frame, :, 1] = vx, vy

    def record_contact(
        self, i: int, j: int, hit_S: NDArray[np.bool_], impulse_S: NDArray[np.float64], frame: int
    ) -> None:
        first = hit_S & (self.collision_frame[:, i, j] < 0)
        for a, b in ((i, j), (j, i)):
            self.collision_frame[first, a, b] = frame
            self.impulse[:, a, b] = np.where(
                hit_S, np.maximum(self.impulse[:, a, b], impulse_S), self.impulse[:, a, b]
            )
            self.num_contacts[:, a] += hit_S

    def result(self) -> Simulation:
        return Simulation(
            self.positions,
            self.velocities,
            self.collision_frame,
            self.min_gap,
            self.impulse,
            self.num_contacts,
        )


def _collide(
    i: int,
    j: int,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    vx: NDArray[np.float64],
    vy: NDArray[np.float64],
    present_SN: NDArray[np.bool_],
    log: _Log,
    frame: int,
) -> None:
    """Let one pair bounce where it touches and approaches.

    Equal masses exchange the parts of their velocities along the line between them.
    """
    dx, dy = x[:, j] - x[:, i], y[:, j] - y[:, i]
    distance = np.sqrt(dx * dx + dy * dy)
    both = present_SN[:, i] & present_SN[:, j]
    gap = np.where(both, distance - 2 * RADIUS, np.inf)
    log.min_gap[:, i, j] = log.min_gap[:, j, i] = np.minimum(log.min_gap[:, i, j], gap)
    touching = gap <= 0.0
    if not touching.any():
        return
    safe = np.where(distance > 0.0, distance, 1.0)
    nx, ny = dx / safe, dy / safe
    closing = (vx[:, i] - vx[:, j]) * nx + (vy[:, i] - vy[:, j]) * ny
    hit = touching & (closing > 0.0)
    exchange = np.where(hit, closing, 0.0)
    vx[:, i] -= exchange * nx
    vy[:, i] -= exchange * ny
    vx[:, j] += exchange * nx
    vy[:, j] += exchange * ny
    log.record_contact(i, j, hit, exchange, frame)


def _slow_down(vx: NDArray[np.float64], vy: NDArray[np.float64], dt: float) -> None:
    """Sliding friction: speed falls at a constant rate and stays at zero."""
    speed = np.sqrt(vx * vx + vy * vy)
    moving = speed > 0.0
    factor = np.where(
        moving, np.maximum(speed - FRICTION * dt, 0.0) / np.where(moving, speed, 1.0), 0.0
    )
    vx *= factor
    vy *= factor
