"""The help pages: readable at 80 columns, complete, in panels, without types of the program."""

import io
import re
import sys
from collections.abc import Iterator

import pytest
import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from vtk.cli.app import app, main
from vtk.cli.help import spelled_out

WIDTH = 80
MAX_OPTIONS_WITHOUT_PANELS = 8


def all_commands(
    command: TyperCommand | TyperGroup, *words: str
) -> Iterator[tuple[tuple[str, ...], TyperCommand | TyperGroup]]:
    """The words that name a command, with it, for all of them."""
    yield words, command
    if isinstance(command, TyperGroup):
        for name, below in command.commands.items():
            assert isinstance(below, TyperCommand | TyperGroup)
            yield from all_commands(below, *words, name)


ROOT = typer.main.get_command(app)
assert isinstance(ROOT, TyperGroup)
COMMANDS = dict(all_commands(ROOT))
PAGES: dict[tuple[str, ...], str] = {}  # as printed; a page takes a tenth of a second
pages = pytest.mark.parametrize("words", COMMANDS, ids=" ".join)


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))


def page_of(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    if words not in PAGES:
        assert main([*words, "--help"]) == 0
        PAGES[words] = capsys.readouterr().out
    return PAGES[words]


def options_of(words: tuple[str, ...]) -> list[TyperOption]:
    return [each for each in COMMANDS[words].params if isinstance(each, TyperOption)]


def test_all_commands_are_looked_at() -> None:
    assert len(COMMANDS) > 30
    assert ("bench", "eval") in COMMANDS


@pages
def test_a_page_fits_80_columns_and_shows_every_option_with_its_sentence(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    page = page_of(words, capsys)
    own_text, _, copied = page.partition("Examples:")
    assert [line for line in own_text.splitlines() if len(line) > WIDTH - 2] == []
    assert [line for line in copied.splitlines() if len(line) > WIDTH + 4] == []
    flat = " ".join(page.split())
    for option in options_of(words):
        if not option.hidden:
            assert option.help, option.name
            assert f"{spelled_out(option)} {option.help}" in flat


@pages
def test_no_page_shows_types_of_the_program(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    page = page_of(words, capsys)
    assert not re.search(r"<\w|TEXT|\bNone\b|\bbool\b|\w_dir\b", page)
    assert page.isprintable() or all(line.isprintable() for line in page.splitlines())
    for option in options_of(words):
        value = spelled_out(option).rpartition(" ")[2]
        assert value.startswith("-") == option.is_flag, option.name


@pages
def test_many_options_stand_in_panels_and_the_common_ones_last(words: tuple[str, ...]) -> None:
    panels = [option.rich_help_panel for option in options_of(words) if not option.hidden]
    if "Common" in panels:
        assert set(panels[panels.index("Common") :]) == {"Common"}
    assert panels.count(None) <= MAX_OPTIONS_WITHOUT_PANELS


@pages
def test_every_command_takes_json(words: tuple[str, ...]) -> None:
    if not isinstance(COMMANDS[words], TyperGroup):
        assert "--json" in [name for option in options_of(words) for name in option.opts]


def test_the_panels_of_an_evaluation_come_in_the_order_of_use(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = page_of(("eval",), capsys)
    assert re.findall(r"^(\S.*):$", page, re.MULTILINE) == [
        "Arguments",
        "Who is asked",
        "What is asked",
        "How it is asked",
        "Who judges what no rule scores",
        "Where it runs, and what is kept",
        "Common",
    ]
    assert page.startswith("Usage: vtk eval [OPTIONS] SUITE...\n")


@pages
def test_arguments_are_explained(words: tuple[str, ...]) -> None:
    for each in COMMANDS[words].params:
        assert not isinstance(each, TyperArgument) or each.help, each.name


def test_defaults_ranges_variables_and_further_names_stand_in_brackets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    flat = " ".join(page_of(("download",), capsys).split())
    assert "Files at once. [1 to 16; default: 3]" in flat
    assert "(clevrer, video-mme). [default: --only-needed]" in flat
    assert "Folder of the data sets. [default: data; or VTK_DATA_DIR]" in flat
    flat = " ".join(page_of(("train-cdpo",), capsys).split())
    assert "[also --reference, --ref-model-path]" in flat
    assert "per_device_train" not in flat


def test_the_list_of_commands_is_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    lines = page_of((), capsys).splitlines()
    first, last = lines.index("Start:"), lines.index("Options:")
    listed = [line.split()[0] for line in lines[first:last] if line.startswith("  ")]
    assert sorted(listed) == sorted(words[0] for words in COMMANDS if len(words) == 1)


def test_a_stream_without_unicode_gets_a_likeness(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["download", "--help"]) == 0
    stream.seek(0)
    assert "Usage: vtk download" in stream.read()
