"""T11 and T12: a seed decides a run, and the clip decides what the model sees."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.reliability.bench import Bench
from tests.reliability.figures import Figures
from tests.reliability.kills import numbers
from vtk.config.sections import ModelSettings
from vtk.data.sample import load_samples
from vtk.models.loader import load_policy
from vtk.rollout.prompts import collate_prompts, prepare_prompt
from vtk.video.frames import Clip, FrameSettings, read_clip


def same_seed_same_run(bench: Bench, num_steps: int) -> Figures:
    """Two runs of one seed and one of another."""
    result = Figures("T11", "Same seed, same run; another seed, another run")
    runs = [
        bench.train(
            "cdpo", reference__path=str(bench.world.bias), optim__num_steps=num_steps, seed=seed
        )
        for seed in (1, 1, 2)
    ]
    first, again, other = (numbers(bench, paths, num_steps) for paths in runs)
    result.check(first == again, "two runs of one seed differ")
    for name in first:
        result.check(first[name] != other[name], f"another seed gives the same {name}")
    result.count = f"3 runs of {num_steps} steps"
    result.figures = ["metrics, completions and weights identical; all three differ by seed"]
    return result


def _shuffled(clip: Clip) -> Clip:
    return replace(clip, frames_FCHW=clip.frames_FCHW.flip(0))


def _black(clip: Clip) -> Clip:
    return replace(clip, frames_FCHW=torch.zeros_like(clip.frames_FCHW))


CHANGES: dict[str, Callable[[Clip], Clip]] = {"reversed": _shuffled, "black": _black}


def video_reaches_the_model(bench: Bench) -> Figures:
    """Distance of the next token's logits when only the clip is another."""
    result = Figures("T12", "The video reaches the model: another clip, other logits")
    model, processor = load_policy(bench.world.base, ModelSettings(dtype="float32"))
    model.eval()
    samples = load_samples(bench.world.train_file)
    frames = FrameSettings(8, None, 784, 4704)
    by_clip = {sample.video: sample for sample in samples}
    distances: dict[str, list[float]] = {"the same": [], "another clip": []}
    clips = [(sample, read_clip(Path(video), frames)) for video, sample in by_clip.items()]
    for place, (sample, clip) in enumerate(clips):
        others = {name: change(clip) for name, change in CHANGES.items()}
        others |= {"the same": clip, "another clip": clips[place - 1][1]}
        start_V = _logits(model, processor, sample.problem, clip)
        for name, other in others.items():
            found_V = _logits(model, processor, sample.problem, other)
            distances.setdefault(name, []).append(float((found_V - start_V).abs().max()))
    result.check(max(distances["the same"]) == 0.0, "the same clip gives other logits")
    for name, found in distances.items():
        if name != "the same":
            result.check(min(found) > 0.0, f"{name}: the logits stay")
    result.count = f"{len(clips)} clips"
    result.figures = [f"{name}: {min(f):.2g} to {max(f):.2g}" for name, f in distances.items()]
    return result


def _logits(model: Any, processor: Any, problem: str, clip: Clip) -> Tensor:
    prompt = collate_prompts([prepare_prompt(processor, problem, clip, "mini")], 0)
    with torch.no_grad():
        logits_V: Tensor = model(**prompt.model_inputs(), logits_to_keep=1).logits[0, -1]
    return logits_V
