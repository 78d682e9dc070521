"""One command in several real processes: who speaks, who is blamed, nothing left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from vtk.errors import DataError, Interrupted, VtkError
from vtk.system.together import LEFT_WITH_OTHERS, Spoken, run_together

HINT = "repeat it"
TOLD = "import os, sys, signal, time; rank = int(os.environ['RANK'])\n"
WAIT = "time.sleep(60)\n"


def command(program: str) -> list[str]:
    return [sys.executable, "-c", TOLD + textwrap.dedent(program)]


def test_all_are_told_who_they_are_and_process_0_speaks() -> None:
    program = """
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR")
        print([os.environ[name] for name in names], os.environ["MASTER_PORT"].isdigit())
        sys.stderr.write("process 1 only" if rank else "")
    """
    assert run_together(command(program), 3, HINT, is_captured=True) == (
        "['0', '3', '0', '127.0.0.1'] True\n"
    )


def test_a_killed_process_is_named_and_ends_the_others(tmp_path: Path) -> None:
    program = f"""
        open({str(tmp_path)!r} + f"/{{rank}}", "w").write(str(os.getpid()))
        if rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
    """
    with pytest.raises(VtkError, match=r"process 1 \(pid \d+\) was killed by SIGKILL") as raised:
        run_together(command(program), 2, HINT, is_captured=True)
    assert raised.value.hint == HINT
    for path in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.read_text()), 0)


def test_what_a_killed_process_had_started_ends_with_it(tmp_path: Path) -> None:
    program = f"""
        import subprocess
        if rank == 1:
            engine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            open({str(tmp_path / "engine")!r}, "w").write(str(engine.pid))
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
    """
    with pytest.raises(VtkError, match="SIGKILL"):
        run_together(command(program), 2, HINT, is_captured=True)
    status = Path(f"/proc/{(tmp_path / 'engine').read_text()}/stat")
    assert not status.exists() or ") Z " in status.read_text()


def test_what_another_process_said_becomes_the_error_of_its_kind() -> None:
    program = f"""
        if rank == 2:
            sys.stderr.write("Error: no clip\\n")
            sys.exit({DataError.exit_code})
        if rank == 0:
            sys.exit({LEFT_WITH_OTHERS})
        time.sleep(60)
    """
    with pytest.raises(DataError, match=r"process 2 .*failed with exit code 4:\nError: no clip"):
        run_together(command(program), 3, HINT, is_captured=True)


def test_process_0_speaks_for_itself() -> None:
    with pytest.raises(Spoken) as raised:
        run_together(
            command("print('{}') if rank == 0 else time.sleep(60)\nsys.exit(3)"),
            2,
            HINT,
            is_captured=True,
        )
    assert (raised.value.code, raised.value.captured) == (3, "{}\n")


def test_one_that_was_asked_to_stop_stops_all() -> None:
    with pytest.raises(Interrupted, match=r"process 1 .*was asked to stop"):
        run_together(
            command(f"sys.exit({Interrupted.exit_code}) if rank else time.sleep(60)"),
            2,
            HINT,
            is_captured=True,
        )


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGTERM, "Interrupted"), (signal.SIGINT, "UserInterrupt")]
)
def test_signals_reach_all_processes(number: int, kind: str, tmp_path: Path) -> None:
    worker = (
        "signal.signal(signal.SIGTERM, lambda *_: (open("
        f"{str(tmp_path)!r} + f'/stopped-{{rank}}', 'w').close(), sys.exit(75)))\n"
        f"open({str(tmp_path)!r} + f'/ready-{{rank}}', 'w').close()\n" + WAIT
    )
    starter = (
        "from vtk.errors import VtkError\nfrom vtk.system.together import run_together\n"
        f"try:\n    run_together({command(worker)!r}, 2, 'again', is_captured=True)\n"
        "except VtkError as error:\n    print(type(error).__name__, error.hint)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True
    ) as child:
        while len(list(tmp_path.glob("ready-*"))) < 2:
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(number)
        out, _ = child.communicate(timeout=60)
    assert out == f"{kind} again\n"
    assert len(list(tmp_path.glob("stopped-*"))) == 2
