"""L7, S4: hostile logs in the real dashboard, and every command on them, in a real terminal."""

import random
import re
from pathlib import Path

from tests.pseudo_terminal import PseudoTerminal
from tests.reliability.figures import Figures
from tests.tui.hostile import CONTROL, FORBIDDEN, LITERAL, LONG, TORN_LINES, WIDE
from tests.tui.test_hostile_screens import _OURS, _SEQUENCE, hostile_run
from tui.app import SCREENS
from vtk.runs.events import encode_line
from vtk.runs.store import RunPaths, create_run
from vtk.runs.writer import EventWriter

_RAW = re.compile("[\x00-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u202e\u2066]")
MANY_EVENTS = 100_000


def dashboard_on_hostile_logs(num_logs: int, folder: Path, seed: int = 0) -> Figures:
    """Random logs of hostile texts; each is opened, every screen looked at, and left by Ctrl-C."""
    result = Figures("L7", "The dashboard survives any log content")
    draw, num_bytes = random.Random(seed), 0
    for number in range(num_logs):
        run = create_run(folder / str(number), "grpo", "hostile", config={"seed": 1})
        if number == 0:
            hostile_run(run)
        else:
            _random_log(run, draw, MANY_EVENTS if number == 1 else 200)
        code, output = _drive(run)
        num_bytes += len(output)
        result.check(code == 0, f"log {number}: exit {code}: {output[-300:]!r}")
        for fault in _leaks(output):
            result.check(False, f"log {number}: {fault}")
    result.count = f"{num_logs} logs, one of {MANY_EVENTS} events, {len(SCREENS)} screens each"
    result.figures = [f"0 crashes; 0 control sequences of the data in {num_bytes} bytes of output"]
    return result


def _random_log(run: RunPaths, draw: random.Random, num_events: int) -> None:
    texts = [*LITERAL.values(), *CONTROL.values(), *WIDE.values(), LONG]
    with EventWriter(run, heartbeat_interval_s=3600) as writer:
        for step in range(1, 4):
            row = {"reward": 0.0, "completion": draw.choice(texts), "label": draw.choice(texts)}
            writer.rollouts(step, [row | {"problem": draw.choice(texts), "step": step}])
            writer.step(step, {"reward/mean": draw.random(), "loss/total": 1.0})
    kinds = ["step", "alert", "phase", "eval_result", "control", "gpu", "sample_skipped", "dream"]
    with run.events.open("ab") as stream:
        for number in range(num_events):
            text = draw.choice(texts[:-1] if number else texts)
            event: dict[str, object] = {
                "v": 1,
                "seq": 100 + number,
                "time": 1e9 + number,
                "mono": float(number),
            }
            event |= {"attempt": 1, "type": draw.choice(kinds), "step": draw.randrange(50)}
            event |= {draw.choice(("name", "message", "rule", "metrics", "suite", "who")): text}
            stream.write(encode_line(event))
            if number % 40 == 0:
                stream.write(draw.choice(TORN_LINES))
                stream.write(draw.randbytes(draw.randint(1, 60)) + b"\n")


def _drive(run: RunPaths) -> tuple[int, bytes]:
    command = ("-m", "vtk", "dashboard", "--runs-dir", str(run.root.parent))
    with PseudoTerminal(*command) as terminal:
        terminal.read_until(b"hostile")
        for key in [*(entry.key for entry in SCREENS), "?", "\x1b", "1"]:
            terminal.write(key.encode())
            terminal.read_for(0.4)
        terminal.write(b"\x03")
        code = terminal.read_to_end()
        return code, terminal.sent


def _leaks(output: bytes) -> list[str]:
    """What of the data drives the terminal."""
    text = output.decode(errors="surrogateescape")
    titles = [found for found in _SEQUENCE.findall(text) if found.startswith("\x1b]")]
    faults = [f"a title or clipboard: {found!r}" for found in titles if not _OURS.match(found)]
    rest = _SEQUENCE.sub("", text)
    faults += [f"{found!r} went out raw" for found in _RAW.findall(rest)[:3]]
    return faults + [f"{bad!r} went out" for bad in FORBIDDEN if bad in rest]


COMMANDS = (
    ("runs", "list"),
    ("runs", "show", "{run}"),
    ("dashboard", "{run}", "--once"),
    ("compare", "{run}", "{other}"),
    ("runs", "show", "no-\x1b]0;owned\x07-run"),
    ("runs", "stop", "{run}", "--yes"),
    ("config", "show", "tiny", "--set", "model.path=\x1b[31mred"),
    ("config", "validate", "{file}"),
    ("eval", "clevrer-mini", "--model", "{folder}/\x1b[2Jmodel"),
    ("data", "check", "video-holmes"),
    ("split", "clevrer-mini"),
    ("download", "\x9b31mname"),
    ("train-grpo", "--data", "{file}", "--preset", "tiny", "--dry-run"),
)


def commands_on_hostile_runs(folder: Path) -> Figures:
    """Each command that shows texts from files or arguments, on a terminal."""
    result = Figures("S4", "Untrusted text cannot drive the terminal")
    run, other = (create_run(folder / "runs", "grpo", name) for name in ("one", "two"))
    hostile_run(run)
    hostile_run(other)
    hostile = folder / "hostile.toml"
    hostile.write_text('[model]\n"\\u001b]0;owned\\u0007" = "\\u202e"\n')
    _hostile_data(folder / "data")
    num_bytes = 0
    for words in COMMANDS:
        known = {"run": run.run_id, "other": other.run_id, "file": hostile, "folder": folder}
        command = [word.format(**known) for word in words]
        code, output = _on_a_terminal(command, folder)
        num_bytes += len(output)
        result.check(bool(output), f"{words}: says nothing")
        result.check(b"Traceback" not in output and code < 9, f"{words}: {code} {output[-300:]!r}")
        for fault in _leaks(output):
            result.check(False, f"{' '.join(words)[:40]!r}: {fault}")
    result.count = f"{len(COMMANDS)} commands on texts that hold markup and control characters"
    result.figures = [
        f"0 control bytes of the data in {num_bytes} bytes of output, 0 tracebacks",
        "the dashboard's screens: L7",
    ]
    return result


def _hostile_data(data_dir: Path) -> None:
    """A benchmark whose questions and clips have hostile names, and damaged questions."""
    root = data_dir / "video-holmes"
    (root / "videos").mkdir(parents=True)
    (root / "test_Video-Holmes.json").write_text(
        '[{"video ID": "\\u001b]0;owned\\u0007", "Question": "\\u009b31m", "Options": {}}]'
    )
    questions = data_dir / "clevrer-mini" / "questions"
    questions.mkdir(parents=True)
    for part in ("train", "validation"):
        (questions / f"{part}.json").write_text(
            '[{"scene_index": 0, "video_filename": "\\u001b[2J", "questions": [{"question_id": 0, '
            '"question_type": "\\u001b]52;c;AA\\u0007"}]}]'
        )


def _on_a_terminal(command: list[str], folder: Path) -> tuple[int, bytes]:
    places = {"VTK_RUNS_DIR": str(folder / "runs"), "VTK_DATA_DIR": str(folder / "data")}
    environment = places | {"HF_HUB_OFFLINE": "1"}
    with PseudoTerminal("-m", "vtk", *command, environment=environment) as terminal:
        code = terminal.read_to_end()
        return code, terminal.sent
