"""Real causes why one question fails: a clip that takes too long, a word that a model cannot bear,
memory that runs out, and models that say nothing or never end."""

import json
import resource
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from tests.reliability.bench import Bench, teach
from tests.reliability.memory import MIB, mapped_bytes
from vtk.config.sections import ModelSettings
from vtk.models.loader import load_policy

SLOW_PX, SLOW_FRAMES = 4000, 1400
MARK = "☃"
"""A sign that one question holds and no other: what a model cannot bear is tied to it."""


def write_slow(path: Path) -> None:
    """A clip of 11 MB that takes some 20 s to read: each of its large frames needs the one before.

    The second frame's packet says "as before", so that it stands for all later ones.
    """
    path.unlink()
    with av.open(str(path), "w", format="mp4") as out:
        stream: Any = out.add_stream("mpeg4", rate=30, options={"g": "9999"})
        stream.width = stream.height = SLOW_PX
        stream.pix_fmt = "yuv420p"
        pixels = np.full((SLOW_PX, SLOW_PX, 3), 90, np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        packets: list[Any] = []
        for number in range(2):
            frame.pts = number
            packets += stream.encode(frame)
        first, second = packets + list(stream.encode(None))
        out.mux(first)
        for number in range(1, SLOW_FRAMES):
            packet = av.Packet(bytes(second))
            packet.stream, packet.time_base = stream, Fraction(1, 30)
            packet.pts = packet.dts = number
            packet.duration = 1
            out.mux(packet)


def poisoned(base: Path, folder: Path) -> Path:
    """A model whose word for `MARK` is no number; its head is its own, so no other word changes."""
    model, processor = load_policy(base, ModelSettings(path=str(base), dtype="float32"))
    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach().clone())
    token = processor.tokenizer.encode(MARK)[0]
    with torch.no_grad():
        model.get_input_embeddings().weight[token] = torch.nan
    _save_untied(model, processor, folder)
    return folder


def _save_untied(model: Any, processor: Any, folder: Path) -> None:
    for config in (model.config, model.config.text_config):
        config.tie_word_embeddings = False
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def terse_or_endless(bench: Bench, folder: Path) -> Path:
    """A model that says nothing, or answers, or goes on until it is cut."""
    base = bench.world.base
    model, processor = load_policy(base, ModelSettings(path=str(base), dtype="float32"))
    model.train()
    answer = "<think>a</think><answer>A</answer><|im_end|>"
    teach(model, processor, bench.world.train_file, ["<|im_end|>", answer, "a " * 40])
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def limit_memory_at_the_first_answer(spare_mib: int, told: Path) -> Callable[[], None]:
    """What makes the kernel refuse a process more than this, from its first batch on.

    Args:
        spare_mib: MiB of address space beyond what it has by then.
        told: Gets the number of questions of each batch that was refused memory, one a line.
    """

    def patch() -> None:
        from vtk.evals.backends import TransformersBackend

        patched: Any = TransformersBackend
        original = patched.answer
        is_limited = False

        def answer(self: Any, prompts: Any, *rest: Any) -> Any:
            nonlocal is_limited
            if not is_limited:
                is_limited, limit = True, mapped_bytes() + spare_mib * MIB
                resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            try:
                return original(self, prompts, *rest)
            except (RuntimeError, MemoryError):
                with told.open("a") as stream:
                    stream.write(f"{len(prompts)}\n")
                raise

        patched.answer = answer

    return patch


def mark_questions(questions: Path, marked: int, long: int) -> None:
    """Give one question a sign of its own, and make another one long.

    Args:
        questions: A file of questions, changed in place.
        marked: Place of the one that gets `MARK`.
        long: Place of the one that becomes long.
    """
    rows = [json.loads(line) for line in questions.read_text().splitlines()]
    for place, added in ((marked, MARK), (long, "really " * 60)):
        question, _, options = rows[place]["problem"].partition("\n")
        rows[place]["problem"] = f"{question} {added}\n{options}"
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
