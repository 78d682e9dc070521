"""A few hundred scenes, drawn once, and their worlds simulated anew."""

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
import pytest

from vtk.mini.physics import Simulation, simulate
from vtk.mini.questions import Question, ask
from vtk.mini.scenes import Scene, sample_scenes

Asked = tuple[Scene, Question]
Resimulate = Callable[[Sequence[Scene], int | None], Simulation]

NUM_SCENES = 300


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    """Scenes with a colour for each object, as clevrer-mini has them."""
    return list(islice(sample_scenes(np.random.default_rng(1)), NUM_SCENES))


@pytest.fixture(scope="session")
def full_scenes() -> list[Scene]:
    """Scenes whose objects may share colours, as CLEVRER has them."""
    return list(islice(sample_scenes(np.random.default_rng(2), "full"), 60))


@pytest.fixture(scope="session")
def asked(scenes: list[Scene]) -> list[Asked]:
    """Questions about the scenes, half of them meant to be observational."""
    rng = np.random.default_rng(3)
    return [(scene, question) for scene in scenes for question in ask(rng, scene, 4, 0.5)]


@pytest.fixture(scope="session")
def full_asked(full_scenes: list[Scene]) -> list[Asked]:
    rng = np.random.default_rng(4)
    return [(scene, question) for scene in full_scenes for question in ask(rng, scene, 4, 0.5)]


@pytest.fixture(scope="session")
def resimulate() -> Resimulate:
    """Simulate scenes with equally many objects from their first frames, one object left out."""

    def run(scenes: Sequence[Scene], removed: int | None) -> Simulation:
        positions = np.stack([scene.positions_TN2[0] for scene in scenes])
        velocities = np.stack([scene.velocities_TN2[0] for scene in scenes])
        present = np.ones(positions.shape[:2], dtype=bool)
        if removed is not None:
            present[:, removed] = False
        return simulate(positions, velocities, present)

    return run
