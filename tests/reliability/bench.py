"""A small world, models that can answer, and a bench to train them on in this process.

The models have the tiny architecture. A few steps of likelihood on
`<think>a</think><answer>A</answer>` and its variants are enough for completions that are well
formed and differ, so that rewards, advantages and gradients are not all zero.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from vtk.config.loading import load_config
from vtk.data.sample import load_samples
from vtk.launch import create_training_run
from vtk.models.tiny import build_tiny_model
from vtk.rollout.prompts import collate_prompts, prepare_prompt
from vtk.runs.files import read_json
from vtk.runs.reader import EventTail, read_rollouts
from vtk.runs.store import RunPaths
from vtk.runs.writer import EventWriter
from vtk.train.callbacks import StopSignal
from vtk.train.checkpoint import CheckpointStore
from vtk.train.forward import ScoringBatch, pad_completions, score_completions
from vtk.train.inputs import TrainingInputs, read_config
from vtk.train.stages import Attempt, run_attempt
from vtk.video.frames import FrameSettings, read_clip

OnEvent = Callable[[str, dict[str, Any], StopSignal], None]


@dataclass(frozen=True)
class World:
    """Where everything of the tests lies."""

    data_dir: Path
    base: Path
    bias: Path

    @property
    def train_file(self) -> Path:
        """The training questions."""
        return self.data_dir / "clevrer-mini" / "split" / "train.jsonl"


def make_world(root: Path) -> World:
    """Six clips with their questions, a base model and a bias model that prefers one answer."""
    torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other
    _write_questions(root / "data")
    made = World(root / "data", root / "base", root / "bias")
    model, processor = build_tiny_model(seed=0)
    for folder, letters in ((made.base, "AB"), (made.bias, "AAB")):
        texts = [
            f"<think>{thought}</think><answer>{letter}</answer><|im_end|>"
            for thought in "ab"
            for letter in letters
        ]
        teach(model, processor, made.train_file, texts)
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
    return made


def _write_questions(data_dir: Path) -> None:
    from vtk.cli.app import main
    from vtk.mini.world import WorldSettings, write_world

    write_world(data_dir / "clevrer-mini", WorldSettings(4, num_validation_scenes=2, seed=3))
    assert main(["split", "clevrer-mini", "--data-dir", str(data_dir), "--json"]) == 0


def teach(model: Any, processor: Any, questions: Path, texts: Sequence[str]) -> None:
    """A few steps of likelihood on some completions, each as an answer to every question."""
    samples = load_samples(questions)[:8]
    clip = read_clip(samples[0].video, FrameSettings(4, None, 784, 1568))
    targets = [processor.tokenizer.encode(text) for text in texts]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(25):
        prompt = prepare_prompt(processor, samples[step % len(samples)].problem, clip, "mini")
        batch = ScoringBatch(collate_prompts([prompt], 0), *pad_completions(targets, [], 0))
        loss = -score_completions(model, batch).logps_NL.sum() / batch.completion_mask_NL.sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


class _WatchedWriter(EventWriter):
    """Tells a test of each event after it was written."""

    on_event: Callable[[str, dict[str, Any]], None] | None = None

    def emit(self, type: str, **payload: Any) -> None:
        super().emit(type, **payload)
        if self.on_event is not None:
            self.on_event(type, payload)


class Bench:
    """Creates runs, makes attempts at them in this process, and reads what they left.

    Args:
        world: Data and models.
        folder: Where runs go.
    """

    SETTINGS: ClassVar[dict[str, Any]] = {
        "seed": 5,
        "video.num_frames": 4,
        "video.min_pixels_px": 784,
        "video.max_pixels_px": 1568,
        "rollout.num_generations": 4,
        "rollout.max_completion_tokens": 10,
        "rollout.engine": "shared",
        "optim.prompts_per_device": 2,
        "optim.num_steps": 4,
        "optim.learning_rate": 1e-3,
        "optim.schedule": "linear",
        "optim.warmup_steps": 2,
        "checkpoint.every_steps": 0,
        "checkpoint.keep": 5,
        "eval.num_samples": 4,
        "eval.max_completion_tokens": 10,
        "guards.entropy_floor": "none",
        "guards.format_floor": "none",
    }
    """On top of the preset `tiny`: seconds, not minutes."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.runs_dir = world, folder / "runs"

    def new_run(self, stage: str, name: str | None = None, **settings: Any) -> RunPaths:
        """A run that has not begun; settings are keywords with `__` for the dot."""
        given = {key.replace("__", "."): value for key, value in settings.items()}
        overrides = self.SETTINGS | {"model.path": str(self.world.base)} | given
        resolved = load_config(stage, "tiny", None, overrides, environ={})
        return create_training_run(
            resolved, data_dir=self.world.data_dir, runs_dir=self.runs_dir, name=name
        )

    def attempt(self, paths: RunPaths, on_event: OnEvent | None = None) -> None:
        """One attempt, from the newest checkpoint; what stops it rises."""
        step, _ = CheckpointStore(paths, num_kept=1).newest_good()
        stop = StopSignal()
        with _WatchedWriter(paths, step) as events:
            if on_event is not None:
                events.on_event = lambda type, payload: on_event(type, payload, stop)
            inputs = TrainingInputs.from_run(read_json(paths.run_json))
            run_attempt(Attempt(paths, read_config(paths), inputs, step, events, stop))
            events.finish("finished")

    def train(self, stage: str, **settings: Any) -> RunPaths:
        """A run from its first step to its last."""
        paths = self.new_run(stage, **settings)
        self.attempt(paths)
        return paths

    @staticmethod
    def events(paths: RunPaths, type: str) -> list[dict[str, Any]]:
        """All events of a type, in order."""
        return [event for event in EventTail(paths.events).poll() if event["type"] == type]

    def numbers(self, paths: RunPaths) -> dict[int, dict[str, float]]:
        """Each step's metrics without times; a repeated step counts as it was last."""
        return {
            event["step"]: {
                name: value
                for name, value in event["metrics"].items()
                if not name.startswith(("perf/", "gpu/"))
            }
            for event in self.events(paths, "step")
        }

    @staticmethod
    def rows(paths: RunPaths, steps: Sequence[int]) -> list[dict[str, Any]]:
        """The recorded completions of some steps."""
        return [row for step in steps for row in read_rollouts(paths.rollout_file(step))[0]]

    @staticmethod
    def model_hash(paths: RunPaths, step: int) -> str:
        """sha256 of a checkpoint's weights file, from its manifest."""
        files = read_json(paths.checkpoint_dir(step) / "manifest.json")["files"]
        return str(next(files[name]["sha256"] for name in files if "model.safetensors" in name))

    def damaged_questions(self, num_damaged: int) -> tuple[Path, list[str]]:
        """The training questions, the first few about a broken clip; and these one's ids."""
        rows = [json.loads(line) for line in self.world.train_file.read_text().splitlines()]
        root = self.runs_dir.parent / "damaged"
        (root / "split").mkdir(parents=True)
        shutil.copytree(self.world.data_dir / "clevrer-mini" / "videos", root / "videos")
        (root / "broken.mp4").write_bytes(b"this is not a video")
        for row in rows[:num_damaged]:
            row["video"] = "broken.mp4"
        path = root / "split" / "train.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        return path, [row["sample_id"] for row in rows[:num_damaged]]
