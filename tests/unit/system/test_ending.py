"""A third Ctrl-C ends all processes of a run that are here, in whatever session they live."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from vtk import launch
from vtk.runs.ranks import read_reports
from vtk.runs.store import create_run

RANK = (
    "import sys, time; from pathlib import Path; from vtk.runs.ranks import RankReporter;"
    "from vtk.runs.store import RunPaths;"
    "RankReporter(RunPaths(Path(sys.argv[1])), 1).__enter__(); time.sleep(600)"
)


def test_processes_in_sessions_of_their_own_are_ended_too(tmp_path: Path) -> None:
    paths = create_run(tmp_path, "grpo", "one", argv=["vtk"], config={})
    programs = (["-c", "import time; time.sleep(600)"], ["-c", RANK, str(paths.root)])
    starter, rank = (
        subprocess.Popen([sys.executable, *program], start_new_session=True) for program in programs
    )
    try:
        deadline_s = time.monotonic() + 60
        while not read_reports(paths):
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        launch._end_everything(starter, paths)
        assert [starter.wait(30), rank.wait(30)] == [-signal.SIGKILL] * 2
        launch._end_everything(starter, paths)  # nobody is left, and that is no fault
    finally:
        starter.kill()
        rank.kill()
