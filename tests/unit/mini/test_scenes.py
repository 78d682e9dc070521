"""Every kept scene is unmistakable, is what its log says, and is worth asking about."""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, groupby, islice

import numpy as np

from vtk.mini.physics import RADIUS, TABLE_DEPTH, TABLE_WIDTH, Simulation
from vtk.mini.scenes import Collision, Scene, sample_scenes

Resimulate = Callable[[Sequence[Scene], int | None], Simulation]

MARGIN = 0.6 * RADIUS
MISS_GAP = 0.12


def smallest_gaps(scene: Scene) -> dict[tuple[int, int], float]:
    """Smallest distance between the surfaces of each pair over the frames."""
    places = scene.positions_TN2
    return {
        (i, j): float(np.linalg.norm(places[:, i] - places[:, j], axis=-1).min()) - 2 * RADIUS
        for i, j in combinations(range(len(scene.things)), 2)
    }


def by_size(scenes: Sequence[Scene]) -> Iterator[list[Scene]]:
    ordered = sorted(scenes, key=lambda scene: len(scene.things))
    for _, group in groupby(ordered, key=lambda scene: len(scene.things)):
        yield list(group)


def log_of(simulation: Simulation, row: int) -> tuple[Collision, ...]:
    frame = simulation.collision_frame_SNN[row]
    pairs = [pair for pair in combinations(range(len(frame)), 2) if frame[pair] >= 0]
    collisions = [Collision(pair, int(frame[pair])) for pair in pairs]
    return tuple(sorted(collisions, key=lambda c: (c.frame, c.pair)))


def test_objects_stay_in_view_and_start_apart(scenes: list[Scene]) -> None:
    for scene in scenes:
        x, y = scene.positions_TN2[..., 0], scene.positions_TN2[..., 1]
        assert MARGIN < x.min() < x.max() < TABLE_WIDTH - MARGIN
        assert MARGIN < y.min() < y.max() < TABLE_DEPTH - MARGIN
        first = scene.positions_TN2[0]
        for i, j in combinations(range(len(scene.things)), 2):
            assert np.linalg.norm(first[i] - first[j]) > 2 * RADIUS + 0.2


def test_contacts_are_contacts_and_misses_are_clear(scenes: list[Scene]) -> None:
    for scene in scenes:
        for pair, gap in smallest_gaps(scene).items():
            if pair in scene.observed_pairs():
                assert gap < 0.04  # a frame may miss the moment of contact
            else:
                assert gap > MISS_GAP
        assert 1 <= len(scene.collisions) <= 5
        frames = [collision.frame for collision in scene.collisions]
        assert frames == sorted(frames)
        assert frames[0] >= 10
        assert frames[-1] <= 114


def test_logs_and_paths_are_those_of_the_simulated_worlds(
    scenes: list[Scene], resimulate: Resimulate
) -> None:
    for group in by_size(scenes[:120]):
        seen = resimulate(group, None)
        for row, scene in enumerate(group):
            assert scene.collisions == log_of(seen, row)
            np.testing.assert_array_equal(scene.positions_TN2, seen.positions_STN2[row])
            np.testing.assert_array_equal(scene.velocities_TN2, seen.velocities_STN2[row])
        for removed in range(len(group[0].things)):
            unseen = resimulate(group, removed)
            for row, scene in enumerate(group):
                assert scene.without[removed] == log_of(unseen, row)
                paths = scene.positions_without_RTN2[removed]
                np.testing.assert_array_equal(paths, unseen.positions_STN2[row])


def test_an_idle_object_changes_nothing_by_going(scenes: list[Scene]) -> None:
    num_idle = 0
    for scene in scenes:
        for index in range(len(scene.things)):
            if any(index in pair for pair in scene.observed_pairs()):
                continue
            num_idle += 1
            assert scene.without[index] == scene.collisions
            others = [i for i in range(len(scene.things)) if i != index]
            paths = scene.positions_without_RTN2[index][:, others]
            np.testing.assert_array_equal(paths, scene.positions_TN2[:, others])
    assert num_idle > 50


def test_some_object_matters_and_some_other_does_not(scenes: list[Scene]) -> None:
    for scene in scenes:
        matters = [
            scene.pairs_without(i) != {p for p in scene.observed_pairs() if i not in p}
            for i in range(len(scene.things))
        ]
        assert any(matters)
        assert not all(matters)


def test_distinct_palette_gives_each_object_its_colour(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert len({thing.color for thing in scene.things}) == len(scene.things)
        assert 4 <= len(scene.things) <= 5


def test_full_palette_repeats_colours_but_no_object(full_scenes: list[Scene]) -> None:
    assert all(len(set(scene.things)) == len(scene.things) for scene in full_scenes)
    num_repeats = sum(len({t.color for t in s.things}) < len(s.things) for s in full_scenes)
    assert num_repeats > len(full_scenes) / 4


def test_the_same_state_gives_the_same_scenes(scenes: list[Scene]) -> None:
    again = list(islice(sample_scenes(np.random.default_rng(1)), 3))
    for scene, other in zip(scenes, again, strict=False):
        assert (scene.things, scene.collisions, scene.without) == (
            other.things,
            other.collisions,
            other.without,
        )
        np.testing.assert_array_equal(scene.positions_TN2, other.positions_TN2)
    assert next(sample_scenes(np.random.default_rng(5))).things != scenes[0].things


def test_little_is_trivial(
    scenes: list[Scene], record_property: Callable[[str, object], None]
) -> None:
    """What is drawn: enough moves, enough happens, and removing an object often matters."""
    start_speed = [np.linalg.norm(s.velocities_TN2[0], axis=-1) for s in scenes]
    way = [np.abs(s.positions_TN2 - s.positions_TN2[0]).sum(axis=-1).max(axis=0) for s in scenes]
    removals = [(scene, i) for scene in scenes for i in range(len(scene.things))]
    lost, gained = [], []
    for scene, i in removals:
        left = {pair for pair in scene.observed_pairs() if i not in pair}
        lost.append(bool(left - scene.pairs_without(i)))
        gained.append(bool(scene.pairs_without(i) - left))
    shares = {
        "moving_at_start": float((np.concatenate(start_speed) > 0).mean()),
        "moving_ever": float((np.concatenate(way) > 0.05).mean()),
        "collisions_per_scene": float(np.mean([len(scene.collisions) for scene in scenes])),
        "removals_that_undo_a_collision": float(np.mean(lost)),
        "removals_that_make_a_collision": float(np.mean(gained)),
    }
    for name, value in shares.items():
        record_property(name, value)
    assert 0.4 < shares["moving_at_start"] < 0.7, shares
    assert shares["moving_ever"] > 0.7, shares
    assert 1.5 < shares["collisions_per_scene"] < 3.0, shares
    assert shares["removals_that_undo_a_collision"] > 0.1, shares
    assert shares["removals_that_make_a_collision"] > 0.1, shares
    moving = np.concatenate(start_speed)
    assert moving[moving > 0].min() >= 0.34  # nothing creeps
