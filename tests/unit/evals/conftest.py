"""Questions, rows and a scripted model for the evaluation's tests."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from vtk.data.sample import VideoSample
from vtk.errors import DataError
from vtk.evals import backends
from vtk.evals.backends import TransformersBackend
from vtk.evals.record import EvalRow
from vtk.evals.settings import EvaluationSettings
from vtk.rollout.engines import ENGINES
from vtk.rollout.generate import Rollout, SamplingSettings
from vtk.video.cache import ClipCache
from vtk.video.frames import Clip, FrameSettings

FRAMES = FrameSettings(num_frames=2, fps=None, min_pixels_px=784, max_pixels_px=784)
GREEDY = SamplingSettings(max_completion_tokens=8, temperature=0.0)
SAMPLED = SamplingSettings(max_completion_tokens=8, temperature=1.0)


def make_row(sample_id: str = "q0", **changes: Any) -> EvalRow:
    """A correct answer to a single-letter observational question, changed as asked."""
    fields: dict[str, Any] = {
        "sample_id": sample_id,
        "draw": 0,
        "clip_id": "clip0",
        "label": "observational",
        "polarity": "will",
        "num_correct": 1,
        "num_options": 2,
        "problem": "What will happen?\nA. x\nB. y",
        "solution": "A",
        "completion": "<think>x</think><answer>A</answer>",
        "num_tokens": 9,
        "is_truncated": False,
        "parsed": "A",
        "status": "ok",
        "lenient_parsed": "A",
        "strict": 1.0,
        "partial": 1.0,
        "per_option": 1.0,
        "lenient": 1.0,
        "format": 1.0,
        "strategy": "describe",
        "video_sha256": "0" * 64,
        "decoder": "pyav",
        "timestamps_s": [0.0, 0.5],
        "error": None,
    }
    return EvalRow(**(fields | changes))


WRONG = {"strict": 0.0, "partial": 0.0, "per_option": 0.0, "lenient": 0.0, "parsed": "B"}
FAILED = {
    **WRONG,
    "parsed": None,
    "status": "error",
    "completion": None,
    "num_tokens": None,
    "format": 0.0,
    "strategy": None,
    "error": {"kind": "decode", "type": "DataError", "message": "no video"},
}


@dataclass
class Script:
    """What the scripted model says and where it fails.

    Attributes:
        samples: The questions.
        settings: How they are asked; four at once.
        bad_clips: Names of clips that cannot be read.
        slow_clips: Names of clips that are not read before `is_over`.
        is_over: Set once the test has ended.
        bad_prompts: Questions whose prompt cannot be prepared.
        refused: Questions on which generation fails, alone or in company.
        refused_together: Whether generation fails for every batch of more than one question.
        fault: What generation raises.
        calls: The questions of each call of generate that was tried, with their seeds.
    """

    samples: list[VideoSample]
    settings: EvaluationSettings
    bad_clips: set[str] = field(default_factory=set)
    slow_clips: set[str] = field(default_factory=set)
    is_over: threading.Event = field(default_factory=threading.Event)
    bad_prompts: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    refused_together: bool = False
    fault: Exception = field(default_factory=lambda: RuntimeError("engine broke"))
    calls: list[tuple[list[str], list[int]]] = field(default_factory=list)

    @property
    def backend(self) -> TransformersBackend:
        """Something with parameters on a device, never called, and with a padding token."""
        processor: Any = SimpleNamespace(tokenizer=SimpleNamespace(pad_token_id=0))
        return TransformersBackend(torch.nn.Linear(1, 1), processor)


class Words(str):
    """A prompt that is only its words, and two visual tokens."""

    mm_token_type_ids = torch.tensor([[0, 2, 2, 0]])


def scripted_text(problem: str, seed: int | None) -> str:
    """An answer that depends on the question and, when sampling, on its seed."""
    digest = hashlib.sha256(f"{problem}:{seed}".encode()).digest()
    strategy = "I see" if digest[0] % 2 else "Without red"
    answer = ("A", "B", "A,B", "the cube", "C")[digest[1] % 5]
    return f"<think>{strategy} it.</think><answer>{answer}</answer>"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """Twelve questions about four clips and a model that answers by a table."""
    samples = []
    for index in range(12):
        video = tmp_path / f"clip{index // 3}.mp4"
        video.write_bytes(f"video {index // 3}".encode())
        solution = ("A", "B", "A,B")[index % 3]
        samples.append(
            VideoSample(
                sample_id=f"q{index:02d}",
                problem=f"Question {index}?\nA. x\nB. y",
                solution=solution,
                video=video,
                clip_id=video.stem,
                options=("x", "y"),
                label="inferential" if index % 4 == 0 else "observational",
                polarity="will",
                num_correct=len(solution.split(",")),
            )
        )
    settings = EvaluationSettings(
        template="mini",
        frames=FRAMES,
        sampling=GREEDY,
        batch_size=4,
        engine="reference",
        has_strategies=True,
    )
    found = Script(samples, settings)
    ids = {sample.problem: sample.sample_id for sample in samples}

    def read(self: ClipCache, path: Path, frames: FrameSettings) -> Clip:
        if path.stem in found.bad_clips:
            raise DataError(f"the video {path} is damaged")
        if path.stem in found.slow_clips:
            found.is_over.wait()
        return Clip(
            torch.zeros(2, 3, 28, 28, dtype=torch.uint8), (0.0, 0.5), 2.0, 2, "pyav", (0, 1)
        )

    def prepare(processor: Any, problem: str, *rest: Any) -> str:
        if ids[problem] in found.bad_prompts:
            raise DataError("the prompt has 9 tokens; at most 8 are accepted")
        return Words(problem)

    def answer(
        model: Any,
        processor: Any,
        problems: list[str],
        sampling: SamplingSettings,
        num_draws: int,
        generator_seed: list[int],
        should_stop: Callable[[], bool],
    ) -> Rollout:
        asked = [ids[problem] for problem in problems]
        found.calls.append((asked, generator_seed))
        if found.refused & set(asked) or (found.refused_together and len(asked) > 1):
            raise found.fault
        texts = [
            scripted_text(problem, None if sampling.is_greedy else seed + draw)
            for problem, seed in zip(problems, generator_seed, strict=True)
            for draw in range(num_draws)
        ]
        return Rollout([[1, 2]] * len(texts), texts, [False] * len(texts))

    monkeypatch.setattr(ClipCache, "read", read)
    monkeypatch.setattr(backends, "prepare_prompt", prepare)
    monkeypatch.setattr(backends, "collate_prompts", lambda prompts, _: list(prompts))
    monkeypatch.setitem(ENGINES, "reference", answer)
    yield found
    found.is_over.set()
