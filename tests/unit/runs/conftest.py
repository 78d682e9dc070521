"""Real run directories, and a real limit on what a file may grow to."""

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from vtk.runs.store import RunPaths, create_run

NewRun = Callable[..., RunPaths]
SizeLimit = Callable[[int], AbstractContextManager[None]]


@pytest.fixture
def new_run(tmp_path: Path) -> NewRun:
    """Makes a run under the test's own folder."""

    def make(name: str | None = None, num_steps: int | None = 100) -> RunPaths:
        config = {"optim": {"num_steps": num_steps}, "seed": 3}
        return create_run(
            tmp_path / "runs",
            "cdpo",
            name,
            argv=["vtk", "train-cdpo", "--seed", "3"],
            config=config,
            provenance={"optim.num_steps": "default", "seed": "command line"},
        )

    return make


@pytest.fixture
def size_limit() -> SizeLimit:
    """Lets no file grow beyond so many bytes: how a full disk looks to the process that writes."""

    @contextmanager
    def limit(num_bytes: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit
