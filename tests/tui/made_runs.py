"""Run directories made by the real writer, with completions of our choice."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vtk.runs.frame_strip import FrameStrip, encode_strip
from vtk.runs.store import RunPaths, create_run
from vtk.runs.token_columns import pack_token_chars, pack_token_kl
from vtk.runs.writer import EventWriter

STRIP_NAME = "00c0ffee00c0ffee.png"
NUM_GENERATIONS = 4

Row = dict[str, Any]


def row(step: int, group: int, generation: int, **changes: Any) -> Row:
    """A row as the trainer writes it; completion 0 is right, the others are wrong."""
    is_right = generation == 0
    completion = f"<think>group {group}</think>\n<answer>{'B' if is_right else '[A]'}</answer>"
    found: Row = {
        "step": step,
        "group": group,
        "sample_id": f"train-{group:05d}-1",
        "clip_id": f"train/video_{group:05d}",
        "video": f"/data/video_{group:05d}.mp4",
        "timestamps_s": [0.0, 1.25],
        "frames": STRIP_NAME,
        "label": "inferential" if group % 2 else "observational",
        "polarity": "will",
        "num_correct": 1,
        "num_options": 2,
        "problem": f"What happens in group {group}?\nA. nothing\nB. the [red] cube falls",
        "solution": "B",
        "generation": generation,
        "completion": completion,
        "num_tokens": 3,
        "is_truncated": False,
        "reward": 2.0 if is_right else 1.0,
        "reward_accuracy": 1.0 if is_right else 0.0,
        "reward_format": 1.0,
        "parsed": "B" if is_right else "A",
        "status": "ok",
        "strict": 1.0 if is_right else 0.0,
        "advantage": 1.5 if is_right else -0.5,
        "signed_kl": 0.1 * group,
        "entropy": 0.5,
    }
    found |= changes
    if "token_chars" not in changes:
        length = len(found["completion"])
        lengths = [length // 2, length - length // 2, 0]
        found["token_chars"] = pack_token_chars(lengths) if length < 60_000 else None
        found["token_kl"] = pack_token_kl([2.0, -0.7, 0.0])
    return found


def group(step: int, number: int, **changes: Any) -> list[Row]:
    """One group's rows."""
    return [row(step, number, generation, **changes) for generation in range(NUM_GENERATIONS)]


def write_run(
    runs_dir: Path,
    name: str,
    steps: Mapping[int, Sequence[Row]],
    *,
    metrics: Callable[[int], Mapping[str, float]] = lambda step: {"reward/mean": step / 10},
    config: Mapping[str, Any] | None = None,
    ends_as: str | None = "finished",
    stage: str = "cdpo",
) -> RunPaths:
    """A run with these steps; without `ends_as` it ends like one whose process was killed."""
    settings = {
        "rollout": {"num_generations": NUM_GENERATIONS},
        "optim": {"num_steps": max(steps, default=1)},
    } | dict(config or {})
    paths = create_run(runs_dir, stage, name, argv=["vtk", "train"], config=settings)
    write_strip(paths)
    with EventWriter(paths) as writer:
        for step, rows in steps.items():
            writer.rollouts(step, rows)
            writer.step(step, metrics(step))
        if ends_as is not None:
            writer.finish(ends_as)
    return paths


def write_strip(paths: RunPaths, name: str = STRIP_NAME) -> FrameStrip:
    """Two frames of 8 by 4 pixels: the first red, the second white above black."""
    red, white, black = b"\xff\x00\x00", b"\xff\xff\xff", b"\x00\x00\x00"
    rows = [8 * red + 8 * (white if line < 2 else black) for line in range(4)]
    strip = FrameStrip(8, 4, (0, 3), (0.0, 1.25), 4, b"".join(rows))
    paths.frames_dir.mkdir(parents=True, exist_ok=True)
    (paths.frames_dir / name).write_bytes(encode_strip(strip))
    return strip


def plain_steps(num_steps: int, num_groups: int = 2) -> dict[int, list[Row]]:
    """Steps with so many ordinary groups each."""
    return {
        step: [
            one
            for place in range(num_groups)
            for one in group(step, (step - 1) * num_groups + place)
        ]
        for step in range(1, num_steps + 1)
    }
