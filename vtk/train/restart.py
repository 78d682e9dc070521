"""The command that begins a new run where a guard stopped one, with a setting changed.

A resumed run keeps all its settings, so it would meet the same guard again.
"""

import shlex
from pathlib import Path

from vtk.config.schema import VtkConfig
from vtk.runs.files import read_json
from vtk.runs.store import RunPaths
from vtk.train.inputs import TrainingInputs

_DEFAULT_DATA_DIR, _DEFAULT_RUNS_DIR = Path("data"), Path("runs")


def restart_hint(
    paths: RunPaths, config: VtkConfig, checkpoint: Path | None, setting: str, value: str
) -> str:
    """What to do after a guard's stop: one command, and what it begins from.

    Args:
        paths: The run that was stopped.
        config: Its settings.
        checkpoint: Its newest checkpoint, or None.
        setting: Dotted name of what is to be changed.
        value: To what, as text.
    """
    # An adapter cannot be trained on another, so a LoRA run begins again from its base.
    start = None if config.lora.enabled else checkpoint
    words = ["vtk", f"train-{config.stage}", "--config", str(paths.config_json.absolute())]
    words += [] if start is None else ["--model", str(start.absolute())]
    words += ["--set", f"{setting}={value}", *_folders(paths, config)]
    begins = "from the beginning" if start is None else "from the weights of the last checkpoint"
    again = "" if start is None else "; without --model it starts from the beginning"
    return f"Start a new run {begins}: `{shlex.join(words)}`{again}."


def _folders(paths: RunPaths, config: VtkConfig) -> list[str]:
    """The options by which a new run finds data and runs as this one did."""
    found: list[str] = []
    if config.data.dataset is not None and config.data.train is None:
        train = TrainingInputs.from_run(read_json(paths.run_json)).train
        data_dir = Path(train).parents[2]  # of DATA/NAME/split/train.jsonl
        found += [] if data_dir == _DEFAULT_DATA_DIR.absolute() else ["--data-dir", str(data_dir)]
    runs_dir = paths.root.absolute().parent
    return found + (
        [] if runs_dir == _DEFAULT_RUNS_DIR.absolute() else ["--runs-dir", str(runs_dir)]
    )
