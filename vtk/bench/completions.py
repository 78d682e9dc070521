"""A run directory full of completions, to measure how fast they are looked through."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from vtk.runs.store import RunPaths, create_run
from vtk.runs.token_columns import pack_token_chars, pack_token_kl
from vtk.runs.writer import EventWriter

NUM_GENERATIONS: Final = 8
GROUPS_A_STEP: Final = 6
_PHASES: Final = ("decode", "generate", "score", "update")
_SENTENCE: Final = "I see the red cube hit the green ball, and the ball go left. "
_NUM_TOKENS: Final = 64


def write_completions(
    runs_dir: Path, num_completions: int, on_step: Callable[[], None] | None = None
) -> RunPaths:
    """A finished run of at least so many completions, rows and events as a trainer writes them.

    Args:
        runs_dir: Where the run is made.
        num_completions: About a kilobyte each, 48 a step as with the preset `tiny`.
        on_step: Called after each step.
    """
    draw = random.Random(0)
    num_steps = steps_for(num_completions)
    config = {"rollout": {"num_generations": NUM_GENERATIONS}, "optim": {"num_steps": num_steps}}
    paths = create_run(runs_dir, "cdpo", "completions", config=config)
    with EventWriter(paths) as events:
        for step in range(1, num_steps + 1):
            for name in _PHASES:
                events.phase(name)
            groups = range((step - 1) * GROUPS_A_STEP, step * GROUPS_A_STEP)
            rows = [_row(step, g, k, draw) for g in groups for k in range(NUM_GENERATIONS)]
            events.rollouts(step, rows)
            events.step(step, {"reward/mean": 1.0, "kl/signed": 0.1})
            if on_step is not None:
                on_step()
        events.finish("finished")
    return paths


def steps_for(num_completions: int) -> int:
    """Steps that hold at least so many completions."""
    return -(-num_completions // (GROUPS_A_STEP * NUM_GENERATIONS))


def _row(step: int, group: int, generation: int, draw: random.Random) -> dict[str, Any]:
    right = draw.random() < 0.5
    letter = "A" if right else "B"
    completion = f"<think>{_SENTENCE * 5}</think><answer>{letter}</answer>"
    lengths = [len(completion) // _NUM_TOKENS] * (_NUM_TOKENS - 1)
    lengths.append(len(completion) - sum(lengths))
    signed_kl = [draw.gauss(0.1, 0.4) for _ in range(_NUM_TOKENS)]
    return {
        "step": step,
        "group": group,
        "sample_id": f"train-{group:05d}-{group % 4}",
        "clip_id": f"train/video_{group:05d}",
        "video": f"/data/clevrer-mini/videos/train/video_00000-01000/video_{group:05d}.mp4",
        "timestamps_s": [round(0.32 * frame, 6) for frame in range(16)],
        "frames": None,
        "label": "inferential" if group % 4 == 0 else "observational",
        "num_correct": 1,
        "num_options": 2,
        "problem": f"What happens without object {group}?\nA. The cube falls\nB. The ball rolls",
        "solution": "A",
        "generation": generation,
        "completion": completion,
        "num_tokens": _NUM_TOKENS,
        "is_truncated": False,
        "reward": 1.0 + right,
        "reward_accuracy": float(right),
        "reward_format": 1.0,
        "parsed": letter,
        "status": "ok",
        "strict": float(right),
        "advantage": 0.9 if right else -0.9,
        "signed_kl": sum(signed_kl) / _NUM_TOKENS,
        "token_kl": pack_token_kl(signed_kl),
        "token_chars": pack_token_chars(lengths),
    }
