"""A small world, a random tiny model, and `vtk` in processes of its own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from vtk.data.registry import get_dataset
from vtk.data.split import SplitOptions, split_dataset
from vtk.mini.world import WorldSettings, write_world
from vtk.models.tiny import build_tiny_model

SUITE = "clevrer-mini"
Tiny = tuple[Any, Any]


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split world of four training and six validation clips."""
    folder = tmp_path_factory.mktemp("data")
    settings = WorldSettings(num_scenes=4, num_validation_scenes=6, seed=1)
    write_world(folder / SUITE, settings)
    split_dataset(folder / SUITE, get_dataset(SUITE), SplitOptions())
    return folder


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    """The tiny architecture with random weights."""
    return build_tiny_model(seed=0)


@pytest.fixture(scope="session")
def model_dir(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, saved."""
    folder = tmp_path_factory.mktemp("model")
    for part in tiny:
        part.save_pretrained(folder)
    return folder


class Cli:
    """Runs `vtk` in processes of their own."""

    def __init__(self, data_dir: Path, runs_dir: Path) -> None:
        self.places = ["--data-dir", str(data_dir), "--runs-dir", str(runs_dir)]
        self.runs_dir = runs_dir

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "vtk", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        with self.start(*arguments) as child:
            try:
                out, err = child.communicate(timeout=240)
            finally:
                child.kill()
        return child.returncode, out, err

    def stop_midway(self, arguments: list[str], sign: int) -> tuple[int, int]:
        """Send a signal once six rows are there; the exit code and the number of rows left."""
        with self.start(*arguments) as child:
            try:
                while self.num_rows() < 6 and child.poll() is None:
                    time.sleep(0.005)
                child.send_signal(sign)
                child.communicate(timeout=60)
            finally:
                child.kill()
        return child.returncode, self.num_rows()

    def num_rows_of(self, rank: int) -> int:
        """Complete rows that one of several processes has written."""
        files = self.runs_dir.glob(f"*/eval/*/parts/rank_{rank}.jsonl")
        return sum(path.read_bytes().count(b"\n") for path in files)

    def num_rows(self) -> int:
        """Complete rows of all evaluations in the runs' folder."""
        files = self.runs_dir.glob("*/eval/*/samples.jsonl")
        return sum(path.read_bytes().count(b"\n") for path in files)


def eval_arguments(cli: Cli, model_dir: Path) -> list[str]:
    options = ["--preset", "tiny", "--temperature", "1", "--samples-per-question", "4"]
    sizes = ["--batch-size", "2", "--max-completion-tokens", "48"]
    return ["eval", SUITE, "--model", str(model_dir), *options, *sizes, *cli.places]


@pytest.fixture(scope="session")
def uninterrupted(
    data_dir: Path, model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The JSON document of an evaluation that nobody stopped."""
    cli = Cli(data_dir, tmp_path_factory.mktemp("runs"))
    code, out, err = cli.run(*eval_arguments(cli, model_dir), "--json")
    assert code == 0, err
    document: dict[str, Any] = json.loads(out)
    return document


def require_same_files(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Rows and results to the byte, and no parts left."""
    assert found["suites"] == expected["suites"]
    here, there = (Path(one["run_dir"]) / "eval" / SUITE for one in (found, expected))
    for name in ("samples.jsonl", "results.json"):
        assert (here / name).read_bytes() == (there / name).read_bytes()
    assert sorted(path.name for path in here.iterdir()) == sorted(
        path.name for path in there.iterdir()
    )
