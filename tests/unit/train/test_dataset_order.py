"""Which questions are trained on, in which order."""

from collections import Counter
from pathlib import Path

import pytest

from vtk.data.sample import VideoSample
from vtk.train.dataset import PromptSampler, choose_samples, derive_seed, epoch_order, run_order


def _samples(num: int) -> list[VideoSample]:
    """Three observational questions for each inferential one."""
    return [
        VideoSample(
            sample_id=f"s{i}",
            problem="Q\nA. a\nB. b",
            solution="A",
            video=Path("/v.mp4"),
            clip_id="c",
            options=("a", "b"),
            label="inferential" if i % 4 == 0 else "observational",
            num_correct=1,
        )
        for i in range(num)
    ]


def test_each_epoch_asks_every_question_once_in_its_own_order() -> None:
    indices = run_order(num_samples=5, num_prompts=12, seed=0)
    epochs = [indices[:5], indices[5:10], indices[10:]]
    assert sorted(epochs[0]) == sorted(epochs[1]) == [0, 1, 2, 3, 4]
    assert epochs[0] != epochs[1]
    assert epochs[2] == epoch_order(5, 0, 2)[:2]


def test_groups_stay_together() -> None:
    sampler = PromptSampler(num_prompts=4, num_generations=2)
    assert list(sampler) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert len(sampler) == 8


def test_the_order_follows_from_the_seed() -> None:
    orders = [run_order(20, 20, seed) for seed in (1, 1, 2)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert run_order(20, 7, 1) == orders[0][:7]


def test_seeds_differ_by_place_and_purpose() -> None:
    seeds = {
        derive_seed(seed, purpose, step, rank)
        for seed in (0, 1)
        for purpose in ("rollout", "update")
        for step in range(20)
        for rank in range(4)
    }
    assert len(seeds) == 2 * 2 * 20 * 4
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(1, "rollout", 12) != derive_seed(11, "rollout", 2)


@pytest.mark.parametrize("stratify", [False, True])
def test_a_choice_keeps_the_files_order_and_holds_smaller_ones(stratify: bool) -> None:
    samples = _samples(40)
    small, large = (choose_samples(samples, n, stratify, seed=3) for n in (10, 20))
    assert len(small) == 10
    assert {s.sample_id for s in small} <= {s.sample_id for s in large}
    assert small == [s for s in samples if s in small]
    assert choose_samples(samples, None, stratify, 0) == choose_samples(samples, 99, stratify, 0)


def test_stratified_choice_keeps_the_shares() -> None:
    chosen = choose_samples(_samples(400), 40, stratify=True, seed=0)
    assert Counter(s.label for s in chosen) == {"observational": 30, "inferential": 10}


def test_the_choice_follows_from_the_seed() -> None:
    samples = _samples(40)
    assert choose_samples(samples, 5, False, 1) != choose_samples(samples, 5, False, 2)
