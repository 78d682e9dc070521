"""Scenes worth asking about.

They are drawn at random, simulated with and without each object, and kept if every event is
unmistakable.

Shape suffixes: S candidate scenes, N objects, R removed object, T frames, 2 table coordinates.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vtk.mini.language import COLORS, MATERIALS, SHAPES
from vtk.mini.physics import RADIUS, TABLE_DEPTH, TABLE_WIDTH, Simulation, simulate

Palette = Literal["distinct", "full"]
Pair = tuple[int, int]

_BATCH = 6000
_MIN_START_GAP = 0.2
_MIN_MISS_GAP = 0.12  # a pair that does not touch stays at least this far apart in the clip
_MIN_UNSEEN_MISS_GAP = 0.08  # the same in the worlds without an object
_MIN_IMPULSE = 0.14
_FIRST_CONTACT_FRAME = 10
_LAST_CONTACT_FRAME = 114
_VIEW_MARGIN = 0.6 * RADIUS


@dataclass(frozen=True, slots=True)
class Thing:
    """One object's attributes, in CLEVRER's words."""

    color: str
    material: str
    shape: str


@dataclass(frozen=True, slots=True)
class Collision:
    """A pair's first contact."""

    pair: Pair
    frame: int


@dataclass(frozen=True, slots=True)
class Scene:
    """One clip's world and what it would have been without each object.

    Attributes:
        things: Attributes of the N objects.
        positions_TN2: Centres at every frame.
        velocities_TN2: Velocities at every frame, units/s.
        collisions: First contacts in order of time.
        without: For each object the first contacts in order of time in the world that lacks it.
        positions_without_RTN2: For each object the centres at every frame in the world that lacks
            it.
    """

    things: tuple[Thing, ...]
    positions_TN2: NDArray[np.float64]
    velocities_TN2: NDArray[np.float64]
    collisions: tuple[Collision, ...]
    without: tuple[tuple[Collision, ...], ...]
    positions_without_RTN2: NDArray[np.float64]

    def observed_pairs(self) -> frozenset[Pair]:
        """Pairs that touch in the clip."""
        return frozenset(c.pair for c in self.collisions)

    def pairs_without(self, removed: int) -> frozenset[Pair]:
        """Pairs that would touch if one object were not there."""
        return frozenset(c.pair for c in self.without[removed])


def sample_scenes(rng: np.random.Generator, palette: Palette = "distinct") -> Iterator[Scene]:
    """Draw scenes without end; the same generator state gives the same scenes.

    A kept scene has one to five collisions, no graze and no near miss, keeps its objects in view,
    and has at least one object whose absence changes which of the others collide and one whose
    absence does not.
    """
    while True:
        num_objects = int(rng.choice([4, 5], p=[0.8, 0.2]))
        yield from _accepted(rng, num_objects, palette)


def _accepted(rng: np.random.Generator, num_objects: int, palette: Palette) -> Iterator[Scene]:
    positions, velocities = _draw_starts(rng, _BATCH, num_objects)
    keep = _start_is_clear(positions)
    positions, velocities = positions[keep], velocities[keep]
    seen = simulate(positions, velocities, np.ones(positions.shape[:2], dtype=bool))
    keep = _is_unmistakable(seen, _MIN_MISS_GAP) & _stays_in_view(seen) & _has_contacts(seen)
    positions, velocities = positions[keep], velocities[keep]
    seen_rows = np.flatnonzero(keep)
    unseen = [_simulate_without(positions, velocities, removed) for removed in range(num_objects)]
    clear = np.ones(len(positions), dtype=bool)
    for simulation in unseen:
        clear &= _is_unmistakable(simulation, _MIN_UNSEEN_MISS_GAP)
    for row in np.flatnonzero(clear):
        scene = Scene(
            things=_draw_things(rng, num_objects, palette),
            # Copies: a view would keep the whole batch alive.
            positions_TN2=seen.positions_STN2[seen_rows[row]].copy(),
            velocities_TN2=seen.velocities_STN2[seen_rows[row]].copy(),
            collisions=_collisions(seen, int(seen_rows[row])),
            without=tuple(_collisions(simulation, int(row)) for simulation in unseen),
            positions_without_RTN2=np.stack(
                [simulation.positions_STN2[row] for simulation in unseen]
            ),
        )
        if _is_worth_asking(scene):
            yield scene


def _simulate_without(
    positions: NDArray[np.float64], velocities: NDArray[np.float64], removed: int
) -> Simulation:
    present = np.ones(positions.shape[:2], dtype=bool)
    present[:, removed] = False
    return simulate(positions, velocities, present)


def _draw_starts(
    rng: np.random.Generator, num_scenes: int, num_objects: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places anywhere in view; over half of the objects move, each roughly towards another."""
    low = (_VIEW_MARGIN, _VIEW_MARGIN)
    high = (TABLE_WIDTH - _VIEW_MARGIN, TABLE_DEPTH - _VIEW_MARGIN)
    positions = rng.uniform(low, high, (num_scenes, num_objects, 2))
    offset = rng.integers(1, num_objects, (num_scenes, num_objects))
    target = (np.arange(num_objects)[None, :] + offset) % num_objects
    towards = np.take_along_axis(positions, target[:, :, None], axis=1) - positions
    angle = np.arctan2(towards[:, :, 1], towards[:, :, 0]) + rng.normal(
        0.0, 0.12, (num_scenes, num_objects)
    )
    speed = rng.uniform(0.35, 0.77, (num_scenes, num_objects))
    speed *= rng.random((num_scenes, num_objects)) < 0.55
    velocities = np.stack([np.cos(angle) * speed, np.sin(angle) * speed], axis=-1)
    # Rounding makes the start independent of the last bit of a platform's sine.
    return np.round(positions, 6), np.round(velocities, 6)


def _draw_things(rng: np.random.Generator, num_objects: int, palette: Palette) -> tuple[Thing, ...]:
    if palette == "distinct":
        colors = rng.permutation(len(COLORS))[:num_objects]
        return tuple(
            Thing(COLORS[c], MATERIALS[int(rng.integers(2))], SHAPES[int(rng.integers(3))])
            for c in colors
        )
    kinds = rng.permutation(len(COLORS) * len(MATERIALS) * len(SHAPES))[:num_objects]
    return tuple(Thing(COLORS[k % 8], MATERIALS[k // 8 % 2], SHAPES[k // 16]) for k in kinds)


def _start_is_clear(positions_SN2: NDArray[np.float64]) -> NDArray[np.bool_]:
    clear = np.ones(len(positions_SN2), dtype=bool)
    for i, j in combinations(range(positions_SN2.shape[1]), 2):
        delta = positions_SN2[:, i] - positions_SN2[:, j]
        distance = np.sqrt(delta[:, 0] ** 2 + delta[:, 1] ** 2)
        clear &= distance > 2 * RADIUS + _MIN_START_GAP
    return clear


def _is_unmistakable(simulation: Simulation, min_miss_gap: float) -> NDArray[np.bool_]:
    """No near miss, no graze, no contact too early or too late to be seen."""
    frame = simulation.collision_frame_SNN
    touched = frame >= 0
    missed_clearly = touched | (simulation.min_gap_SNN > min_miss_gap)
    in_time = ~touched | ((frame >= _FIRST_CONTACT_FRAME) & (frame <= _LAST_CONTACT_FRAME))
    hard = ~touched | (simulation.impulse_SNN > _MIN_IMPULSE)
    # A pair is never itself: the diagonal has an infinite gap and passes.
    return np.asarray((missed_clearly & in_time & hard).all(axis=(1, 2)))


def _stays_in_view(simulation: Simulation) -> NDArray[np.bool_]:
    x, y = simulation.positions_STN2[..., 0], simulation.positions_STN2[..., 1]
    inside = (
        (x > _VIEW_MARGIN)
        & (x < TABLE_WIDTH - _VIEW_MARGIN)
        & (y > _VIEW_MARGIN)
        & (y < TABLE_DEPTH - _VIEW_MARGIN)
    )
    return np.asarray(inside.all(axis=(1, 2)))


def _has_contacts(simulation: Simulation) -> NDArray[np.bool_]:
    num_pairs = (simulation.collision_frame_SNN >= 0).sum(axis=(1, 2)) // 2
    return np.asarray((num_pairs >= 1) & (num_pairs <= 5))


def _collisions(simulation: Simulation, row: int) -> tuple[Collision, ...]:
    frame = simulation.collision_frame_SNN[row]
    found = [
        Collision((i, j), int(frame[i, j]))
        for i, j in combinations(range(len(frame)), 2)
        if frame[i, j] >= 0
    ]
    return tuple(sorted(found, key=lambda c: (c.frame, c.pair)))


def _is_worth_asking(scene: Scene) -> bool:
    """Some object matters to the others, and some other one does not."""
    observed = scene.observed_pairs()
    changed = [
        scene.pairs_without(removed) != frozenset(p for p in observed if removed not in p)
        for removed in range(len(scene.things))
    ]
    return any(changed) and not all(changed)
