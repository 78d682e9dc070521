"""The whole of `vtk mini pretrain` in miniature: its files, its report, its second attempt."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vtk.config.sections import ModelSettings
from vtk.errors import ConfigError, DataError, VtkError
from vtk.models.loader import load_policy, weights_hash
from vtk.runs.files import read_json
from vtk.train.pretrain.run import PretrainSettings, pretrain

SETTINGS = PretrainSettings(
    num_scenes=3,
    num_vision_scenes=2,
    vision_steps=2,
    pairs_per_step=4,
    language_steps=2,
    clips_per_step=2,
    num_held_out_scenes=1,
)
Progress = list[tuple[str, int, int, str]]
STAGES = ["render", "vision", "render", "language", "measure"]


def stages_of(progress: Progress) -> list[str]:
    """The stages in order, each once however often it reported."""
    names = [stage for stage, _, _, _ in progress]
    return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Progress]:
    """A finished pretraining, and what it reported."""
    folder = tmp_path_factory.mktemp("pretrain") / "model"
    progress: Progress = []
    pretrain(folder, SETTINGS, on_progress=lambda *step: progress.append(step))
    return folder, progress


@pytest.mark.slow
def test_the_folder_is_a_model_with_its_report(made: tuple[Path, Progress]) -> None:
    folder, progress = made
    assert stages_of(progress) == STAGES
    assert ("vision", 2, 2) in [step[:3] for step in progress]
    assert ("language", 2, 2) in [step[:3] for step in progress]
    model, processor = load_policy(folder, ModelSettings(path=str(folder), dtype="float32"))
    report = read_json(folder / "report.json")
    assert report["weights_sha256"] == weights_hash(model)
    assert report["weights_bytes"] == (folder / "model.safetensors").stat().st_size <= 8_000_000
    assert report["settings"]["num_scenes"] == 3
    assert torch.__version__.startswith(report["versions"]["torch"])
    assert report["wall_time_s"] > 0
    assert {row["strategy"] for row in report["strategies"]} == {"other", "all"}
    assert model.generation_config.eos_token_id == [
        processor.tokenizer.convert_tokens_to_ids(token)
        for token in ("<|im_end|>", "<|endoftext|>")
    ]
    assert not [path for path in folder.iterdir() if path.name.startswith(("tower", "."))]


@pytest.mark.slow
def test_a_finished_folder_is_only_read(made: tuple[Path, Progress]) -> None:
    folder = made[0]
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    report = pretrain(folder, SETTINGS, on_progress=_refuse)
    assert report == read_json(folder / "report.json")
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    with pytest.raises(DataError, match="seed is 0, not 1"):
        pretrain(folder, replace(SETTINGS, seed=1), on_progress=_refuse)


@pytest.mark.slow
def test_scenes_that_the_tower_has_seen_are_not_rendered_again(tmp_path: Path) -> None:
    progress: Progress = []
    settings = replace(SETTINGS, num_vision_scenes=3)
    pretrain(tmp_path / "model", settings, on_progress=lambda *step: progress.append(step))
    assert stages_of(progress) == ["render", "vision", "language", "measure"]


@pytest.mark.slow
def test_a_stopped_pretraining_goes_on_after_its_tower(
    made: tuple[Path, Progress], tmp_path: Path
) -> None:
    def stop(stage: str, *_: object) -> None:
        if stage == "language":
            raise KeyboardInterrupt

    folder = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        pretrain(folder, SETTINGS, on_progress=stop)
    assert [path.name for path in folder.iterdir()] == ["tower.safetensors"]
    progress: Progress = []
    report = pretrain(folder, SETTINGS, on_progress=lambda *step: progress.append(step))
    assert "vision" not in stages_of(progress)
    complete = read_json(made[0] / "report.json")
    assert report["weights_sha256"] == complete["weights_sha256"]
    assert report["vision"] == complete["vision"]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["vision", "language"])
def test_a_stage_goes_on_in_its_middle(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, vision_steps=4, language_steps=4)
    whole = pretrain(tmp_path / "whole", settings)
    monkeypatch.setattr("vtk.train.pretrain.progress.SAVE_EVERY_STEPS", 1)

    def stop(now: str, done: int, *_: object) -> None:
        if (now, done) == (stage, 3):
            raise KeyboardInterrupt

    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        pretrain(folder, settings, on_progress=stop)
    progress: Progress = []
    report = pretrain(folder, settings, on_progress=lambda *step: progress.append(step))
    assert [done for now, done, _, _ in progress if now == stage] == [3, 4]
    for name in ("weights_sha256", "vision", "language"):
        assert report[name] == whole[name], name
    assert not [path.name for path in folder.iterdir() if path.name.startswith((".", "tower"))]


@pytest.mark.slow
def test_progress_of_other_settings_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vtk.train.pretrain.progress.SAVE_EVERY_STEPS", 1)

    def stop(now: str, done: int, *_: object) -> None:
        if (now, done) == ("vision", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(tmp_path / "model", SETTINGS, on_progress=stop)
    progress: Progress = []
    other = replace(SETTINGS, seed=1)
    pretrain(tmp_path / "model", other, on_progress=lambda *step: progress.append(step))
    assert [done for now, done, _, _ in progress if now == "vision"] == [1, 2]


@pytest.mark.slow
def test_a_tower_of_other_settings_is_not_used(tmp_path: Path) -> None:
    def stop_after(stage: str) -> Callable[..., None]:
        seen: list[str] = []

        def stop(now: str, *_: object) -> None:
            if seen and seen[-1] == stage != now:
                raise KeyboardInterrupt
            seen.append(now)

        return stop

    with pytest.raises(KeyboardInterrupt):
        pretrain(tmp_path, SETTINGS, on_progress=stop_after("vision"))
    first = (tmp_path / "tower.safetensors").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        pretrain(tmp_path, replace(SETTINGS, vision_steps=1), on_progress=stop_after("vision"))
    assert (tmp_path / "tower.safetensors").read_bytes() != first
    (tmp_path / "tower.safetensors").write_bytes(b"not a tower")
    with pytest.raises(DataError, match="damaged"):
        pretrain(tmp_path, SETTINGS, on_progress=_refuse)


def test_a_folder_that_cannot_be_made_is_told_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(VtkError, match="file"):
        pretrain(tmp_path / "file", SETTINGS, on_progress=_refuse)


def test_a_folder_with_another_model_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"precious")
    with pytest.raises(DataError, match="another model") as caught:
        pretrain(tmp_path, SETTINGS, on_progress=_refuse)
    assert "--out" in str(caught.value.hint)
    assert (tmp_path / "model.safetensors").read_bytes() == b"precious"


@pytest.mark.parametrize("wrong", [{"num_scenes": 0}, {"seed": -1}, {"num_scenes": 10**9}])
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        PretrainSettings(**wrong)


def _refuse(*step: object) -> None:
    raise AssertionError(f"nothing was to be done, but {step}")
