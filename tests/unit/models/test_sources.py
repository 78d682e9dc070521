"""Which weights a reference names."""

from pathlib import Path

import pytest

from vtk.errors import DataError
from vtk.models import tiny
from vtk.models.sources import newest_checkpoint, resolve_model_path
from vtk.runs.store import RunPaths, create_run


@pytest.fixture
def run(tmp_path: Path) -> RunPaths:
    """A run with two complete checkpoints and an unfinished newer one."""
    paths = create_run(tmp_path / "runs", "bias", "bias-a")
    for step in (50, 1000, 2000):
        folder = paths.checkpoint_dir(step)
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        if step != 2000:
            (folder / "manifest.json").write_text("{}")
    (paths.checkpoints_dir / ".tmp-3000-ab").mkdir()
    return paths


def test_run_means_its_newest_complete_checkpoint(run: RunPaths) -> None:
    expected = run.checkpoint_dir(1000)
    runs_dir = run.root.parent
    assert newest_checkpoint(run) == expected
    assert resolve_model_path("bias-a", runs_dir) == expected
    assert resolve_model_path("bias", runs_dir) == expected
    assert resolve_model_path(str(run.root), runs_dir) == expected
    assert resolve_model_path(str(run.root), runs_dir / "elsewhere") == expected


def test_checkpoint_folder_means_itself_when_it_is_complete(run: RunPaths) -> None:
    folder = run.checkpoint_dir(50)
    assert resolve_model_path(str(folder), run.root.parent) == folder
    with pytest.raises(DataError, match=r"step_002000 is unfinished"):
        resolve_model_path(str(run.checkpoint_dir(2000)), run.root.parent)


def test_run_without_checkpoint_is_an_error(tmp_path: Path) -> None:
    create_run(tmp_path, "bias", "fresh")
    with pytest.raises(DataError, match="fresh has no complete checkpoint"):
        resolve_model_path("fresh", tmp_path)


def test_hub_id_is_passed_on(tmp_path: Path) -> None:
    assert (
        resolve_model_path("Qwen/Qwen2.5-VL-3B-Instruct", tmp_path) == "Qwen/Qwen2.5-VL-3B-Instruct"
    )


@pytest.mark.parametrize("ref", ["/nowhere/model", "../nowhere", "a/b/c", "nosuchrun"])
def test_nothing_of_that_name(tmp_path: Path, ref: str) -> None:
    with pytest.raises(DataError, match=ref):
        resolve_model_path(ref, tmp_path)


def test_missing_folder_below_an_existing_one_is_not_a_hub_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    with pytest.raises(DataError, match="models/absent"):
        resolve_model_path("models/absent", tmp_path)


def test_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no model"):
        resolve_model_path(str(tmp_path), tmp_path / "runs")


def test_folder_named_like_a_run_loses_to_the_run(
    run: RunPaths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bias-a").mkdir()
    assert resolve_model_path("bias-a", run.root.parent) == run.checkpoint_dir(1000)


def test_tiny_is_the_shipped_model(tmp_path: Path) -> None:
    folder = Path(tiny.__file__).parent / "tiny_weights"
    if not (folder / "model.safetensors").is_file():
        pytest.skip("the shipped weights are not in this checkout")
    assert resolve_model_path("tiny", tmp_path) == folder
