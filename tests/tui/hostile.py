"""Texts that break screens: markup, control characters, hidden and reordered text, sheer length.

A screen is given each of them as a model's completion, as a question and as a name. Import
`HOSTILE_TEXTS` for all of them, `LITERAL` for those that must be read on the screen exactly as they
are, `FORBIDDEN` for what may never reach a terminal.
"""

from typing import Final

LITERAL: Final[dict[str, str]] = {
    "answer": "<answer>[B]</answer>",
    "closing markup": "x [/INST] y",
    "open closing": "[/",
    "upper markup": "[SUPABASE_URL=http://x",
    "style markup": "[bold red]not bold[/bold red]",
    "action markup": "[@click=app.bell]press[/]",
    "escaped markup": r"\[B] \\[/b]",
    "rich emoji": ":smile: stays words",
    "percent and braces": "{0} %s $primary {x!r}",
    "html": "<script>alert(1)</script> &amp;",
}
"""What must stand on the screen character for character."""

CONTROL: Final[dict[str, str]] = {
    "clipboard": "a\x1b]52;c;SEFDS0VE\x07b",
    "title": "a\x1b]0;HACKED-TITLE\x07b",
    "colour": "a\x1b[31;41mHACKED-RED\x1b[0mb",
    "cursor": "a\x1b[2J\x1b[HHACKED-HOME\x1b[5;5Hb",
    "device string": "a\x1bP1;1|HACKED-DCS\x1b\\b",
    "report": "a\x1b[6n\x1b[c\x1b]11;?\x07b",
    "c1 introducer": "a\x9b31mHACKED-C1\x9d0;HACKED-OSC\x9cb",
    "link": "a\x1b]8;;http://HACKED-LINK\x07text\x1b]8;;\x07b",
    "all of c0": "".join(chr(code) for code in range(0x20)) + "\x7f",
    "all of c1": "".join(chr(code) for code in range(0x80, 0xA0)),
    "nul": "a\x00b",
    "carriage return": "WRONG\rRIGHT",
    "backspace": "WRONG\b\b\b\b\bRIGHT",
    "line ends": "a\x0bb\x0cc\x85d\u2028e\u2029f",
    "bidi": "\u202egnp.exe\u202c \u2066x\u2069 \u200fy\u061c",
    "invisible": "a\u200bb\u2060c\ufeffd\U000e0041\U000e0042e",
    "lone surrogate": "a\ud800b\udfffc",
}
"""Characters that drive a terminal, or hide and reorder what it shows."""

WIDE: Final[dict[str, str]] = {
    "wide": "衝突しますか" * 40,
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈🎲" * 30,
    "combining": "e" + "\u0301" * 200 + "x",
    "no spaces": "x" * 5_000,
    "only spaces": " " * 300,
    "only line feeds": "\n" * 300,
    "tabs": "a\tb\tc" * 50,
    "nothing": "",
    "nonfinite words": "NaN",
    "escaped word": "\\Infinity",
}
"""What is hard to measure or to wrap."""

LONG: Final = "long " * 210_000
"""A line of more than a megabyte."""

HOSTILE_TEXTS: Final[dict[str, str]] = LITERAL | CONTROL | WIDE | {"a megabyte": LONG}

TORN_LINES: Final[tuple[bytes, ...]] = (
    b'{"v":1,"step":1,"comp\n',
    b"\x00\x00\x00\x00\n",
    b"[1,2,3]\n",
    b"\xff\xfe not utf-8\n",
    b'{"v":1,"step":-1,"group":"x"}\n',
    b"[" * 2000 + b"]" * 2000 + b"\n",
    b'{"v":99,"step":1e400}\n',
)
"""Complete lines that are no completions."""

FORBIDDEN: Final = (
    "\x1b]52;c;SEFD",
    "\x1b]0;HACKED",
    "\x1b[31;41m",
    "\x9b",
    "\x9d",
    "\u202e",
    "\x00",
)
"""Of these a terminal may be sent nothing."""
