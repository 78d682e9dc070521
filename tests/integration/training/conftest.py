"""The bench of `tests.reliability` as fixtures: a world a session, runs a test."""

from pathlib import Path

import pytest

from tests.reliability.bench import Bench, World, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Six clips with their questions, a base model and a bias model."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def bench(world: World, tmp_path: Path) -> Bench:
    """A bench with an empty folder of runs."""
    return Bench(world, tmp_path)
