"""The scenes of a pretraining, rendered a chunk at a time by worker processes.

Shape suffixes: S scenes, F frames, C channels, H height, W width.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vtk.mini.processes import map_in_processes
from vtk.mini.questions import Question
from vtk.mini.scenes import Scene
from vtk.train.pretrain.data import PretrainScene, draw_scenes

CHUNK_SCENES = 1000
HELD_OUT_SEED = 999
MAX_SCENES = (HELD_OUT_SEED - 1) * CHUNK_SCENES  # so that no chunk is the held-out one
_CHUNKS_PER_SEED = 1_000_000


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Scenes as they travel from a worker: tensors would travel as one open file each."""

    scenes: list[Scene]
    questions: list[tuple[Question, ...]]
    frames_SFCHW: NDArray[np.uint8]


def training_scenes(
    seed: int, count: int, workers: int, on_progress: Callable[[int, int], None]
) -> Iterator[PretrainScene]:
    """The first `count` scenes of a seed, in an order that does not depend on the workers.

    Args:
        seed: Of the pretraining; chunk k of seed 0 is `draw_scenes(k)`, k from 1.
        count: At most `MAX_SCENES`.
        workers: Processes.
        on_progress: Called with (scenes rendered, `count`).

    Raises:
        VtkError: A worker process was killed.
    """
    first = seed * _CHUNKS_PER_SEED + 1
    starts = range(0, count, CHUNK_SCENES)
    tasks = [(first + k, min(CHUNK_SCENES, count - start)) for k, start in enumerate(starts)]
    done = 0
    on_progress(done, count)
    with closing(map_in_processes(_draw_chunk, tasks, workers)) as chunks:
        for _, chunk in chunks:
            done += len(chunk.scenes)
            on_progress(done, count)
            yield from _unpack(chunk)


def held_out_scenes(count: int) -> list[PretrainScene]:
    """Scenes that no pretraining learns from; always the same."""
    return list(draw_scenes(HELD_OUT_SEED, count))


def _draw_chunk(task: tuple[int, int]) -> _Chunk:
    torch.set_num_threads(1)
    seed, count = task
    scenes = list(draw_scenes(seed, count))
    return _Chunk(
        [s.scene for s in scenes],
        [s.questions for s in scenes],
        np.stack([s.frames_FCHW.numpy() for s in scenes]),
    )


def _unpack(chunk: _Chunk) -> Iterator[PretrainScene]:
    frames_SFCHW = torch.from_numpy(chunk.frames_SFCHW)
    for scene, questions, frames in zip(chunk.scenes, chunk.questions, frames_SFCHW, strict=True):
        yield PretrainScene(scene, frames, questions)
