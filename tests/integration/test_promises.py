"""Short forms of rows E, L and S of the promise table; `make reliability` has the full counts."""

from pathlib import Path

import pytest

from tests.reliability import (
    canaries,
    caps,
    evaluations,
    faults,
    live_logs,
    logs,
    paths,
    reaching,
    secrets,
)
from tests.reliability.bench import Bench, World, make_world
from tests.reliability.figures import Figures
from tests.reliability.sandbox import can_forbid_network

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Clips, questions and models, made once."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def bench(world: World, tmp_path: Path) -> Bench:
    return Bench(world, tmp_path)


def _kept(found: Figures) -> None:
    assert found.broken == []
    assert found.count
    assert found.figures


def test_an_evaluation_killed_at_random_rows(bench: Bench, tmp_path: Path) -> None:
    _kept(evaluations.kill_at_random_rows(bench, 2, tmp_path / "e1"))


@pytest.mark.thorough
def test_questions_that_fail_beside_others(bench: Bench, tmp_path: Path) -> None:
    _kept(faults.errors_count_as_wrong(bench, tmp_path / "e2", [40], ["memory"]))


def test_models_that_bring_code(bench: Bench, tmp_path: Path) -> None:
    _kept(canaries.no_code_of_models_runs(bench, tmp_path))


def test_rows_that_name_servers_and_foreign_files(bench: Bench, tmp_path: Path) -> None:
    if not can_forbid_network():
        pytest.skip("this kernel lets no process give the network up")
    _kept(reaching.rows_reach_nothing(bench, tmp_path))


def test_readers_of_a_log_whose_writer_is_killed(tmp_path: Path) -> None:
    _kept(live_logs.writer_and_readers(1, 3, tmp_path))


def test_damage_in_a_log_and_clocks_that_jump(tmp_path: Path) -> None:
    _kept(logs.damage_inside(90, tmp_path))
    _kept(logs.clocks_that_jump(tmp_path))


def test_hostile_references_beside_a_changing_link(tmp_path: Path) -> None:
    _kept(paths.nothing_leaves_its_root(1000, tmp_path))


def test_tokens_are_found_in_no_output(tmp_path: Path) -> None:
    _kept(secrets.tokens_stay_hidden(tmp_path))


def test_rows_that_are_too_large_or_too_deep(tmp_path: Path) -> None:
    _kept(caps.absurd_inputs(65, tmp_path, num_rows=2000))
