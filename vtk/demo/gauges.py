"""How far each step is, seen from the files that its command writes."""

from pathlib import Path
from typing import Final

from vtk.data.registry import DATASETS, dataset_dir, split_dir, split_file
from vtk.demo.folder import DemoFolder, Record, read_record
from vtk.demo.plan import DATASET, Step
from vtk.evals.record import SAMPLES_FILE
from vtk.runs.files import read_json
from vtk.runs.results import RESULTS_FILE
from vtk.runs.state import RunFollower, RunState
from vtk.runs.store import RunPaths, list_runs

BASE_RUN_FACT: Final = "base_run"
"""The fact of a record that names the run with the base model's answers."""


class Gauges:
    """Reads the progress of steps; keeps its place in the event logs.

    Args:
        folder: The demo's folder.
        record: What is known of its steps.
    """

    def __init__(self, folder: DemoFolder, record: Record) -> None:
        self.folder, self.record = folder, record
        self._followers: dict[str, RunFollower] = {}

    def fraction(self, step: Step) -> float:
        """Share of a step that is done, from 0 to 1; 1 only when its files are complete."""
        kind = step.gauge.kind
        if kind == "clips":
            return self._clips()
        if kind == "split":
            manifest = split_dir(dataset_dir(self.folder.data_dir, DATASET)) / "manifest.json"
            return float(manifest.is_file())
        if kind == "train":
            return self._training(step)
        if kind == "eval":
            return self._evaluation(step)
        return self._demo(step) if kind == "demo" else 0.0

    def state(self, step: Step) -> RunState | None:
        """The state of a step's training run; None for other steps and before it exists."""
        if step.gauge.kind != "train" or step.gauge.run is None:
            return None
        paths = RunPaths(self.folder.runs_dir / step.gauge.run)
        if not paths.exists():
            return None
        return self._followers.setdefault(step.gauge.run, RunFollower(paths)).poll()

    def note(self, step: Step) -> str:
        """A few words on what a step has come to: "step 23 of 60"."""
        kind, total = step.gauge.kind, self._total(step)
        done = self.fraction(step) * total
        words = {"clips": "clips", "train": "steps", "eval": "answers", "demo": "commands"}
        return f"{done:.0f} of {total} {words[kind]}" if kind in words and total else ""

    def _clips(self) -> float:
        from vtk.data.presence import find_presence

        return find_presence(self.folder.data_dir, DATASETS[DATASET]).complete_frac

    def _training(self, step: Step) -> float:
        state = self.state(step)
        if state is None:
            return 0.0
        if state.status == "finished":
            return 1.0
        return min(0.99, state.step / max(1, step.gauge.total))

    def _evaluation(self, step: Step) -> float:
        run = self._evaluated_run(step)
        if run is None:
            return 0.0
        folder = run.eval_dir(DATASET)
        results = folder / RESULTS_FILE
        if results.is_file() and read_json(results).get("complete"):
            return 1.0
        return min(0.99, _num_lines(folder / SAMPLES_FILE) / max(1, self._total(step)))

    def _total(self, step: Step) -> int:
        """What a step counts up to."""
        if step.gauge.kind != "eval":
            return step.gauge.total
        held_out = split_file(self.folder.data_dir, DATASET, "validation")
        return step.gauge.total * _num_lines(held_out)

    def _demo(self, step: Step) -> float:
        """Share of a seed's commands that are done; 1 once its numbers are there, too."""
        seed = DemoFolder(self.folder.root / str(step.gauge.run))
        if not seed.record.is_file():
            return 0.0
        num_done = sum(found.is_done for found in read_record(seed.record).steps.values())
        is_done = num_done >= step.gauge.total and seed.results.is_file()
        return 1.0 if is_done else min(0.99, num_done / max(1, step.gauge.total))

    def _evaluated_run(self, step: Step) -> RunPaths | None:
        if step.gauge.run is not None:
            return RunPaths(self.folder.runs_dir / step.gauge.run)
        if BASE_RUN_FACT in self.record.facts:
            return RunPaths(self.folder.runs_dir / self.record.facts[BASE_RUN_FACT])
        runs = list_runs(self.folder.runs_dir)
        return next((run for run in runs if read_json(run.run_json).get("stage") == "eval"), None)


def _num_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0
