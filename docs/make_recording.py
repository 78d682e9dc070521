"""Make the recording that `vtk dashboard --demo` plays: a real run of the real trainer.

Usage: python docs/make_recording.py DEMO_FOLDER

DEMO_FOLDER is what `vtk demo --out DEMO_FOLDER` filled. A CDPO run is trained on its clips against
its bias model, and asked for things on the way as a user of the dashboard would. What is kept: the
whole event log, the configuration, and the completions of a few steps. The folder's place on this
machine is replaced by a neutral one.
"""

import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vtk.runs.control import request
from vtk.runs.state import RunFollower
from vtk.runs.store import RunPaths

_REPOSITORY = Path(__file__).resolve().parents[1]
_RECORDING = _REPOSITORY / "tui" / "recording"
_NAME = "cdpo-demo"
_NUM_STEPS = 90
_ASKED: dict[int, tuple[str, dict[str, float]]] = {
    30: ("checkpoint", {}),
    45: ("pause", {}),
    60: ("set_beta", {"beta": -0.02}),
}
_SETTINGS = {
    "eval.every_steps": 30,
    "eval.num_samples": 60,
    "optim.prompts_per_device": 3,
    "guards.kl_budget_step": 0.2,
    "checkpoint.keep": 1,
}
_LONGEST_S = 900
_PAUSE_S = 3.0


def main(demo: Path) -> None:
    """Train, ask, and keep the run."""
    with tempfile.TemporaryDirectory() as folder:
        paths = RunPaths(Path(folder) / _NAME)
        command = [sys.executable, "-m", "vtk", "train-cdpo", "--preset", "tiny", *_arguments(demo)]
        with subprocess.Popen([*command, "--runs-dir", folder, "--name", _NAME]) as process:
            _ask_on_the_way(paths, process)
        if process.returncode != 0:
            raise SystemExit(f"the training ended with {process.returncode}")
        places = {str(demo): "/home/user/demo-out", folder: "/home/user/demo-out/runs"}
        here = {str(_REPOSITORY): "/home/user/vtk", platform.platform(): "Linux-x86_64"}
        _keep(paths, places | here)


def _arguments(demo: Path) -> list[str]:
    settings = [part for name, value in _SETTINGS.items() for part in ("--set", f"{name}={value}")]
    return [
        "--data", "clevrer-mini", "--data-dir", str(demo / "data"),
        "--bias-model", str(demo / "runs" / "bias"), "--beta", "-0.1",
        "--max-steps", str(_NUM_STEPS), *settings,
    ]  # fmt: skip


def _ask_on_the_way(paths: RunPaths, process: "subprocess.Popen[bytes]") -> None:
    """Put each request into the mailbox once its step is done; a pause ends after a moment."""
    follower: RunFollower | None = None
    waiting = dict(_ASKED)
    end_s = time.monotonic() + _LONGEST_S
    while process.poll() is None and time.monotonic() < end_s:
        time.sleep(0.1)
        if follower is None and paths.exists():
            follower = RunFollower(paths)
        step = 0 if follower is None else follower.poll().step
        for due in [each for each in waiting if each <= step]:
            action, args = waiting.pop(due)
            request(paths, action, **args)
            if action == "pause":
                time.sleep(_PAUSE_S)
                request(paths, "resume")


def _keep(paths: RunPaths, places: dict[str, str]) -> None:
    kept = RunPaths(_RECORDING / _NAME)
    shutil.rmtree(kept.root, ignore_errors=True)
    state = RunFollower(paths).poll()
    alerts = [alert.step for alert in state.alerts if alert.step is not None]
    steps = sorted({1, state.step, *alerts[:2]})
    files = [paths.run_json, paths.config_json, paths.events, *map(paths.rollout_file, steps)]
    for file in files:
        text = file.read_text(encoding="utf-8")
        for place, neutral in places.items():
            text = text.replace(place, neutral)
        copy = kept.root / file.relative_to(paths.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
