"""Several processes' answers, made one file: the bytes of one process, whoever was killed when."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tests.unit.evals.conftest import FAILED, SAMPLED, Script, make_row
from vtk.errors import ConfigError, DataError
from vtk.evals.folder import SETTINGS_FILE, set_aside
from vtk.evals.parts import (
    PartsFollower,
    part_files,
    part_log,
    put_in_order,
    remove_parts,
    take_in_parts,
    wait_for_rows,
)
from vtk.evals.record import PARTS_DIR, SAMPLES_FILE, EvalRow, SampleLog, read_rows
from vtk.evals.runner import iter_rows, share_of
from vtk.evals.session import Inquiry, placed_in, run_inquiry
from vtk.evals.settings import plan_rows
from vtk.evals.suites import find_suite
from vtk.runs.results import RESULTS_FILE
from vtk.runs.store import RunPaths


@pytest.fixture
def inquiry(script: Script, tmp_path: Path) -> Inquiry:
    script.settings = replace(script.settings, sampling=SAMPLED, num_draws=2, batch_size=2)
    return Inquiry(
        suite=find_suite("clevrer-mini"),
        samples=script.samples,
        settings=script.settings,
        model_identity={"weights_sha256": "ab"},
        folder=tmp_path / "eval",
    )


@pytest.mark.parametrize("num_batches", [0, 1, 7, 100, 1001])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_every_batch_is_answered_once_and_shares_are_alike(num_batches: int, count: int) -> None:
    batches = list(range(num_batches))
    shares = [share_of(batches, rank, count) for rank in range(count)]
    assert sorted(batch for share in shares for batch in share) == batches
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= max(1, num_batches // (count * 8))
    assert all(share == sorted(share) for share in shares)


def test_a_share_keeps_neighbours_together() -> None:
    share = share_of(list(range(160)), 1, 2)
    breaks = sum(b - a > 1 for a, b in pairwise(share))
    assert (len(share), breaks) == (80, 7)


def write_part(script: Script, inquiry: Inquiry, rank: int, num_rows: int | None = None) -> None:
    """What process `rank` of three leaves behind, whole or cut."""
    inquiry.folder.mkdir(exist_ok=True)
    rows = iter_rows(script.backend, script.samples, script.settings, share=(rank, 3))
    with part_log(inquiry.folder, rank) as log:
        for _, row in zip(range(num_rows or 99), rows, strict=False):
            log.append(row)


@pytest.mark.parametrize("left", [(8, 8, 8), (3, 0, 5), (0, 2, 0)])
def test_another_number_of_processes_goes_on_and_ends_with_the_same_bytes(
    script: Script, inquiry: Inquiry, left: tuple[int, int, int], tmp_path: Path
) -> None:
    whole = replace(inquiry, folder=tmp_path / "whole")
    run_inquiry(whole, script.backend)
    run_inquiry(inquiry, script.backend)
    (inquiry.folder / SAMPLES_FILE).unlink()  # the settings stay
    for rank, num_rows in enumerate(left):
        if num_rows:
            write_part(script, inquiry, rank, num_rows)
    script.calls.clear()
    kept: list[int] = []
    run_inquiry(inquiry, script.backend, on_start=lambda found, _: kept.append(len(found.rows)))
    assert kept == [sum(left)]
    for name in (SAMPLES_FILE, RESULTS_FILE):
        assert (inquiry.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert not (inquiry.folder / PARTS_DIR).exists()
    asked = {sample_id for batch, _ in script.calls for sample_id in batch}
    assert (asked == set()) == (sum(left) == 24), "what was answered is not asked again"


def test_rows_are_moved_once_and_newer_ones_count(tmp_path: Path) -> None:
    plan = [("a", 0), ("b", 0), ("c", 0)]
    with SampleLog(tmp_path) as log, part_log(tmp_path, 1) as part:
        log.append(make_row("b", **FAILED))
        for name in ("c", "b"):
            part.append(make_row(name))
    with SampleLog(tmp_path) as log:
        assert take_in_parts(log, tmp_path, plan) == 2
        assert take_in_parts(log, tmp_path, plan) == 0
    lines = [json.loads(line) for line in (tmp_path / SAMPLES_FILE).read_text().splitlines()]
    assert [(line["sample_id"], line["status"]) for line in lines] == [
        ("b", "error"),
        ("b", "ok"),
        ("c", "ok"),
    ]


def test_only_a_complete_and_readable_file_is_put_in_order(tmp_path: Path) -> None:
    plan = [("a", 0), ("b", 0)]
    path = tmp_path / SAMPLES_FILE
    with SampleLog(tmp_path) as log:
        log.append(make_row("b"))
        before = path.read_bytes()
        put_in_order(path, plan)
        assert path.read_bytes() == before
        log.append(make_row("a"))
    put_in_order(path, plan)
    assert list(read_rows(path).rows) == plan
    path.write_bytes(b"damaged\n" + before + path.read_bytes())
    damaged = path.read_bytes()
    put_in_order(path, plan)
    assert path.read_bytes() == damaged


def test_rows_of_a_folder_that_is_not_shared_are_missed(tmp_path: Path) -> None:
    with part_log(tmp_path, 0) as part:
        part.append(make_row("a"))
    wait_for_rows(tmp_path, {("a", 0)}, patience_s=0.0)
    with pytest.raises(DataError, match="1 rows that other processes wrote") as raised:
        wait_for_rows(tmp_path, {("a", 0), ("b", 0)}, patience_s=0.0)
    assert "--runs-dir" in str(raised.value.hint)


def test_a_part_that_is_being_written_is_not_removed(tmp_path: Path) -> None:
    with part_log(tmp_path, 1) as part:
        part.append(make_row())
        with pytest.raises(ConfigError, match="another process is writing"):
            remove_parts(tmp_path)
    assert len(part_files(tmp_path)) == 1
    remove_parts(tmp_path)
    assert not (tmp_path / PARTS_DIR).exists()


def test_a_replaced_file_stays_its_writers(tmp_path: Path) -> None:
    with SampleLog(tmp_path) as first:
        first.append(make_row("b"))
        first.append(make_row("a"))
        put_in_order(first.path, [("a", 0), ("b", 0)])
        with pytest.raises(ConfigError, match="another process is writing"):
            SampleLog(tmp_path).__enter__()
    with SampleLog(tmp_path) as second:
        second.append(make_row("c"))
    assert [key[0] for key in read_rows(tmp_path / SAMPLES_FILE).rows] == ["a", "b", "c"]


def test_a_restart_sets_parts_aside_too(script: Script, inquiry: Inquiry) -> None:
    run_inquiry(inquiry, script.backend)
    write_part(script, inquiry, 1)
    target = set_aside(inquiry.folder)
    assert target is not None
    assert {path.name for path in target.iterdir()} >= {SETTINGS_FILE, PARTS_DIR, SAMPLES_FILE}
    assert not (inquiry.folder / PARTS_DIR).exists()


def test_rows_of_all_processes_are_told_while_they_come(tmp_path: Path) -> None:
    seen: list[EvalRow] = []
    rows = [make_row(f"q{index}") for index in range(6)]
    with (
        PartsFollower(tmp_path, seen.append),
        part_log(tmp_path, 0) as a,
        part_log(tmp_path, 1) as b,
    ):
        for index, row in enumerate(rows):
            (a, b)[index % 2].append(row)
    assert sorted(row.sample_id for row in seen) == [row.sample_id for row in rows]

    def refuse(row: EvalRow) -> None:
        raise ValueError(f"no {row.sample_id}")

    with pytest.raises(ValueError, match="no q0"), PartsFollower(tmp_path, refuse):
        pass


def test_answers_of_other_settings_lie_beside_under_a_name(
    script: Script, inquiry: Inquiry, tmp_path: Path
) -> None:
    run = RunPaths(tmp_path / "run")
    other = replace(inquiry, settings=replace(inquiry.settings, seed=5), variant="seed-5")
    first, second = placed_in(run, [inquiry, other])
    assert (first.folder.name, second.folder.name) == ("clevrer-mini", "clevrer-mini.seed-5")
    documents = [run_inquiry(one, script.backend) for one in (first, second)]
    assert [document["name"] for document in documents] == [first.name, second.name]
    with pytest.raises(ConfigError, match="other settings") as raised:
        run_inquiry(replace(other, folder=first.folder), script.backend)
    assert "--name" in str(raised.value.hint)
    with pytest.raises(ConfigError, match="cannot name"):
        placed_in(run, [replace(inquiry, variant="../out")])
    assert plan_rows(first.samples, first.settings) == plan_rows(second.samples, second.settings)
