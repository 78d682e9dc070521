"""A folder belongs to the demo it was made for, and nothing in it is ever deleted."""

from pathlib import Path

import pytest

from vtk.demo.folder import DemoFolder, alone_in, claim_folder, read_record
from vtk.errors import ConfigError, DataError

SETTINGS = {"seed": 0, "num_scenes": 60}


def test_a_new_folder_is_claimed_and_the_same_settings_go_on(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path / "a" / "demo")
    record = claim_folder(folder, SETTINGS, is_forced=False)
    record.of("split").wall_s = 2.5
    record.of("split").command = "vtk split clevrer-mini"
    record.facts["base_run"] = "eval-1"
    record.write()
    again = claim_folder(folder, SETTINGS, is_forced=False)
    assert again.of("split").is_done
    assert again.of("split").wall_s == 2.5
    assert not again.of("download").is_done
    assert again.facts == {"base_run": "eval-1"}


def test_two_demos_are_never_at_work_in_one_folder(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path / "demo")
    with alone_in(folder):
        claim_folder(folder, SETTINGS, is_forced=False)
        with pytest.raises(ConfigError, match="another vtk demo is at work"), alone_in(folder):
            pass
    with alone_in(folder):
        assert claim_folder(folder, SETTINGS, is_forced=True).steps == {}
    assert sorted(path.name for path in folder.root.iterdir()) == ["demo.json", "previous-1"]


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)
    claim_folder(folder, SETTINGS, is_forced=False)
    with pytest.raises(ConfigError, match="seed 0 there, 1 now") as caught:
        claim_folder(folder, SETTINGS | {"seed": 1}, is_forced=False)
    assert "--force" in (caught.value.hint or "")


def test_force_moves_everything_aside_and_starts_anew(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)
    record = claim_folder(folder, SETTINGS, is_forced=False)
    record.of("split").command = "vtk split clevrer-mini"
    record.write()
    folder.runs_dir.mkdir()
    (folder.runs_dir / "precious").write_text("kept")
    for number, seed in enumerate((1, 2), start=1):
        anew = claim_folder(folder, SETTINGS | {"seed": seed}, is_forced=True)
        assert anew.steps == {}
        assert not folder.runs_dir.exists()
        assert (
            read_record(tmp_path / f"previous-{number}" / "demo.json").settings["seed"] == seed - 1
        )
    assert (tmp_path / "previous-1" / "runs" / "precious").read_text() == "kept"


@pytest.mark.parametrize("is_forced", [False, True])
def test_a_folder_with_other_files_is_refused_even_by_force(
    tmp_path: Path, is_forced: bool
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="holds other files"):
        claim_folder(DemoFolder(tmp_path), SETTINGS, is_forced=is_forced)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"settings": {}, "steps": {"a": {"b": 1}}}'])
def test_a_damaged_record_is_an_error_and_stays(tmp_path: Path, content: str) -> None:
    folder = DemoFolder(tmp_path)
    folder.record.write_text(content)
    with pytest.raises(DataError):
        claim_folder(folder, SETTINGS, is_forced=False)
    assert folder.record.read_text() == content
