"""An evaluation that real processes share: the bytes of one, whoever is killed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.evaluation.conftest import Cli, eval_arguments, require_same_files

pytestmark = pytest.mark.slow


def test_one_of_two_processes_is_killed_and_one_goes_on_to_the_same_bytes(
    uninterrupted: dict[str, Any], data_dir: Path, model_dir: Path, tmp_path: Path
) -> None:
    cli = Cli(data_dir, tmp_path / "runs")
    arguments = eval_arguments(cli, model_dir)
    with cli.start(*arguments, "--num-processes", "2", "--json") as starter:
        try:
            while min(cli.num_rows_of(rank) for rank in (0, 1)) < 2 and starter.poll() is None:
                time.sleep(0.005)
            killed = pid_of_rank(1, starter.pid)
            os.kill(killed, signal.SIGKILL)
            out, err = starter.communicate(timeout=60)
        finally:
            starter.kill()
    fault = json.loads(out)["error"]
    assert (starter.returncode, fault["exit_code"]) == (1, 1)
    assert fault["message"] == (
        f"process 1 (pid {killed}) was killed by SIGKILL; the others were ended"
    )
    assert "repeat the command" in fault["hint"]
    assert err.count("Error: ") == 1
    code, out, err = cli.run(*arguments, "--json")
    assert code == 0, err
    kept = re.search(r"Kept (\d+) of", err)
    assert kept is not None
    assert int(kept[1]) >= 4
    require_same_files(json.loads(out), uninterrupted)


@pytest.mark.thorough
def test_torchrun_shares_an_evaluation_out_and_only_one_process_speaks(
    uninterrupted: dict[str, Any], data_dir: Path, model_dir: Path, tmp_path: Path
) -> None:
    cli = Cli(data_dir, tmp_path / "runs")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "3", "-m", "vtk"]
    done = subprocess.run(
        [sys.executable, *torchrun, *eval_arguments(cli, model_dir), "--json"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    require_same_files(json.loads(done.stdout), uninterrupted)
    assert done.stderr.count("Loading ") == 1


def pid_of_rank(rank: int, starter: int) -> int:
    """The process that a starter told its rank."""
    for child in Path(f"/proc/{starter}/task/{starter}/children").read_text().split():
        if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return int(child)
    raise AssertionError(f"process {starter} started no rank {rank}")
