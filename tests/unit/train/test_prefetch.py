"""Preparing ahead: what is given, in which order, with which faults, and what is left behind."""

import threading
from itertools import pairwise
from pathlib import Path

import pytest
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler

from vtk.data.sample import VideoSample
from vtk.errors import DataError
from vtk.train.dataset import PromptSampler
from vtk.train.prefetch import Prefetch, next_places


def _samples(*names: str) -> list[VideoSample]:
    return [
        VideoSample(
            sample_id=name,
            problem="?",
            solution="A",
            video=Path(name),
            clip_id=name,
            options=("x", "y"),
        )
        for name in names
    ]


class Kitchen:
    """Prepares by name, notes where, and can be made to wait."""

    def __init__(self) -> None:
        self.prepared: list[tuple[str, str]] = []
        self.is_open = threading.Event()
        self.is_open.set()
        self.has_begun = threading.Event()

    def prepare(self, sample: VideoSample) -> str:
        thread = threading.current_thread().name.rpartition("_")[0]
        self.prepared.append((sample.sample_id, thread))
        self.has_begun.set()
        assert self.is_open.wait(30)
        if sample.sample_id.startswith("bad"):
            raise DataError(f"{sample.sample_id} is damaged")
        return sample.sample_id.upper()


def _results(prefetch: Prefetch[str], samples: list[VideoSample]) -> list[str]:
    found = []
    for result in prefetch.take(samples):
        try:
            found.append(result())
        except DataError as fault:
            found.append(fault.message)
    return found


@pytest.fixture(autouse=True)
def _no_thread_left() -> object:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def test_what_was_foreseen_comes_in_order_and_from_the_thread() -> None:
    kitchen = Kitchen()
    prefetch = Prefetch(kitchen.prepare)
    batch = _samples("a", "bad", "b")
    prefetch.begin(batch)
    assert _results(prefetch, batch) == ["A", "bad is damaged", "B"]
    assert kitchen.prepared == [(name, "vtk-prefetch") for name in ("a", "bad", "b")]
    assert prefetch.num_foreseen == 3
    prefetch.close()


def test_what_was_not_foreseen_is_prepared_in_place_with_the_same_result() -> None:
    kitchen = Kitchen()
    prefetch = Prefetch(kitchen.prepare)
    batch = _samples("a", "bad", "b")
    assert _results(prefetch, batch) == ["A", "bad is damaged", "B"]
    prefetch.begin(_samples("x", "y"))
    assert _results(prefetch, batch) == ["A", "bad is damaged", "B"]
    assert prefetch.num_foreseen == 0
    assert {name for name, thread in kitchen.prepared if thread == ""} == {"a", "bad", "b"}
    prefetch.close()


def test_nothing_is_prepared_twice_or_further_ahead_than_one_batch() -> None:
    kitchen = Kitchen()
    prefetch = Prefetch(kitchen.prepare)
    batches = [_samples("a", "b"), _samples("b", "c"), []]
    prefetch.begin(batches[0])
    for batch, following in pairwise(batches):
        assert _results(prefetch, batch) == [one.sample_id.upper() for one in batch]
        prefetch.begin(following)
    assert [name for name, _ in kitchen.prepared] == ["a", "b", "b", "c"]
    prefetch.close()


def test_closing_waits_for_one_question_and_drops_the_rest() -> None:
    kitchen = Kitchen()
    kitchen.is_open.clear()
    prefetch = Prefetch(kitchen.prepare)
    prefetch.begin(_samples("a", "b", "c"))
    assert kitchen.has_begun.wait(30)
    opener = threading.Timer(0.05, kitchen.is_open.set)
    opener.start()
    prefetch.close()
    opener.join()
    assert [name for name, _ in kitchen.prepared] == ["a"]
    prefetch.close()


@pytest.mark.parametrize("num_processes", [1, 3])
def test_the_next_places_are_what_the_library_hands_out(num_processes: int) -> None:
    """Two questions a pass with four completions each, sharded as accelerate shards them."""
    num_prompts = 2 * num_processes * 5
    sampler = PromptSampler(num_prompts, num_generations=4)
    for rank in range(num_processes):
        batches = BatchSampler(sampler, batch_size=8, drop_last=False)
        shard = BatchSamplerShard(batches, num_processes=num_processes, process_index=rank)
        passes = [batch[::4] for batch in shard]
        assert len(passes) == 5
        following = [next_places(places, num_processes, num_prompts) for places in passes]
        assert following == [*passes[1:], []]
