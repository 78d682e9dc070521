"""The command itself: where errors end, which exit codes, what the help says."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vtk.cli import app as app_module
from vtk.cli.app import app, explain, main
from vtk.errors import (
    AccessError,
    ConfigError,
    DataError,
    GuardStop,
    Interrupted,
    MemoryExhausted,
    MissingEnvironmentError,
    NetworkError,
    UserInterrupt,
    VtkError,
)

CODES = {
    VtkError: 1,
    ConfigError: 2,
    MissingEnvironmentError: 3,
    DataError: 4,
    GuardStop: 5,
    MemoryExhausted: 6,
    NetworkError: 7,
    AccessError: 8,
    Interrupted: 75,
    UserInterrupt: 130,
}


@pytest.fixture
def failing() -> Iterator[list[BaseException]]:
    """A list whose first element the command `fail` raises."""
    faults: list[BaseException] = []

    def fail() -> None:
        raise faults[0]

    app.command("fail")(fail)
    yield faults
    app.registered_commands.pop()


@pytest.mark.parametrize(("kind", "code"), CODES.items())
def test_each_kind_of_error_has_its_exit_code(
    failing: list[BaseException],
    capsys: pytest.CaptureFixture[str],
    kind: type[VtkError],
    code: int,
) -> None:
    failing.append(kind("the cat sat on it", hint="move the cat"))
    assert main(["fail"]) == code
    streams = capsys.readouterr()
    assert streams.err == "Error: the cat sat on it\nHint: move the cat\n"
    assert streams.out == ""


def test_an_error_under_json_is_a_document(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(DataError("no such run", hint="vtk runs list"))
    app.registered_commands[-1].callback = _with_json(failing)
    assert main(["fail", "--json"]) == 4
    assert json.loads(capsys.readouterr().out) == {
        "error": {
            "kind": "DataError",
            "message": "no such run",
            "hint": "vtk runs list",
            "exit_code": 4,
        }
    }


def test_a_fault_of_ours_is_one_line_without_debug_and_a_traceback_with_it(
    failing: list[BaseException],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing.append(KeyError("frames"))
    assert main(["fail"]) == 1
    told = capsys.readouterr().err
    assert "unexpected KeyError: 'frames'" in told
    assert "--debug" in told
    assert "Traceback" not in told
    with pytest.raises(KeyError):
        main(["fail", "--debug"])
    with pytest.raises(KeyError):
        main(["--debug", "fail"])
    monkeypatch.setenv("VTK_DEBUG", "1")
    with pytest.raises(KeyError):
        main(["fail"])


def test_ctrl_c_is_130(failing: list[BaseException], capsys: pytest.CaptureFixture[str]) -> None:
    failing.append(KeyboardInterrupt())
    assert main(["fail"]) == 130
    assert capsys.readouterr().err.startswith("Interrupted. What was complete is kept")


def test_ctrl_c_does_not_advise_to_throw_away_what_was_kept(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(KeyboardInterrupt())
    app.registered_commands[-1].callback = _with_restart(failing)
    assert main(["fail", "--restart"]) == 130
    assert "the same command, without --restart, goes on" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named(number: int) -> None:
    told = explain(OSError(number, os.strerror(number), "runs/x/events.jsonl"))
    assert "disk is full" in told.message
    assert "runs/x/events.jsonl" in told.message
    assert told.exit_code == 1


def test_other_system_errors_keep_their_file() -> None:
    told = explain(OSError(errno.EIO, "Input/output error", "runs"))
    assert told.message == "OSError: [Errno 5] Input/output error: 'runs'"


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOTDIR, errno.EEXIST])
def test_a_folder_that_cannot_be_one_names_the_ways_out(number: int) -> None:
    told = explain(OSError(number, os.strerror(number), "data/clevrer-mini"))
    assert told.message == f"cannot use data/clevrer-mini: {os.strerror(number)}"
    assert "--data-dir" in (told.hint or "")


@pytest.mark.parametrize(
    ("arguments", "says", "hint"),
    [
        (["download", "--bad"], "--bad", "vtk download --help"),
        (["runs", "show", "a", "b"], "b", "vtk runs show --help"),
        (["nosuch"], "nosuch", "vtk --help"),
        (["demo", "--seed", "x"], "--seed", "vtk demo --help"),
    ],
)
def test_wrong_usage_is_a_document_too(
    arguments: list[str], says: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--json"]) == 2
    streams = capsys.readouterr()
    error = json.loads(streams.out)["error"]
    assert says in error["message"]
    assert hint in error["hint"]
    assert says in streams.err


def test_a_folder_that_cannot_be_written_names_the_ways_out() -> None:
    told = explain(PermissionError(errno.EACCES, "Permission denied", "runs"))
    assert told.message == "no permission to use runs"
    assert "--runs-dir" in (told.hint or "")


@pytest.mark.parametrize(
    "fault",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"
        ),
    ],
)
def test_lack_of_memory_is_told_as_such(fault: Exception) -> None:
    told = explain(fault)
    assert isinstance(told, MemoryExhausted)
    assert "prompts_per_device" in (told.hint or "")


def test_lack_of_gpu_memory_is_told_as_such() -> None:
    import torch

    assert isinstance(explain(torch.OutOfMemoryError("CUDA out of memory.")), MemoryExhausted)


def test_an_unknown_command_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["confg"]) == 2
    assert "Did you mean config?" in capsys.readouterr().err


def test_help_lists_every_command_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-h"]) == 0
    shown = capsys.readouterr().out
    names = [command.name for command in app.registered_commands]
    names += [group.name for group in app.registered_groups]
    assert len(names) > 3
    for name in names:
        assert name is not None
        assert name in shown


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    streams = capsys.readouterr()
    assert "Usage: vtk" in streams.out + streams.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("vtk 0.")


def test_a_reader_that_leaves_early_is_no_fault(repository: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "vtk", "config", "show", "tiny", "--explain"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=repository,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    told = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=30) == 0
    assert told == ""


@pytest.mark.parametrize("arguments", [["config", "ls"], ["config", "ls", "--json"], ["--help"]])
def test_a_full_disk_under_stdout_is_one_clear_error(
    repository: Path, arguments: list[str]
) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "vtk", *arguments],
            cwd=repository,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "Error: the disk is full" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_under_a_file_is_one_clear_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "cp", "tiny", "/dev/full", "--force"]) == 1
    assert "disk is full" in capsys.readouterr().err


def test_a_process_without_streams_still_runs(repository: Path) -> None:
    command = f"{sys.executable} -m vtk config ls >&- 2>&-"
    assert subprocess.run(["bash", "-c", command], cwd=repository, check=False).returncode == 0


def test_a_signal_from_the_keyboard_ends_the_process_with_130(repository: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from vtk.cli import app as a\n"
        "a.app.command('wait')(lambda: os.kill(os.getpid(), signal.SIGINT))\n"
        "sys.exit(a.main(['wait']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 128 + signal.SIGINT == 130
    assert done.stderr.startswith("Interrupted.")


def _with_json(faults: list[BaseException]) -> Callable[..., None]:
    from vtk.cli.options import Json

    def fail(as_json: Json = False) -> None:
        assert as_json
        raise faults[0]

    return fail


def _with_restart(faults: list[BaseException]) -> Callable[..., None]:
    def fail(restart: bool = False) -> None:
        assert restart
        raise faults[0]

    return fail


def test_the_debug_flag_after_two_dashes_belongs_to_the_command() -> None:
    arguments = ["fail", "--", "--debug"]
    assert not app_module._take_debug_flag(arguments)
    assert arguments == ["fail", "--", "--debug"]
