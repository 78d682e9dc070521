"""The console: two streams, plain where nobody looks, safe whatever it is given."""

import io
import json

import pytest

from vtk.cli.console import Console, encodable, has_colour, safe_lines
from vtk.cli.progress import Lines, show_progress
from vtk.errors import ConfigError

HOSTILE = "ok\x1b[2J\x1b]52;c;ZXZpbA==\x07\u202ereversed\x9b31m[/bold] [red]"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def streams() -> tuple[io.StringIO, io.StringIO]:
    return io.StringIO(), io.StringIO()


def test_results_go_to_stdout_and_remarks_to_stderr(
    streams: tuple[io.StringIO, io.StringIO],
) -> None:
    console = Console(False, *streams)
    console.say("result")
    console.note("remark")
    console.warn("look")
    console.next_command("vtk demo", "try it")
    console.document({"never": "printed"})
    assert streams[0].getvalue() == "result\n"
    assert streams[1].getvalue() == "remark\nWarning: look\nNext: vtk demo  (try it)\n"


def test_with_json_stdout_is_one_document(streams: tuple[io.StringIO, io.StringIO]) -> None:
    console = Console(True, *streams)
    console.say("prose")
    console.table(["a"], [[1]])
    console.document({"name": "Gruß", "value": 1.5})
    assert json.loads(streams[0].getvalue()) == {"name": "Gruß", "value": 1.5}
    assert streams[1].getvalue().startswith("prose\n")


def test_a_document_never_holds_what_json_cannot(streams: tuple[io.StringIO, io.StringIO]) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Console(True, *streams).document({"loss": float("nan")})


def test_a_plain_table_is_aligned_numbers_to_the_right(
    streams: tuple[io.StringIO, io.StringIO],
) -> None:
    rows: list[list[object]] = [["base", "12.0%", None], ["bias", "7.5%", "x"]]
    Console(False, *streams).table(["model", "accuracy", "note"], rows, title="Accuracy")
    assert streams[0].getvalue().splitlines() == [
        "Accuracy",
        "model  accuracy  note",
        "base      12.0%",
        "bias       7.5%  x",
    ]


def test_an_empty_table_is_its_header(streams: tuple[io.StringIO, io.StringIO]) -> None:
    Console(False, *streams).table(["run", "status"], [])
    assert streams[0].getvalue() == "run  status\n"


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_hostile_text_cannot_drive_the_terminal(
    kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = kind()
    console = Console(False, out, out)
    console.say(HOSTILE)
    console.table([HOSTILE], [[HOSTILE]], title=HOSTILE)
    console.error(ConfigError(HOSTILE, hint=HOSTILE))
    shown = out.getvalue()
    for character in ("\x1b]", "\x07", "\u202e", "\x9b"):
        assert character not in shown
    assert "\x1b[2J" not in shown
    assert "[red]" in shown  # nothing was read as markup


def test_a_terminal_gets_colour_unless_the_user_said_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, plain = Terminal(), Terminal()
    Console(False, coloured, coloured).say("done", style="green")
    monkeypatch.setenv("NO_COLOR", "1")
    Console(False, plain, plain).say("done", style="green")
    assert "\x1b[" in coloured.getvalue()
    assert plain.getvalue() == "done\n"
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("NO_COLOR")
    assert not has_colour(Terminal())


def test_a_paragraph_is_broken_between_words_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "16")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        Console(False, stream, stream).paragraph("no word of this is cut", bullet="• ")
    assert terminal.getvalue() == "• no word of\n  this is cut\n"
    assert pipe.getvalue() == "• no word of this is cut\n"


def test_a_narrow_table_breaks_words_and_cuts_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "24")
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    name = "eval-20261123-015646"
    Console(False, out, out).table(["run", "status"], [[name, "finished"]])
    assert "…" not in out.getvalue()
    cells = [line[:14].strip() for line in out.getvalue().splitlines()]
    assert name in "".join(cells)


def test_a_stream_without_unicode_gets_a_likeness() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    console = Console(True, stream, stream)
    console.say("74.0 % ± 1.2 → better · ü")
    console.document({"name": "ü"})
    stream.flush()
    assert raw.getvalue().decode("ascii") == (
        '74.0 % +- 1.2 -> better - ?\n{\n  "name": "\\u00fc"\n}\n'
    )
    assert encodable("±", io.StringIO()) == "±"


def test_line_breaks_are_kept_and_long_lines_are_cut() -> None:
    assert safe_lines("a\nb\x1bc") == "a\nb␛c"
    assert len(safe_lines("x" * 100_000)) == 20_000


def test_a_hint_of_several_lines_stays_in_its_column(
    streams: tuple[io.StringIO, io.StringIO],
) -> None:
    Console(False, *streams).error(ConfigError("two faults", hint="first\nsecond"))
    assert streams[1].getvalue() == "Error: two faults\nHint: first\n      second\n"


def test_progress_without_a_terminal_is_lines_with_the_time_left(
    streams: tuple[io.StringIO, io.StringIO],
) -> None:
    lines = Lines(Console(False, *streams), "Rendering", total=4, unit="clips", every_s=0)
    lines.advance()
    lines.update(done=3, note="video_00003.mp4")
    lines.finish()
    first, second, last = streams[1].getvalue().splitlines()
    assert first.startswith("Rendering: 1/4 clips, ")
    assert first.endswith("left")
    assert second.endswith("left, video_00003.mp4")
    assert last.startswith("Rendering: 3/4 clips in ")


def test_the_time_left_counts_what_this_attempt_did(
    streams: tuple[io.StringIO, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resumed at 900 of 1000, ten seconds a step."""
    clock_s = iter([0.0, 5.0, 5.0, 15.0, 15.0])
    monkeypatch.setattr("vtk.cli.progress.time.monotonic", lambda: next(clock_s))
    lines = Lines(Console(False, *streams), "Training", total=1000, unit="steps", every_s=0)
    lines.update(done=900)
    lines.update(done=901)
    assert streams[1].getvalue().splitlines()[-1] == "Training: 901/1000 steps, 16 min 30 s left"


def test_progress_lines_keep_their_distance(streams: tuple[io.StringIO, io.StringIO]) -> None:
    with show_progress(Console(False, *streams), "Rendering", total=1000) as progress:
        for _ in range(1000):
            progress.advance()
    (line,) = streams[1].getvalue().splitlines()
    assert line.startswith("Rendering: 1000/1000 in ")


def test_progress_on_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    err = Terminal()
    with show_progress(Console(False, io.StringIO(), err), "Rendering", 2, "clips") as progress:
        progress.advance()
        progress.update(done=2, note="[/hostile]")
    assert "Rendering" in err.getvalue()
    assert "2/2" in err.getvalue()
    assert "[/hostile]" in err.getvalue()
