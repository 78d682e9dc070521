"""The shipped presets: each parses for each stage and says what its comments say."""

import re
from pathlib import Path

import pytest

from vtk.config import files
from vtk.config.files import list_presets, preset_path, preset_summary, presets_dir
from vtk.config.loading import load_config
from vtk.config.schema import STAGES

NAMES = ["3b-24gb", "3b-2x48gb", "3b-80gb", "tiny"]


def test_the_presets_are_the_four_that_are_documented() -> None:
    assert list_presets() == NAMES


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", NAMES)
def test_every_preset_configures_every_stage(name: str, stage: str) -> None:
    resolved = load_config(stage, name, environ={}, overrides={"reference.path": "runs/bias"})
    assert resolved.config.stage == stage
    repulsion = -0.05 if name == "tiny" else -0.01
    assert resolved.config.objective.beta == (repulsion if stage == "cdpo" else 0)
    from_preset = [source for source in resolved.provenance.values() if source.startswith("preset")]
    assert len(from_preset) > 20


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_begins_with_what_it_is_for(name: str) -> None:
    assert len(preset_summary(name)) > 30


def test_every_value_of_the_published_recipe_names_its_source() -> None:
    text = preset_path("3b-2x48gb").read_text(encoding="utf-8")
    recipe = text.partition("[guards]")[0].partition("[checkpoint]")[0]
    values = [line for line in recipe.splitlines() if re.match(r"\w+ = ", line)]
    assert len(values) > 25
    unsourced = [line for line in values if not re.search(r"# (code|script|paper):", line)]
    assert unsourced == []


def test_all_large_presets_take_two_prompts_a_step_in_stage_two() -> None:
    devices = {"3b-24gb": 1, "3b-2x48gb": 2, "3b-80gb": 1}
    for name, num_devices in devices.items():
        optim = load_config("cdpo", name, environ={}, is_reference_needed=False).config.optim
        assert optim.prompts_per_device * optim.accumulation_steps * num_devices == 2, name


def test_the_packaged_folder_wins_and_the_checkout_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert presets_dir() == files.CHECKOUT_PRESETS
    packaged = tmp_path / "presets"
    packaged.mkdir()
    (packaged / "only.toml").write_text("# Only.\n", encoding="utf-8")
    monkeypatch.setattr(files, "PACKAGED_PRESETS", packaged)
    assert list_presets() == ["only"]
