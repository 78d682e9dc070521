"""The only place that prints.

Results go to stdout. With `--json` stdout holds one JSON document and nothing else, and the prose
goes to stderr. Everything else (progress, remarks, the next command) always goes to stderr. Colour
and boxes only where a terminal shows them; elsewhere plain lines, in ASCII if the stream cannot
carry more. Control characters in any text are made visible, so that no file and no model can drive
the terminal.
"""

import json
import os
import re
import sys
from collections.abc import Sequence
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any, Final, Literal, TextIO

from vtk.errors import VtkError
from vtk.format import visible_text, without_secrets

Style = Literal["", "bold", "dim", "green", "yellow", "red"]

MAX_LINE_CHARS: Final = 20_000
_ASCII: Final = str.maketrans(
    {
        "–": "-", "—": "-", "−": "-", "…": "...", "→": "->", "×": "x", "±": "+-", "·": "-",
        "≥": ">=", "≤": "<=", "✓": "+", "✗": "x", "•": "*", "“": '"', "”": '"', "’": "'",
        "█": "#", "░": ".", "Δ": "d",
    }
)  # fmt: skip
_NUMBER: Final = re.compile(r"[-+−]?[\d,.]+ ?%?|[-+]?[\d.]+e[-+]?\d+|[–-]?")


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at the stream through a terminal that can do more than lines."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def has_colour(stream: TextIO) -> bool:
    """Whether to use colour: a terminal, and the user did not set NO_COLOR."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def encodable(text: str, stream: TextIO) -> str:
    """`text` in characters that the stream can carry: its own, else an ASCII likeness."""
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
    return text


def _styled(line: str, style: str) -> str:
    from rich.color import ColorSystem
    from rich.style import Style as RichStyle

    return RichStyle.parse(style).render(line, color_system=ColorSystem.STANDARD)


def safe_lines(text: str) -> str:
    """`text` with its line breaks kept and every other control character made visible."""
    return "\n".join(visible_text(line, max_chars=MAX_LINE_CHARS) for line in text.split("\n"))


class Console:
    """What one command says.

    Args:
        is_json: The command was asked for `--json`.
        stdout: Where results go; the process's own when None.
        stderr: Where remarks go; the process's own when None.
    """

    def __init__(
        self, is_json: bool = False, stdout: TextIO | None = None, stderr: TextIO | None = None
    ) -> None:
        self.is_json = is_json
        self._stdout = stdout
        self._stderr = stderr

    @property
    def stdout(self) -> TextIO:
        """Where results go."""
        return self._stdout or sys.stdout

    @property
    def stderr(self) -> TextIO:
        """Where remarks go."""
        return self._stderr or sys.stderr

    @property
    def prose(self) -> TextIO:
        """Where results meant for people go: stdout, or stderr when stdout holds JSON."""
        return self.stderr if self.is_json else self.stdout

    def say(self, text: str = "", style: Style = "") -> None:
        """Print a result for people."""
        self._write(self.prose, text, style)

    def paragraph(self, text: str, style: Style = "", bullet: str = "") -> None:
        """Print a sentence or several as a result, broken between words on a terminal.

        For prose only: what a user copies, such as a command, must stay on one line.
        """
        lines = [f"{bullet}{text}"]
        if is_terminal(self.prose):
            width = get_terminal_size().columns
            indent = " " * len(bullet)
            lines = wrap(
                lines[0],
                width,
                subsequent_indent=indent,
                break_on_hyphens=False,
                break_long_words=False,
            )
        self._write(self.prose, "\n".join(lines), style)

    def note(self, text: str, style: Style = "dim") -> None:
        """Print a remark beside the result."""
        self._write(self.stderr, text, style)

    def warn(self, text: str) -> None:
        """Print something that the user should look at though the command goes on."""
        self._write(self.stderr, f"Warning: {text}", "yellow")

    def document(self, value: Any) -> None:
        """Print the command's JSON document, if that was asked for; call it once.

        Raises:
            ValueError: The document holds a number that JSON cannot carry.
        """
        if self.is_json:
            # A terminal obeys some characters above ASCII too, and text from data may hold them.
            is_plain = is_terminal(self.stdout) or encodable("–", self.stdout) != "–"
            text = json.dumps(value, indent=2, ensure_ascii=is_plain, allow_nan=False)
            print(text, file=self.stdout, flush=True)

    def forward(self, text: str) -> None:
        """Print what another process of the same command wrote as its result, as it is."""
        if text:
            print(text, end="", file=self.stdout, flush=True)

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = ""
    ) -> None:
        """Print a table: boxed on a terminal, else aligned columns; numbers to the right."""
        cells = [[visible_text("" if cell is None else cell) for cell in row] for row in rows]
        is_right = [
            bool(cells) and all(_NUMBER.fullmatch(row[index]) for row in cells)
            for index in range(len(columns))
        ]
        names = [visible_text(name) for name in columns]
        draw = self._rich_table if is_terminal(self.prose) else self._plain_table
        draw(names, cells, is_right, visible_text(title))

    def next_command(self, command: str, why: str = "") -> None:
        """Print the command that is most useful after this one."""
        self.note(f"Next: {command}" + (f"  ({why})" if why else ""))

    def error(self, error: VtkError) -> None:
        """Print what happened and what mends it; with `--json` also as a document on stdout."""
        self._write(self.stderr, f"Error: {error.message}", "red")
        if error.hint:
            lead = "Hint: "
            self._write(self.stderr, lead + error.hint.replace("\n", "\n" + " " * len(lead)), "")
        fault = {
            "kind": type(error).__name__,
            "message": without_secrets(error.message),
            "hint": error.hint,
            "exit_code": error.exit_code,
        }
        self.document({"error": fault})

    def _write(self, stream: TextIO, text: str, style: Style) -> None:
        shown = encodable(safe_lines(without_secrets(text)), stream)
        if style and has_colour(stream):
            shown = "\n".join(_styled(line, style) for line in shown.split("\n"))
        # Through the stream itself: it is Rich's where bars are drawn, and keeps out of their way.
        print(shown, file=stream, flush=True)

    def _plain_table(
        self, columns: Sequence[str], cells: list[list[str]], is_right: list[bool], title: str
    ) -> None:
        widths = [
            max(len(row[index]) for row in [list(columns), *cells]) for index in range(len(columns))
        ]
        if title:
            self.say(title)
        for row in [list(columns), *cells]:
            aligned = [
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(row, widths, is_right, strict=True)
            ]
            self.say("  ".join(aligned).rstrip())

    def _rich_table(
        self, columns: Sequence[str], cells: list[list[str]], is_right: list[bool], title: str
    ) -> None:
        from rich.box import ASCII, SIMPLE_HEAD
        from rich.console import Console as RichConsole
        from rich.table import Table
        from rich.text import Text

        is_unicode = encodable("─", self.prose) == "─"
        table = Table(
            title=Text(encodable(title, self.prose)) if title else None,
            title_justify="left",
            box=SIMPLE_HEAD if is_unicode else ASCII,
            padding=(0, 1, 0, 0),
        )
        for name, right in zip(columns, is_right, strict=True):
            table.add_column(
                Text(encodable(name, self.prose)),
                justify="right" if right else "left",
                overflow="fold",  # what is cut short cannot be copied into the next command
            )
        for row in cells:
            table.add_row(*(Text(encodable(cell, self.prose)) for cell in row))
        RichConsole(file=self.prose, highlight=False).print(table)
