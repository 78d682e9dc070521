"""Every command that a document shows is one of today: its words, its options, their values."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.exceptions import TyperException

from tests.commands import ROOT, read_command

MIN_COMMANDS = 110
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
STARTS = re.compile(r"(?:^|[\s'\"(])(vtk (?:[a-z]|--).*)$")
FROM_THE_SHELL = re.compile(r'"?\$\{?\w+\}?"?')


def documents(repository: Path) -> list[Path]:
    names = ("README.md", "CONTRIBUTING.md", "data/README.md")
    return [*(repository / name for name in names), *sorted((repository / "docs").glob("*.md"))]


def shown_in(text: str) -> Iterator[str]:
    """The commands of fenced blocks, one a line, and those between backticks in the prose."""
    for block in FENCED.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            found = STARTS.search(line)
            if found and "`" not in line:
                yield found[1]
    prose = FENCED.sub("", text)
    yield from (" ".join(line.split()) for line in re.findall(r"`(vtk [^`]+)`", prose))


def as_typed(line: str) -> str:
    """One of the alternatives a|b, a number for a shell's variable, nothing past an open quote."""
    line = FROM_THE_SHELL.sub("1", re.sub(r"(\w+)(\|\w+)+", r"\1", line))
    return line.rpartition("'")[0] if line.count("'") % 2 else line


def is_mention(line: str) -> bool:
    """Whether only a command's name is said, as in "`vtk eval` asks"."""
    command: Any = ROOT
    for word in line.split()[1:]:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            return False
    return True


def commands(repository: Path) -> list[tuple[str, str]]:
    return [
        (path.name, as_typed(line))
        for path in documents(repository)
        for line in shown_in(path.read_text(encoding="utf-8"))
    ]


def test_every_command_in_a_document_is_understood(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "DIR").mkdir()
    monkeypatch.chdir(tmp_path)
    shown = commands(repository)
    assert len(shown) > MIN_COMMANDS
    wrong = []
    for name, line in shown:
        try:
            if not is_mention(line):
                read_command(line.split(" / ")[0])
        except (TyperException, ValueError) as error:
            wrong.append((name, line, str(error)))
    assert wrong == []


def test_all_kinds_of_places_are_looked_at(repository: Path) -> None:
    shown = commands(repository)
    assert {"README.md", "clusters.md", "evaluation.md", "dashboard.md"} <= {
        name for name, _ in shown
    }
    words = {line.split()[1] for _, line in shown}
    assert {"demo", "eval", "train-cdpo", "download", "bench", "dashboard"} <= words


@pytest.mark.parametrize(
    "line",
    ["vtk evaluate x", "vtk eval x", "vtk split clevrer --rules D1", "vtk demo --seed x"],
)
def test_what_is_not_a_command_is_found(line: str) -> None:
    with pytest.raises(TyperException):
        read_command(line)


def test_a_script_is_read_as_its_shell_reads_it() -> None:
    line = 'srun bash -c \'vtk train-cdpo --num-machines "$N" --main-address "$MAIN"\' &'
    (found,) = shown_in(f"```\n{line}\n```\n")
    assert as_typed(found) == "vtk train-cdpo --num-machines 1 --main-address 1"
    assert as_typed("vtk dashboard --pictures auto|cells") == "vtk dashboard --pictures auto"
