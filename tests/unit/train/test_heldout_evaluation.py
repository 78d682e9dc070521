"""Held-out evaluation during training: two real processes ask and answer as one does."""

import json
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vtk.config.loading import load_config
from vtk.data.registry import get_dataset
from vtk.data.sample import load_samples
from vtk.data.split import SplitOptions, split_dataset
from vtk.evals.backends import TransformersBackend
from vtk.mini.world import WorldSettings, write_world
from vtk.models.loader import load_policy
from vtk.models.tiny import build_tiny_model
from vtk.runs.reader import EventTail
from vtk.runs.store import RunPaths, create_run
from vtk.runs.writer import EventWriter
from vtk.system.together import run_together
from vtk.train.evaluation import HeldOutEvaluation
from vtk.train.reporting import Reporter
from vtk.video.cache import ClipCache

pytestmark = pytest.mark.slow

Batches = list[list[list[int]]]

PROGRAM = """
import sys
from pathlib import Path
from accelerate import PartialState
from vtk.evals.backends import TransformersBackend
from tests.unit.train.test_heldout_evaluation import evaluate, noting
state = PartialState(cpu=True)
TransformersBackend.answer = noting(TransformersBackend.answer, batches := [])
evaluate(Path(sys.argv[1]), batches, state.process_index, state.num_processes)
state.destroy_process_group()
"""
SETTINGS = {
    "eval.num_samples": 7,
    "eval.batch_size": 2,
    "eval.temperature": 1.0,
    "eval.max_completion_tokens": 8,
    "video.num_frames": 4,
}


def evaluate(folder: Path, batches: Batches, rank: int, count: int) -> None:
    """Evaluate as one of several processes; leaves an event, and what was asked together."""
    config = load_config("grpo", "tiny", None, SETTINGS, environ={}).config
    run = RunPaths(folder / "runs" / f"of-{count}")
    collector: Any = SimpleNamespace(clips=ClipCache(1 << 26))
    with EventWriter(run) if rank == 0 else nullcontext() as events:
        evaluation = HeldOutEvaluation(
            *load_policy(folder / "model", config.model),
            config,
            load_samples(folder / "questions.jsonl"),
            "clevrer-mini",
            collector=collector,
            reporter=Reporter(events),
            should_stop=lambda: False,
            rank=rank,
            num_processes=count,
        )
        evaluation(0)
    (folder / f"{rank}-of-{count}.json").write_text(json.dumps(batches))


def noting(answer: Any, batches: Batches) -> Any:
    """The backend's way to answer, which also notes the prompts of each batch."""

    def noted(self: Any, prompts: Any, *rest: Any) -> Any:
        batches.append([prompt.inputs.input_ids_1P[0].tolist() for prompt in prompts])
        return answer(self, prompts, *rest)

    return noted


def _result(folder: Path, count: int) -> dict[str, Any]:
    events = EventTail(RunPaths(folder / "runs" / f"of-{count}").events).poll()
    (found,) = [event for event in events if event["type"] == "eval_result"]
    return {name: value for name, value in found.items() if name not in ("time", "mono", "seq")}


def _batches(folder: Path, count: int) -> list[Batches]:
    return [json.loads((folder / f"{rank}-of-{count}.json").read_text()) for rank in range(count)]


def test_two_processes_share_out_whole_batches_and_find_what_one_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_world(tmp_path, WorldSettings(num_scenes=1, num_validation_scenes=3, seed=1))
    split_dataset(tmp_path, get_dataset("clevrer-mini"), SplitOptions())
    shutil.copyfile(tmp_path / "split" / "validation.jsonl", tmp_path / "questions.jsonl")
    for part in build_tiny_model(seed=0):
        part.save_pretrained(tmp_path / "model")
    for count in (1, 2):
        create_run(tmp_path / "runs", "grpo", f"of-{count}")
    noted: Batches = []
    monkeypatch.setattr(TransformersBackend, "answer", noting(TransformersBackend.answer, noted))
    evaluate(tmp_path, noted, 0, 1)
    run_together([sys.executable, "-c", PROGRAM, str(tmp_path)], 2, "again", is_captured=True)
    (alone,), (first, second) = _batches(tmp_path, 1), _batches(tmp_path, 2)
    assert [len(batch) for batch in alone] == [2, 2, 2, 1]
    assert sorted(first + second) == sorted(alone)
    assert min(len(first), len(second)) > 0
    found = _result(tmp_path, 1)
    assert found["per_type"]["all"]["n"] == 7
    assert _result(tmp_path, 2) == found
