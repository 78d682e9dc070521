"""The simulator: what it conserves, when things stop, and who depends on whom."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vtk.mini import physics
from vtk.mini.physics import FRAMES_PER_S, NUM_FRAMES, RADIUS, Simulation, simulate

Array = NDArray[np.float64]
FRICTION = 0.12  # units/s^2


def one_scene(positions: list[list[float]], velocities: list[list[float]]) -> Simulation:
    present = np.ones((1, len(positions)), dtype=bool)
    return simulate(np.array([positions]), np.array([velocities]), present)


def crowd(seed: int, num_scenes: int, num_objects: int) -> tuple[Array, Array]:
    """Objects at random places, apart from each other at first, half of them moving."""
    rng = np.random.default_rng(seed)
    grid = np.array([[0.5 + x, 0.5 + y] for x in range(3) for y in range(2)])
    places = np.array([grid[rng.permutation(6)[:num_objects]] for _ in range(num_scenes)])
    positions = places + rng.uniform(-0.25, 0.25, places.shape)
    velocities = rng.uniform(-0.8, 0.8, places.shape)
    velocities *= rng.random((num_scenes, num_objects, 1)) < 0.5
    return positions, velocities


@pytest.mark.parametrize("offset", [0.0, 0.1, 0.25, -0.3], ids=lambda y: f"offset {y}")
def test_a_contact_without_friction_conserves_momentum_and_energy(
    offset: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(physics, "FRICTION", 0.0)
    found = one_scene([[0.5, 1.0 + offset], [1.5, 1.0]], [[0.6, 0.0], [-0.1, 0.05]])
    velocities_TN2 = found.velocities_STN2[0]
    assert found.num_contacts_SN.tolist() == [[1, 1]]
    assert not np.allclose(velocities_TN2[0], velocities_TN2[-1])
    momentum_T2 = velocities_TN2.sum(axis=1)
    energy_T = (velocities_TN2**2).sum(axis=(1, 2))
    np.testing.assert_allclose(momentum_T2, momentum_T2[:1].repeat(NUM_FRAMES, axis=0), atol=1e-12)
    np.testing.assert_allclose(energy_T, energy_T[0], rtol=1e-12)


def test_a_central_hit_hands_the_whole_velocity_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(physics, "FRICTION", 0.0)
    found = one_scene([[0.5, 1.0], [1.5, 1.0]], [[0.6, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(found.velocities_STN2[0, -1], [[0.0, 0.0], [0.6, 0.0]], atol=1e-12)
    assert found.impulse_SNN[0, 0, 1] == pytest.approx(0.6)
    # The surfaces are 0.6 apart and close at 0.6 units/s: contact after one second.
    assert found.collision_frame_SNN[0, 0, 1] in (FRAMES_PER_S - 1, FRAMES_PER_S)


def test_friction_takes_a_constant_part_of_the_speed_until_it_is_gone() -> None:
    found = one_scene([[0.5, 1.0], [2.8, 1.9]], [[0.3, 0.2], [0.0, 0.0]])
    speed_T = np.linalg.norm(found.velocities_STN2[0, :, 0], axis=-1)
    start = float(np.hypot(0.3, 0.2))
    frames = np.arange(NUM_FRAMES)
    expected_T = np.maximum(start - FRICTION * frames / FRAMES_PER_S, 0.0)
    np.testing.assert_allclose(speed_T, expected_T, atol=1e-9)
    assert speed_T[-1] == 0.0
    way = found.positions_STN2[0, -1, 0] - found.positions_STN2[0, 0, 0]
    assert np.linalg.norm(way) == pytest.approx(start**2 / (2 * FRICTION), rel=0.01)
    assert found.positions_STN2[0, :, 1].tolist() == [[2.8, 1.9]] * NUM_FRAMES


def test_pairs_touch_only_where_the_log_says_so() -> None:
    positions, velocities = crowd(5, 60, 5)
    found = simulate(positions, velocities, np.ones((60, 5), dtype=bool))
    touched_SNN = found.collision_frame_SNN >= 0
    assert touched_SNN.any()
    assert (touched_SNN == touched_SNN.transpose(0, 2, 1)).all()
    assert (touched_SNN == (found.impulse_SNN > 0)).all()
    assert (touched_SNN <= (found.min_gap_SNN <= 0)).all()
    delta = found.positions_STN2[:, :, :, None] - found.positions_STN2[:, :, None, :]
    apart_SNN = np.sqrt((delta**2).sum(axis=-1)).min(axis=1) - 2 * RADIUS
    assert (apart_SNN[~touched_SNN & ~np.eye(5, dtype=bool)] >= -0.04).all()
    assert (apart_SNN[touched_SNN] < 0.04).all()  # a frame may miss the moment of contact


def test_a_scene_alone_is_the_scene_in_a_batch() -> None:
    positions, velocities = crowd(6, 12, 4)
    together = simulate(positions, velocities, np.ones((12, 4), dtype=bool))
    for row in (0, 5, 11):
        alone = simulate(
            positions[row : row + 1], velocities[row : row + 1], np.ones((1, 4), dtype=bool)
        )
        for name in Simulation.__slots__:
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[row])


def test_an_absent_object_neither_moves_nor_is_touched() -> None:
    present = np.array([[True, False, True]])
    found = simulate(
        np.array([[[0.5, 1.0], [1.5, 1.0], [2.6, 1.0]]]),
        np.array([[[0.75, 0.0], [0.5, 0.5], [0.0, 0.0]]]),
        present,
    )
    assert found.positions_STN2[0, :, 1].tolist() == [[1.5, 1.0]] * NUM_FRAMES
    assert found.num_contacts_SN.tolist() == [[1, 0, 1]]  # the first one passes through its place
    assert np.isinf(found.min_gap_SNN[0, 1]).all()


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), num_objects=st.sampled_from([3, 4, 5]))
def test_an_object_that_touches_nothing_can_go_without_a_trace(seed: int, num_objects: int) -> None:
    num_scenes = 40
    positions, velocities = crowd(seed, num_scenes, num_objects)
    everyone = np.ones((num_scenes, num_objects), dtype=bool)
    complete = simulate(positions, velocities, everyone)
    for removed in range(num_objects):
        present = everyone.copy()
        present[:, removed] = False
        reduced = simulate(positions, velocities, present)
        idle_S = complete.num_contacts_SN[:, removed] == 0
        others = np.array([i for i in range(num_objects) if i != removed])
        for name in ("positions_STN2", "velocities_STN2"):
            before, after = getattr(complete, name)[idle_S], getattr(reduced, name)[idle_S]
            np.testing.assert_array_equal(before[:, :, others], after[:, :, others])
        pairs = np.ix_(np.flatnonzero(idle_S), others, others)
        for name in ("collision_frame_SNN", "impulse_SNN"):
            before, after = getattr(complete, name)[pairs], getattr(reduced, name)[pairs]
            np.testing.assert_array_equal(before, after)
        is_busy = ~idle_S & (complete.collision_frame_SNN >= 0).any(axis=(1, 2))
        changed = complete.positions_STN2[is_busy] != reduced.positions_STN2[is_busy]
        assert changed[:, :, others].any() or not is_busy.any()
