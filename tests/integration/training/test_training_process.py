"""The commands as users run them: parent, worker, signals, kill -9, several processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vtk.errors import ConfigError, Interrupted
from vtk.runs.ranks import read_reports
from vtk.runs.state import read_state
from vtk.runs.store import RunPaths

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STARTUP_TIMEOUT_S = 400
NUM_STEPS = 6


@pytest.fixture(scope="module")
def straight() -> dict[str, Any]:
    """What the uninterrupted run gave; filled by the first test that needs it."""
    return {}


class Shell:
    """Runs `vtk` in processes of their own.

    Args:
        bench: Data, models and settings.
        home: An empty home folder.
    """

    def __init__(self, bench: Any, home: Path) -> None:
        self.bench, self.home = bench, home

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Begin a command; its output is captured."""
        kept = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment |= {"HOME": str(self.home), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "vtk", *arguments],
            env=environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=STARTUP_TIMEOUT_S)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def options(self, name: str) -> list[str]:
        """A CDPO run of a few steps, the published option names among them."""
        settings = self.bench.SETTINGS | {"checkpoint.every_steps": 2}
        settings.pop("optim.num_steps")
        return [
            *("--preset", "tiny", "--jsonl_path", str(self.bench.world.train_file)),
            *("--model_name_or_path", str(self.bench.world.base), "--max_steps", str(NUM_STEPS)),
            *("--ref_model_path", str(self.bench.world.bias), "--beta", "-0.05"),
            *("--output_dir", str(self.bench.runs_dir), "--run-name", name, "--json"),
            *("--data-dir", str(self.bench.world.data_dir)),
            *(
                part
                for key, value in settings.items()
                for part in ("--set", f"{key}={value}".lower())
            ),
        ]

    def paths(self, name: str) -> RunPaths:
        """The run of that name."""
        return RunPaths(self.bench.runs_dir / name)

    def resume(self, name: str) -> "subprocess.CompletedProcess[str]":
        """Go on with a run."""
        runs = ("--runs-dir", str(self.bench.runs_dir))
        return self.run("train-cdpo", "--resume", name, *runs, "--json")

    def numbers(self, name: str) -> dict[str, Any]:
        """All that must be the same however often a run was stopped."""
        paths = self.paths(name)
        return {
            "metrics": self.bench.numbers(paths),
            "rows": self.bench.rows(paths, range(1, NUM_STEPS + 1)),
            "weights": self.bench.model_hash(paths, NUM_STEPS),
        }


@pytest.fixture
def shell(bench: Any, tmp_path: Path) -> Shell:
    (tmp_path / "home").mkdir()
    return Shell(bench, tmp_path / "home")


def _wait(process: "subprocess.Popen[str]", happened: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + STARTUP_TIMEOUT_S
    while not happened():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def _has_step(paths: RunPaths, step: int) -> bool:
    return paths.events.exists() and read_state(paths).step >= step


def _uninterrupted(shell: Shell, straight: dict[str, Any]) -> dict[str, Any]:
    if not straight:
        done = shell.run("train-cdpo", *shell.options("straight"))
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["status"] == "finished"
        assert document["objective"].startswith("repels from the bias model")
        assert Path(document["checkpoint"]).is_dir()
        assert "attention kernel sdpa" in done.stderr
        straight.update(shell.numbers("straight"))
    return straight


def test_sigterm_saves_and_resume_ends_alike(shell: Shell, straight: dict[str, Any]) -> None:
    process = shell.start("train-cdpo", *shell.options("stopped"))
    paths = shell.paths("stopped")
    _wait(process, lambda: _has_step(paths, 3))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=STARTUP_TIMEOUT_S)
    assert process.returncode == Interrupted.exit_code, err
    assert json.loads(out)["error"]["kind"] == "Interrupted"
    assert 3 <= read_state(paths).checkpoints[-1].step < NUM_STEPS
    resumed = shell.resume("stopped")
    assert resumed.returncode == 0, resumed.stderr
    assert shell.numbers("stopped") == _uninterrupted(shell, straight)


def test_kill_9_and_resume_ends_alike(shell: Shell, straight: dict[str, Any]) -> None:
    process = shell.start("train-cdpo", *shell.options("killed"))
    paths = shell.paths("killed")
    _wait(process, lambda: _has_step(paths, 3))
    (started,) = shell.bench.events(paths, "attempt_started")
    os.kill(started["owner"]["pid"], signal.SIGKILL)
    _, err = process.communicate(timeout=STARTUP_TIMEOUT_S)
    assert process.returncode == 1
    assert "signal 9" in err
    assert f"--resume {paths.root}" in err
    assert read_state(paths).status == "lost"
    resumed = shell.resume("killed")
    assert resumed.returncode == 0, resumed.stderr
    assert shell.numbers("killed") == _uninterrupted(shell, straight)


SHARDED_LORA = ("model.sharding=fsdp2", "lora.enabled=true", "lora.rank=4", "rollout.engine=shared")


@pytest.mark.parametrize(
    "sharding",
    [
        pytest.param((), id="whole"),
        pytest.param(SHARDED_LORA, id="sharded", marks=pytest.mark.thorough),
    ],
)
def test_a_process_without_questions_does_not_hold_up_the_other(
    shell: Shell, sharding: tuple[str, ...]
) -> None:
    questions, damaged = shell.bench.damaged_questions(num_damaged=5)
    options = shell.options("holey")
    options[options.index("--jsonl_path") + 1] = str(questions)
    skipping = ("--set", "data.max_skipped_frac=1.0", "--set", "optim.prompts_per_device=1")
    sharded = [part for setting in sharding for part in ("--set", setting)]
    done = shell.run("train-cdpo", *options, *skipping, *sharded, "--num-processes", "2")
    paths = shell.paths("holey")
    assert done.returncode == 0, (
        done.stderr,
        [p.read_text() for p in paths.logs_dir.rglob("*.log")],
    )
    skipped = shell.bench.events(paths, "sample_skipped")
    assert skipped
    assert {event["sample_id"] for event in skipped} <= set(damaged)
    steps = [n for n in range(1, NUM_STEPS + 1) if paths.rollout_file(n).exists()]
    assert len(shell.bench.rows(paths, steps)) == 4 * (2 * NUM_STEPS - len(skipped))


def test_two_processes_share_the_work_and_the_reference(shell: Shell) -> None:
    done = shell.run("train-cdpo", *shell.options("two"), "--num-processes", "2")
    paths = shell.paths("two")
    logs = [path.read_text() for path in paths.logs_dir.glob("*/worker.log")]
    assert done.returncode == 0, (done.stderr, logs)
    rows = shell.bench.rows(paths, [1])
    assert len(rows) == 2 * 2 * 4
    assert {row["group"] for row in rows} == {0, 1, 2, 3}
    assert len({row["completion"] for row in rows}) > 4
    numbers = shell.bench.numbers(paths)
    assert all(step["kl/k3"] > 0 for step in numbers.values())
    assert (paths.checkpoint_dir(NUM_STEPS) / "random_1.safetensors").is_file()


def test_two_machines_train_one_run_and_a_signal_to_either_stops_both(shell: Shell) -> None:
    """Both on this computer: the second joins the run that the first makes, and is preempted."""
    where = ("--num-machines", "2", "--main-address", "127.0.0.1", "--main-port", str(_free_port()))
    options = [*shell.options("duo"), "--num-processes", "2", "--set", "optim.num_steps=60", *where]
    machines = [shell.start("train-cdpo", *options, "--machine-rank", str(n)) for n in (1, 0)]
    paths = shell.paths("duo")
    _wait(machines[1], lambda: _has_step(paths, 2))
    machines[0].send_signal(signal.SIGTERM)
    ended = [process.communicate(timeout=STARTUP_TIMEOUT_S) for process in machines]
    assert [process.returncode for process in machines] == [Interrupted.exit_code] * 2, ended
    state = read_state(paths)
    assert (state.status, state.checkpoints[-1].step) == ("stopped", state.step)
    assert {row["group"] % 4 for row in shell.bench.rows(paths, [1])} == {0, 1, 2, 3}
    assert [report.end for report in read_reports(paths)] == ["Interrupted"] * 2
    assert sorted(path.name for path in paths.logs_dir.iterdir()) == [
        "attempt_1",
        "machine_1_attempt_1",
    ]


def test_a_machine_that_cannot_find_the_run_says_what_it_needs(shell: Shell) -> None:
    where = ("--num-machines", "2", "--machine-rank", "1", "--main-address", "127.0.0.1")
    options = shell.options("nameless")
    place = options.index("--run-name")
    done = shell.run("train-cdpo", *options[:place], *options[place + 2 :], *where)
    assert done.returncode == ConfigError.exit_code
    assert "same --name on every machine" in done.stderr


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
