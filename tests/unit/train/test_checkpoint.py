"""Checkpoints are whole or absent, damage is noticed, and state comes back bit for bit."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from vtk.errors import DataError, VtkError
from vtk.models.sources import MANIFEST_NAME, newest_checkpoint
from vtk.runs.store import RunPaths
from vtk.train import saved_state
from vtk.train.checkpoint import CheckpointStore, damage_of
from vtk.train.sharding import whole_moments


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(RunPaths(tmp_path / "run"), num_kept=2)


def _save(store: CheckpointStore, step: int) -> Path:
    folder = store.begin(step)
    (folder / "model.safetensors").write_bytes(b"weights of step %d" % step)
    (folder / "config.json").write_text("{}")
    final = store.commit(folder, step, {"stage": "bias"})
    store.delete_old()
    return final


def test_a_saved_checkpoint_is_complete_and_found(store: CheckpointStore) -> None:
    folder = _save(store, 5)
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    assert damage_of(folder) is None
    assert manifest["step"] == 5
    assert manifest["stage"] == "bias"
    assert set(manifest["files"]) == {"model.safetensors", "config.json"}
    assert newest_checkpoint(store.paths) == folder


def test_the_newest_are_kept(store: CheckpointStore) -> None:
    for step in (1, 2, 3):
        _save(store, step)
    assert store.steps() == [2, 3]


def test_an_old_one_that_cannot_be_deleted_goes_after_the_next_save(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network disk while somebody reads it."""

    def busy(*_: object, **__: object) -> None:
        raise OSError(39, "Directory not empty")

    for step in (1, 2):
        _save(store, step)
    with monkeypatch.context() as patch:
        patch.setattr("vtk.train.checkpoint.shutil.rmtree", busy)
        with pytest.raises(VtkError, match="cannot be deleted: Directory not empty"):
            _save(store, 3)
    assert store.steps() == [2, 3]
    _save(store, 4)
    names = [path.name for path in store.paths.checkpoints_dir.iterdir()]
    assert sorted(names) == ["step_000003", "step_000004"]


def test_an_interrupted_save_is_no_checkpoint(store: CheckpointStore) -> None:
    _save(store, 1)
    (store.begin(2) / "model.safetensors").write_bytes(b"half")
    assert store.steps() == [1]
    assert store.newest_good() == (1, [])
    assert [path.name for path in store.paths.checkpoints_dir.iterdir()] == ["step_000001"]


def test_a_step_that_is_saved_again_replaces_its_checkpoint(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever moment a kill comes at, one of the two is there."""
    _save(store, 1)

    def save_other() -> None:
        folder = store.begin(1)
        (folder / "model.safetensors").write_bytes(b"other weights")
        store.commit(folder, 1, {})
        store.delete_old()

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    final = store.paths.checkpoint_dir(1)
    rename = Path.rename

    def kill_before_the_new_one_is_there(path: Path, target: Path) -> Path:
        if target == final:
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", kill_before_the_new_one_is_there)
        with pytest.raises(KeyboardInterrupt):
            save_other()
    assert store.steps() == []
    assert store.newest_good() == (1, [])
    assert (final / "model.safetensors").read_bytes() == b"weights of step 1"
    with monkeypatch.context() as patch:
        patch.setattr("vtk.train.checkpoint.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            save_other()
    assert store.newest_good() == (1, [])
    assert (final / "model.safetensors").read_bytes() == b"other weights"
    assert list(store.paths.checkpoints_dir.iterdir()) == [final]


@pytest.mark.parametrize("cut", [0, 5, 16])
@pytest.mark.parametrize("how", ["truncate", "flip", "delete", "manifest"])
def test_damage_is_noticed_and_the_previous_one_used(
    store: CheckpointStore, how: str, cut: int
) -> None:
    _save(store, 1)
    folder = _save(store, 2)
    victim = folder / "model.safetensors"
    content = bytearray(victim.read_bytes())
    if how == "truncate":
        victim.write_bytes(content[:cut])
    elif how == "flip":
        content[cut] ^= 1
        victim.write_bytes(content)
    elif how == "delete":
        victim.unlink()
    else:
        manifest = (folder / MANIFEST_NAME).read_bytes()
        (folder / MANIFEST_NAME).write_bytes(manifest[: cut + 1])
    step, damaged = store.newest_good()
    assert step == 1
    assert len(damaged) == 1
    assert damaged[0].path.is_dir()
    assert store.steps() == [1]


def test_a_folder_without_manifest_is_put_aside_and_told(store: CheckpointStore) -> None:
    _save(store, 1)
    folder = _save(store, 2)
    (folder / MANIFEST_NAME).unlink()
    step, damaged = store.newest_good()
    assert step == 1
    assert [MANIFEST_NAME in each.reason for each in damaged] == [True]
    assert not folder.exists()


def test_a_deletion_that_is_cut_short_is_made_up_for(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for step in (1, 2):
        _save(store, step)
    with monkeypatch.context() as patch:
        patch.setattr("vtk.train.checkpoint.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            _save(store, 3)
    assert store.steps() == [2, 3]
    assert store.newest_good() == (3, [])
    names = sorted(path.name for path in store.paths.checkpoints_dir.iterdir())
    assert names == ["step_000002", "step_000003"]


def test_space_is_looked_at_before_a_save(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Disk:
        free = 1000

    monkeypatch.setattr("vtk.train.checkpoint.shutil.disk_usage", lambda _: Disk)
    store.require_space(counted_bytes=950)
    with pytest.raises(VtkError) as refused:
        store.require_space(counted_bytes=960)
    assert "needs 1008 B and 1000 B are free" in refused.value.message
    assert "Free 8 B" in str(refused.value.hint)
    (store.paths.checkpoints_dir / "step_000001").mkdir()
    folder = _save(store, 2)
    (folder / "large").write_bytes(bytes(2000))
    with pytest.raises(VtkError, match="needs"):  # the last one's size counts
        store.require_space(counted_bytes=1)


def test_a_run_without_checkpoints_has_no_newest(store: CheckpointStore) -> None:
    assert store.newest_good() == (None, [])


def test_a_save_that_fails_leaves_the_old_one(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _save(store, 1)

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vtk.train.checkpoint.os.fsync", no_space)
    folder = store.begin(2)
    (folder / "model.safetensors").write_bytes(b"x")
    with pytest.raises(VtkError, match="No space left"):
        store.commit(folder, 2, {})
    monkeypatch.undo()
    store.discard(folder)
    assert store.newest_good() == (1, [])


def _trained(
    num_steps: int,
) -> tuple[torch.nn.Linear, torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    for step in range(num_steps):
        _step(model, optimizer, schedule, step)
    return model, optimizer, schedule


def _step(
    model: torch.nn.Linear, optimizer: torch.optim.AdamW, schedule: object, step: int
) -> None:
    torch.manual_seed(step)
    optimizer.zero_grad()
    model(torch.randn(2, 4)).square().sum().backward()
    optimizer.step()
    schedule.step()  # type: ignore[attr-defined]


def test_optimizer_and_schedule_go_on_as_if_never_stopped(tmp_path: Path) -> None:
    straight, *_ = _trained(5)
    stopped, optimizer, schedule = _trained(3)
    saved_state.save_optimizer(tmp_path, whole_moments(optimizer))
    saved_state.save_schedule(tmp_path, schedule)
    resumed, optimizer, schedule = _trained(0)
    resumed.load_state_dict(stopped.state_dict())
    saved_state.load_optimizer(tmp_path, optimizer)
    saved_state.load_schedule(tmp_path, schedule)
    for step in (3, 4):
        _step(resumed, optimizer, schedule, step)
    assert all(
        torch.equal(a, b) for a, b in zip(straight.parameters(), resumed.parameters(), strict=True)
    )
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 / 6)


def test_state_of_another_model_is_refused(tmp_path: Path) -> None:
    _, optimizer, _ = _trained(1)
    saved_state.save_optimizer(tmp_path, whole_moments(optimizer))
    lone = torch.nn.Parameter(torch.zeros(1))
    with pytest.raises(DataError, match="the model trains 1"):
        saved_state.load_optimizer(tmp_path, torch.optim.AdamW([lone]))


def test_random_state_comes_back(tmp_path: Path) -> None:
    def draws() -> list[float]:
        return [random.random(), random.gauss(0, 1), float(np.random.rand()), torch.rand(1).item()]

    draws()
    saved_state.save_random_state(tmp_path, rank=0)
    expected = draws()
    draws()
    saved_state.load_random_state(tmp_path, rank=0)
    assert draws() == expected


def test_nothing_saved_is_a_pickle(tmp_path: Path) -> None:
    _, optimizer, schedule = _trained(1)
    saved_state.save_optimizer(tmp_path, whole_moments(optimizer))
    saved_state.save_schedule(tmp_path, schedule)
    saved_state.save_random_state(tmp_path, rank=0)
    saved_state.save_progress(tmp_path, {"step": 1})
    suffixes = {path.suffix for path in tmp_path.iterdir()}
    assert suffixes == {".safetensors", ".json"}
