"""One table of keys: the user's own keys, letters to jump by, the palette that does things."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.conftest import RunPython
from tests.tui.conftest import Drive, held, shown, until
from tui import keys
from tui.app import ALL_KEYS, SCREENS, DashboardApp
from tui.compare.pane import ComparePane
from tui.keymap import KEYS_VARIABLE, as_toml, read_keys, remapped
from tui.samples.group_list import GroupList
from tui.screens.dialogs import help_content
from tui.screens.run_screen import RunScreen
from tui.widgets.chart import Chart
from vtk.errors import ConfigError
from vtk.runs.store import RunPaths


def test_every_action_has_a_name_of_its_own_and_a_place_in_the_help() -> None:
    ids = [key.id for key in ALL_KEYS]
    assert len(ids) == len(set(ids)) > 50
    assert {key.where for key in ALL_KEYS} == set(keys.HEADS)
    assert [key.keys for key in ALL_KEYS[: len(SCREENS)]] == [entry.key for entry in SCREENS]


@pytest.fixture
def keys_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "keys.toml"
    monkeypatch.setenv(KEYS_VARIABLE, str(path))
    return path


def test_the_printed_table_is_a_file_of_keys_that_changes_nothing(keys_file: Path) -> None:
    keys_file.write_text(as_toml(ALL_KEYS), encoding="utf-8")
    assert [key.keys for key in read_keys(ALL_KEYS)] == [key.keys for key in ALL_KEYS]


def test_without_a_file_the_keys_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert read_keys(ALL_KEYS) == ALL_KEYS
    (tmp_path / "vtk").mkdir()
    (tmp_path / "vtk" / "keys.toml").write_text('[charts]\nsmooth = "f5"\n')
    assert {key.id: key.keys for key in read_keys(ALL_KEYS)}["charts.smooth"] == "f5"


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("[charts\n", "is not TOML", "--keys"),
        ('smooth = "z"\n', "smooth stands in no table", "[charts]"),
        ('[charts]\nsmoth = "z"\n', "no action is called charts.smoth", "mean charts.smooth?"),
        ('[chart]\nsmooth = "z"\n', "no action is called chart.smooth", "mean charts.smooth?"),
        ("[charts]\nsmooth = 5\n", "wants a key", "--keys"),
        ("[charts]\nsmooth = []\n", "wants a key", "--keys"),
        ('[charts]\nsmooth = "hyperspace"\n', "no key called hyperspace", "pageup"),
        ('[charts]\nsmooth = "contrl+x"\n', "no key called contrl+x", "ctrl+x"),
        ('[charts]\nsmooth = "\\u001b"\n', "no key called ␛", "pageup"),
        ('[charts]\nsmooth = "ctrl+c"\n', "always leaves", "another key"),
        ('[charts]\nsmooth = "q"\n', "q would be both app.quit and charts.smooth", "another"),
        ('[charts]\nsmooth = "?"\n', "question_mark would be both app.help", "another"),
        ('[replay]\nplay = "1"\n', "1 would be both app.open-overview and replay.play", "another"),
        ('[charts]\nsmooth = "F"\nscale = "F"\n', "both charts.smooth and charts.scale", "--keys"),
    ],
)
def test_each_fault_of_the_file_is_named_with_its_mend(
    keys_file: Path, text: str, said: str, hint: str
) -> None:
    keys_file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_keys(ALL_KEYS)
    assert said in caught.value.message
    assert str(keys_file) in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_file_that_was_named_and_is_not_there_is_a_fault(keys_file: Path) -> None:
    with pytest.raises(ConfigError, match="is not there"):
        read_keys(ALL_KEYS)


def test_two_keys_may_be_swapped_and_shared_ones_stay_shared() -> None:
    found = {k.id: k.keys for k in remapped(ALL_KEYS, {"charts": {"smooth": "y", "scale": "s"}})}
    assert (found["charts.smooth"], found["charts.scale"]) == ("y", "s")
    assert found["samples.copy-command"] == found["app.copy-command"] == "Y"


def test_the_users_keys_work_and_stand_in_help_footer_and_palette(
    drive: Drive, recording: RunPaths
) -> None:
    mine = remapped(
        ALL_KEYS,
        {"charts": {"smooth": ["%", "f6"]}, "app": {"open-repulsion": "R"}, "list": {"down": "N"}},
    )

    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "step 90/90")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        assert "% Smooth" in app.screen_text()
        await pilot.press("s")
        assert screen.viewport.smoothing == 0, "the old key is free"
        await pilot.press("percent_sign")
        assert screen.viewport.smoothing == 0.6
        await pilot.press("f6")
        assert screen.viewport.smoothing == 0.9
        await pilot.press("2")
        assert app.current_mode == "overview"
        await pilot.press("R")
        await shown(app, pilot, "learning away")
        assert "R Repulsion" in app.screen_text()
        text = help_content(app.keys, is_read_only=False).plain
        assert "% or f6  Change how much curves are smoothed" in text
        helps = {c.title: c.help for c in app.get_system_commands(app.screen)}
        assert helps["Smooth"].endswith("Key % or f6")

    drive(look, source=held(recording), size=(140, 40), all_keys=mine)


def test_a_letter_goes_to_each_panel_and_a_click_on_it_too(
    drive: Drive, recording: RunPaths
) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "step 90/90")
        await pilot.press("o")
        await until(pilot, lambda: len(app.screen.query("Static")) > 4)
        assert (
            app.screen.query_one("#to-s").region.offset
            == app.screen_stack[0].query_one("#kl").region.offset
        )
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.focused, Chart))
        assert app.focused is not None
        assert app.focused.id == "kl"
        await pilot.press("o")
        await until(pilot, lambda: len(app.screen.query("#to-a")) == 1)
        await pilot.click("#to-a")
        await until(pilot, lambda: app.focused is not None and app.focused.id == "reward")
        await pilot.press("o", "x")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        assert app.focused is not None, "no panel has that letter: nothing changes"
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.focused, GroupList))

    drive(look, source=held(recording), size=(120, 40))


@pytest.mark.slow
def test_the_palette_does_what_it_names(drive: Drive, recording: RunPaths, tmp_path: Path) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "step 90/90")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        for words, happened in (
            ("Them", lambda: app.theme == "vtk-light"),
            ("Smoo", lambda: screen.viewport.smoothing > 0),
            ("Open C", lambda: app.current_mode == "compare"),
            ("Latest", lambda: app.screen.query_one(ComparePane).reading == "latest"),
        ):
            await pilot.press("ctrl+p", *[{" ": "space"}.get(c, c) for c in words])
            await shown(app, pilot, words)
            await pilot.press("enter")
            await until(pilot, happened)

    drive(look, source=held(recording), size=(140, 44))


def test_keys_are_printed_and_faults_end_the_command(
    run_python: RunPython, repository: Path, tmp_path: Path
) -> None:
    own = tmp_path / "mine.toml"
    own.write_text('[charts]\nsmooth = "f5"\n')
    env = {"PYTHONPATH": str(repository), KEYS_VARIABLE: str(own)}
    done = run_python("-m", "vtk", "dashboard", "--keys", env=env)
    assert done.returncode == 0, done.stderr
    assert 'smooth = "f5"  # Change how much' in done.stdout
    own.write_text('[charts]\nsmooth = "q"\n')
    done = run_python("-m", "vtk", "dashboard", "--keys", env=env)
    assert (done.returncode, "both app.quit and charts.smooth" in done.stderr) == (2, True)
