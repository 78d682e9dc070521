"""Both screens in a real pseudo-terminal: what they send is Textual's own and nothing of the data.

A run with plain texts tells which control sequences Textual sends; a run whose texts are hostile
may send none of another form.
"""

import re
from pathlib import Path

import pytest

from tests.pseudo_terminal import PseudoTerminal
from tests.tui.hostile import FORBIDDEN, HOSTILE_TEXTS, TORN_LINES
from tests.tui.made_runs import group, write_run
from vtk.runs.store import RunPaths

HOST = """
import sys
from pathlib import Path
from tests.tui.driving import Host
from tui.compare.pane import ComparePane
from tui.samples.pane import SamplesPane
from vtk.runs.store import RunPaths

screens = {"samples": SamplesPane, "compare": ComparePane}
Host(lambda: screens[sys.argv[1]](RunPaths(Path(sys.argv[2])))).run()
print("LEFT WELL")
"""
CONTROL_SEQUENCE = re.compile(
    "\x1b\\[(?P<private>[<-?]?)[0-9;:]*(?P<between>[ -/]*)(?P<final>[@-~])"
    "|\x1b(?P<string>[\\]P_^X])[^\x1b\x07]*(?:\x07|\x1b\\\\)"
    "|\x1b(?P<other>[ -/]*[0-Z\\\\^-~])"
)
COLOURS = {"COLORTERM": "truecolor"}
KEYS = {
    "samples": ["\x1b[B"] * len(HOSTILE_TEXTS)
    + ["\r", "\x1b[C", "v", "v", "\r", "\x1b[6~", "q", "f"],
    "compare": ["m", "\t", *["\x1b[6~"] * 12, "\x1b[C", "\x1b[F"],
}


def hostile_run(runs_dir: Path) -> RunPaths:
    """Every hostile text as completion, question, names and setting; torn lines in both files."""
    steps = {
        number + 1: group(
            number + 1,
            number,
            completion=text,
            problem=text,
            sample_id=text,
            video=text,
            label=text[:50],
            solution=text,
            status=text[:50],
            parsed=text,
        )
        for number, text in enumerate(HOSTILE_TEXTS.values())
    }
    config = {f"{name}{text[:30]}": text[:1000] for name, text in HOSTILE_TEXTS.items()}
    paths = write_run(runs_dir, "hostile", steps, config=config, stage="\x1b]0;HACKED\x07[/]")
    with paths.rollout_file(len(steps)).open("ab") as rows:
        rows.write(b"".join(TORN_LINES))
    return paths


def plain_run(runs_dir: Path) -> RunPaths:
    """As many groups, of which nothing is hostile."""
    steps = {number + 1: group(number + 1, number) for number in range(len(HOSTILE_TEXTS))}
    return write_run(runs_dir, "plain", steps)


def forms(sent: str) -> set[str]:
    """The forms of the control sequences in a stream, and control characters outside of any."""
    found = set()
    for match in CONTROL_SEQUENCE.finditer(sent):
        parts = match.groupdict()
        kind = parts["string"] or parts["other"]
        found.add(kind or f"CSI {parts['private']}{parts['between']}{parts['final']}")
    rest = CONTROL_SEQUENCE.sub("", sent)
    return found | {repr(c) for c in rest if ord(c) < 32 or 0x7F <= ord(c) < 0xA0}


def walk(repository: Path, screen: str, paths: RunPaths, first: str) -> str:
    """Open a screen, walk through all of it, leave, and give what was sent."""
    with PseudoTerminal(
        "-c", HOST, screen, str(paths.root), size=(100, 30), cwd=repository, environment=COLOURS
    ) as terminal:
        terminal.read_until(first.encode())
        for key in KEYS[screen]:
            terminal.write(key.encode())
            terminal.read_for(0.1)
        assert b"LEFT WELL" in terminal.leave(b"\x11")
        return terminal.sent.decode()


@pytest.mark.slow
@pytest.mark.parametrize("screen", ["samples", "compare"])
def test_hostile_texts_send_nothing_to_the_terminal(
    repository: Path, tmp_path: Path, screen: str
) -> None:
    first = "groups" if screen == "samples" else "(baseline)"
    plain = walk(repository, screen, plain_run(tmp_path / "a"), first)
    hostile = walk(repository, screen, hostile_run(tmp_path / "b"), first)
    assert len(hostile) > 10_000
    assert forms(hostile) - forms(plain) == set()
    assert [text for text in FORBIDDEN if text in hostile] == []
    assert "HACKED" in hostile  # shown, as letters
