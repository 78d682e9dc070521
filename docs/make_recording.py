"""Make the recording that `vtk dashboard --demo` plays: real runs of the real trainer.

Usage: python docs/make_recording.py DEMO_FOLDER

DEMO_FOLDER is what `vtk demo --out DEMO_FOLDER` filled. Two runs are trained on its clips: plain
GRPO, to compare with, and CDPO against its bias model, which is asked for things on the way as a
user of the dashboard would.

What is kept: the configurations, the event logs, and of CDPO the completions of every fifth step
with the frames that their model saw; the logs do not speak of the completions of other steps. Steps
at which an alert is worst are kept too. Pictures have 32 shades a colour, which makes them a
quarter as large. Places on this machine are replaced by neutral ones.
"""

import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from tui.episodes import Episode, grouped
from vtk.runs import events
from vtk.runs.control import request
from vtk.runs.frame_strip import decode_strip, encode_strip
from vtk.runs.snapshot import RunState
from vtk.runs.state import RunFollower
from vtk.runs.store import RunPaths

_REPOSITORY = Path(__file__).resolve().parents[1]
_RECORDING = _REPOSITORY / "tui" / "recording"
_NAME, _BASELINE = "cdpo-demo", "grpo-demo"
_NUM_STEPS = 90
_STRIDE_STEPS = 5
_SHADE = 8
_ASKED: dict[int, tuple[str, dict[str, float]]] = {
    30: ("checkpoint", {}),
    45: ("pause", {}),
    60: ("set_beta", {"beta": -0.02}),
}
_SETTINGS: dict[str, object] = {
    "eval.every_steps": 30,
    "eval.num_samples": 60,
    "optim.prompts_per_device": 3,
    "checkpoint.keep": 1,
}
_CDPO_SETTINGS: dict[str, object] = {
    "guards.kl_budget_step": 0.15,
    "record.bias_answers": "true",
    "record.frame_width_px": 32,
}
_LONGEST_S = 3600
_PAUSE_S = 3.0


def main(demo: Path) -> None:
    """Train, ask, and keep the runs."""
    with tempfile.TemporaryDirectory() as folder:
        places = {str(demo): "/home/user/demo-out", folder: "/home/user/demo-out/runs"}
        here = {str(_REPOSITORY): "/home/user/vtk", platform.platform(): "Linux-x86_64"}
        for name in (_BASELINE, _NAME):
            paths = RunPaths(Path(folder) / name)
            with subprocess.Popen([*_command(name, demo), "--runs-dir", folder]) as process:
                _ask_on_the_way(paths, process, _ASKED if name == _NAME else {})
            if process.returncode != 0:
                raise SystemExit(f"the training ended with {process.returncode}")
            _keep(paths, places | here)


def _command(name: str, demo: Path) -> list[str]:
    settings, against = dict(_SETTINGS), list[str]()
    if name == _NAME:
        settings |= _CDPO_SETTINGS
        against = ["--bias-model", str(demo / "runs" / "bias"), "--beta", "-0.1"]
    told = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    return [
        sys.executable, "-m", "vtk", "train-cdpo" if against else "train-grpo", "--name", name,
        "--preset", "tiny", "--data", "clevrer-mini", "--data-dir", str(demo / "data"),
        "--max-steps", str(_NUM_STEPS), *against, *told,
    ]  # fmt: skip


def _ask_on_the_way(
    paths: RunPaths,
    process: "subprocess.Popen[bytes]",
    asked: dict[int, tuple[str, dict[str, float]]],
) -> None:
    """Put each request into the mailbox once its step is done; a pause ends after a moment."""
    follower: RunFollower | None = None
    waiting = dict(asked)
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
    kept = RunPaths(_RECORDING / paths.run_id)
    shutil.rmtree(kept.root, ignore_errors=True)
    steps = _kept_steps(RunFollower(paths).poll()) if paths.run_id == _NAME else []
    for file in (paths.run_json, paths.config_json, paths.events, *map(paths.rollout_file, steps)):
        text = file.read_text(encoding="utf-8")
        if file == paths.events:
            text = _without_other_rollouts(text, steps)
        for place, neutral in places.items():
            text = text.replace(place, neutral)
        copy = kept.root / file.relative_to(paths.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")
    if steps:
        _keep_frames(paths, kept)


def _kept_steps(state: RunState) -> list[int]:
    """Every fifth, the last, and those that the dashboard shows as an alert's evidence."""
    evidence = {
        Episode(episode.alerts[:number]).worst.step
        for episode in grouped(state.alerts)
        for number in range(1, len(episode.alerts) + 1)
    }
    regular = range(1, state.step + 1, _STRIDE_STEPS)
    return sorted({*regular, state.step} | {step for step in evidence if step is not None})


def _without_other_rollouts(log: str, steps: list[int]) -> str:
    lines = log.splitlines(keepends=True)
    told = ((line, json.loads(line)) for line in lines)
    return "".join(
        line for line, event in told if event["type"] != events.ROLLOUTS or event["step"] in steps
    )


def _keep_frames(paths: RunPaths, kept: RunPaths) -> None:
    """The pictures that the kept completions name, each colour in the middle of its shade."""
    rows = [
        json.loads(line)
        for file in sorted(kept.rollouts_dir.glob("step_*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    kept.frames_dir.mkdir()
    for name in sorted({row["frames"] for row in rows}):
        strip = decode_strip((paths.frames_dir / name).read_bytes())
        colours = np.frombuffer(strip.rgb, dtype=np.uint8)
        shades = colours // _SHADE * _SHADE + _SHADE // 2
        plain = replace(strip, rgb=shades.astype(np.uint8).tobytes())
        (kept.frames_dir / name).write_bytes(encode_strip(plain))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
