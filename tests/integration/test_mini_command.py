"""`vtk mini pretrain`, `vtk mini report` and `vtk download` as a user runs them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from vtk.cli.app import main

TINY = ["--scenes", "3", "--vision-steps", "1", "--language-steps", "1", "--held-out-scenes", "1"]
DEADLINE_S = 240.0
DOWNLOAD = ["download", "clevrer-mini", "--scenes", "200", "--workers", "2"]
PRETRAIN = ["mini", "pretrain", "--out", "OUT/model", *TINY[2:], "--scenes", "2000"]


@pytest.mark.slow
def test_pretrain_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model"
    assert main(["mini", "pretrain", "--out", str(out), *TINY, "--workers", "1", "--json"]) == 0
    said = capsys.readouterr()
    made = json.loads(said.out)
    assert made["path"] == str(out)
    assert made["settings"]["language_steps"] == 1
    assert "Training the language model: 1/1 steps" in said.err
    assert (out / "model.safetensors").stat().st_size == made["weights_bytes"] <= 8_000_000

    assert main(["mini", "report", "--model", str(out), "--scenes", "1"]) == 0
    said = capsys.readouterr()
    assert re.search(
        r"^all +(observational|inferential) +100\.0% +\d+ +[\d.]+% +\[", said.out, re.M
    )
    assert main(["mini", "report", "--model", str(out), "--scenes", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["strategies"] == made["strategies"]
    assert report["weights_sha256"] == made["weights_sha256"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["mini", "report", "--model", "nowhere/at/all"], 4, "nowhere/at/all"),
        (["mini", "report", "--model", "owner/model"], 2, "hub"),
        (["mini", "pretrain", "--scenes", "0"], 2, "num_scenes must be above 0, not 0"),
        (["mini", "pretrain", "--seed", "-1"], 2, "seed must be 0 or above, not -1"),
    ],
)
def test_faults_end_in_one_line_and_a_code(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes through /proc")
@pytest.mark.parametrize(
    ("command", "sign", "sent", "code", "says"),
    [
        (DOWNLOAD, "**/*.mp4", signal.SIGINT, 130, "Interrupted."),
        (DOWNLOAD, "**/*.mp4", signal.SIGTERM, 75, "Error: stopped by SIGTERM"),
        (PRETRAIN, None, signal.SIGINT, 130, "Interrupted."),
    ],
    ids=["download-int", "download-term", "pretrain-int"],
)
def test_a_signal_leaves_nothing_running(
    command: Sequence[str],
    sign: str | None,
    sent: signal.Signals,
    code: int,
    says: str,
    tmp_path: Path,
) -> None:
    """Ctrl-C goes to the whole group, as a terminal sends it; SIGTERM to the one process."""
    arguments = [word.replace("OUT", str(tmp_path)) for word in command]
    if command[0] == "download":
        arguments += ["--data-dir", str(tmp_path)]
    else:
        arguments += ["--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "vtk", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + DEADLINE_S
    while not _has_workers(process.pid, 2) or (sign and not any(tmp_path.glob(sign))):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    if sent == signal.SIGINT:
        os.killpg(process.pid, sent)
    else:
        process.send_signal(sent)
    _, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == code
    assert says in stderr
    assert "Traceback" not in stderr
    while _group(process.pid):
        assert time.monotonic() < deadline, _group(process.pid)
        time.sleep(0.05)


def _group(pgid: int) -> list[str]:
    """Command lines of the living processes of a process group."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == pgid and fields[0] != "Z":
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
    return found


def _has_workers(pgid: int, count: int) -> bool:
    return sum("spawn_main" in command for command in _group(pgid)) >= count
