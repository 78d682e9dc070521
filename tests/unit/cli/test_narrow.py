"""Lists and sentences on a terminal of 80 columns: nothing that is copied is broken."""

import io
import re
from pathlib import Path

import pytest

from vtk.cli.console import Console
from vtk.cli.download_view import show_list
from vtk.data.remote.sources import SOURCES


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("TERM", raising=False)
    return Terminal()


def test_the_list_of_downloads_breaks_no_name(terminal: Terminal, tmp_path: Path) -> None:
    show_list(Console(False, terminal, terminal), tmp_path)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    assert max(map(len, lines)) <= 80
    firsts = [line.split()[0] for line in lines if line.strip()]
    assert set(SOURCES) <= set(firsts)
    assert "Licences and uses" in lines[-1]


def test_a_wide_terminal_and_a_pipe_show_the_terms(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = io.StringIO()
    show_list(Console(False, pipe, pipe), tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    show_list(Console(False, terminal, terminal), tmp_path)
    for shown in (pipe.getvalue(), terminal.getvalue()):
        assert "CC0-1.0" in shown
        assert "Licences and uses" not in shown


def test_a_sentence_breaks_between_words_and_never_in_a_path(terminal: Terminal) -> None:
    path = "data/clevrer-mini/" + "a-b/" * 18 + "train.jsonl"
    words = f"{path}: 46 questions, 36 observational, 10 inferential"
    Console(False, terminal, terminal).paragraph(words)
    lines = terminal.getvalue().splitlines()
    assert lines[0] == f"{path}:"
    assert " ".join(lines) == words
