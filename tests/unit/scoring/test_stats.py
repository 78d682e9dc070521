"""Intervals cover, quantiles are the tabled ones, degenerate cases say so."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from vtk.scoring.stats import (
    clustered_mean,
    paired_difference,
    questions_to_resolve,
    sign_flip_p_value,
    t_cdf,
    t_quantile,
    wilson_interval,
)

# Critical values at 97.5 % from the table in NIST's e-Handbook of Statistical Methods, 1.3.6.7.2.
TABLED_T = {1: 12.706, 2: 4.303, 3: 3.182, 5: 2.571, 10: 2.228, 29: 2.045, 60: 2.000, 100: 1.984}


@pytest.mark.parametrize("degrees", TABLED_T)
def test_t_quantiles_are_the_tabled_ones(degrees: int) -> None:
    assert t_quantile(0.975, degrees) == pytest.approx(TABLED_T[degrees], abs=6e-4)


def test_t_quantiles_with_one_and_two_degrees_have_closed_forms() -> None:
    for p in (0.6, 0.9, 0.975, 0.999):
        assert t_quantile(p, 1) == pytest.approx(math.tan(math.pi * (p - 0.5)), rel=1e-9)
        a = 4 * p * (1 - p)
        assert t_quantile(p, 2) == pytest.approx(2 * (p - 0.5) * math.sqrt(2 / a), rel=1e-9)


def test_the_two_branches_of_the_t_quantile_meet() -> None:
    assert t_cdf(t_quantile(0.975, 401), 401) == pytest.approx(0.975, abs=1e-9)
    assert t_quantile(0.025, 401) == -t_quantile(0.975, 401)
    assert t_quantile(0.975, 10**9) == pytest.approx(1.959963985, abs=1e-7)


@pytest.mark.parametrize(("probability", "degrees"), [(0.0, 5), (1.0, 5), (0.9, 0)])
def test_impossible_quantiles_are_refused(probability: float, degrees: int) -> None:
    with pytest.raises(ValueError, match="no t quantile"):
        t_quantile(probability, degrees)


def test_wilson_is_the_published_example() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857, table I: 81 of 263 and 0 of 20.
    assert wilson_interval(81 / 263, 263, 1.959964) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0.0, 20, 1.959964) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_error_is_the_formula_worked_by_hand() -> None:
    # Mean 1/2; clip sums of deviations: 1, 0, -1; SE² = 3/2 · 2 / 36.
    estimate = clustered_mean([1, 1, 1, 0, 0, 0], ["a", "a", "b", "b", "c", "c"])
    assert estimate.mean == 0.5
    assert estimate.standard_error == pytest.approx(math.sqrt(3 / 36))
    assert (estimate.num, estimate.num_clusters, estimate.method) == (6, 3, "clustered")


def test_one_question_a_clip_gives_the_usual_error() -> None:
    scores = [0.0, 1.0, 1.0, 0.25, 0.5]
    estimate = clustered_mean(scores, range(5))
    assert estimate.standard_error == pytest.approx(float(np.std(scores, ddof=1)) / math.sqrt(5))


def test_copies_of_a_question_add_no_information() -> None:
    scores, clips = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0], list(range(6))
    once, thrice = clustered_mean(scores, clips), clustered_mean(scores * 3, clips * 3)
    assert (once.low, once.high) == pytest.approx((thrice.low, thrice.high))


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_all_alike_still_has_width(score: float) -> None:
    estimate = clustered_mean([score] * 60, [i // 3 for i in range(60)])
    assert (estimate.mean, estimate.method) == (score, "clips-as-questions")
    assert estimate.high - estimate.low == pytest.approx(0.179, abs=1e-3)
    assert estimate.low <= score <= estimate.high


def test_clips_that_cancel_are_not_certainty() -> None:
    estimate = clustered_mean([1, 0, 0, 1, 1, 0], ["a", "a", "b", "b", "c", "c"])
    assert (estimate.standard_error, estimate.method) == (0.0, "clips-as-questions")
    assert estimate.high - estimate.low > 0.5


def test_one_clip_is_nearly_no_information() -> None:
    estimate = clustered_mean([1.0] * 50, ["a"] * 50)
    assert estimate.method == "one-clip"
    assert math.isnan(estimate.standard_error)
    assert (estimate.low, estimate.high) == pytest.approx((0.2065, 1.0), abs=1e-3)


def test_nothing_and_nonsense_are_refused() -> None:
    with pytest.raises(ValueError, match="no scores"):
        clustered_mean([], [])
    with pytest.raises(ValueError, match="between 0 and 1"):
        clustered_mean([1.5], ["a"])
    with pytest.raises(ValueError, match="zip"):
        clustered_mean([1.0, 0.0], ["a"])


def draw_scores(
    rng: np.random.Generator, num_clips: int, per_clip: int, mean: float, correlation: float
) -> list[float]:
    """Right and wrong answers whose chance varies by clip: beta-binomial with that correlation."""
    spread = (1 - correlation) / correlation if correlation else None
    shares = (
        np.full(num_clips, mean)
        if spread is None
        else rng.beta(mean * spread, (1 - mean) * spread, num_clips)
    )
    return [float(x) for x in (rng.random((num_clips, per_clip)) < shares[:, None]).ravel()]


def clips_of(num_clips: int, per_clip: int) -> list[int]:
    return [clip for clip in range(num_clips) for _ in range(per_clip)]


# 400 simulations of true coverage 0.95 fall within 0.95 ± 0.033 with probability 0.997.
COVERAGE_CASES = [
    (270, 7, 0.5, 0.3),
    (300, 3, 0.5, 0.3),
    (379, 2, 0.6, 0.1),
    (100, 3, 0.75, 0.0),
    (50, 3, 0.9, 0.1),
    (12, 4, 0.5, 0.2),
]


@pytest.mark.parametrize(("num_clips", "per_clip", "mean", "correlation"), COVERAGE_CASES)
def test_intervals_cover_the_truth_as_often_as_they_say(
    num_clips: int, per_clip: int, mean: float, correlation: float
) -> None:
    rng = np.random.default_rng(7)
    clips = clips_of(num_clips, per_clip)
    covered = 0
    for _ in range(400):
        scores = draw_scores(rng, num_clips, per_clip, mean, correlation)
        estimate = clustered_mean(scores, clips)
        covered += estimate.low <= mean <= estimate.high
    assert 0.917 <= covered / 400 <= 0.985


def test_ignoring_clips_would_cover_too_seldom() -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(300):
        scores = draw_scores(rng, 270, 7, 0.5, 0.3)
        estimate = clustered_mean(scores, range(len(scores)))
        covered += estimate.low <= 0.5 <= estimate.high
    assert covered / 300 < 0.85


def draw_pair(
    rng: np.random.Generator, num_clips: int, per_clip: int, gain: float
) -> tuple[Sequence[float], Sequence[float]]:
    """Two models that find the same clips hard; the second is right more often by `gain`."""
    ease = np.repeat(rng.beta(1.5, 1.5, num_clips) * (1 - gain), per_clip)
    shape = (2, num_clips * per_clip)
    right = rng.random(shape) < np.stack([ease, ease + gain])
    return right[0].astype(float).tolist(), right[1].astype(float).tolist()


def test_equal_models_are_seldom_called_different() -> None:
    rng = np.random.default_rng(3)
    clips = clips_of(60, 3)
    false_p = false_interval = 0
    for _ in range(300):
        difference = paired_difference(*draw_pair(rng, 60, 3, gain=0.0), clips)
        false_p += difference.p_value < 0.05
        false_interval += not difference.estimate.low <= 0.0 <= difference.estimate.high
    assert 0.015 <= false_p / 300 <= 0.09
    assert 0.015 <= false_interval / 300 <= 0.09


def test_pairing_finds_more_than_two_separate_intervals() -> None:
    rng = np.random.default_rng(4)
    clips = clips_of(100, 3)
    paired = separate = 0
    for _ in range(60):
        first, second = draw_pair(rng, 100, 3, gain=0.12)
        paired += paired_difference(first, second, clips).p_value < 0.05
        separate += clustered_mean(first, clips).high < clustered_mean(second, clips).low
    assert paired >= 45
    assert separate <= paired - 20


def test_difference_counts_and_sign() -> None:
    difference = paired_difference([0, 0, 1, 1], [1, 1, 1, 0], ["a", "b", "c", "d"])
    assert (difference.estimate.mean, difference.num_better, difference.num_worse) == (0.25, 2, 1)


def test_exact_p_value_is_the_hand_count() -> None:
    # Five clips, all better: 2 of the 32 sign patterns are as extreme.
    assert sign_flip_p_value([1.0] * 5, range(5)) == 2 / 32
    # Three clips with sums 2, 1, -1: |total| >= 2 for 6 of 8 patterns.
    assert sign_flip_p_value([1.0, 1.0, 1.0, -1.0], ["a", "a", "b", "c"]) == 6 / 8


def test_sampled_p_value_agrees_with_the_exact_one_and_repeats() -> None:
    changes = [1.0] * 11 + [-1.0] * 4
    sampled = sign_flip_p_value(changes, range(15))
    exact = sum(math.comb(15, k) for k in range(16) if abs(2 * k - 15) >= 7) / 2**15
    assert sampled == pytest.approx(exact, abs=0.01)
    assert sign_flip_p_value(changes, range(15)) == sampled
    assert sign_flip_p_value([1.0] * 200, range(200)) == 1 / 20_001


def test_the_same_answers_twice_are_no_proof_of_equality() -> None:
    difference = paired_difference([1, 0, 1, 0], [1, 0, 1, 0], ["a", "b", "c", "d"])
    assert (difference.estimate.mean, difference.p_value) == (0.0, 1.0)
    assert difference.estimate.low == -difference.estimate.high
    assert difference.estimate.high > 0.5
    assert questions_to_resolve(difference) is None


def test_one_clip_bounds_no_difference() -> None:
    estimate = paired_difference([0, 0], [1, 1], ["a", "a"]).estimate
    assert (estimate.low, estimate.high, estimate.method) == (-1.0, 1.0, "one-clip")


def test_four_times_the_questions_halve_the_difference_that_shows() -> None:
    first = [0.0] * 80
    second = ([1.0] * 6 + [0.0] * 14) * 4
    needed = questions_to_resolve(paired_difference(first, second, range(80)))
    # sd of the change is sqrt(0.3·0.7·80/79); n = ((1.95996 + 0.84162) · sd / 0.3)².
    assert needed == math.ceil((2.801585 / 0.3) ** 2 * 0.21 * 80 / 79)


def test_few_clips_get_the_quantile_of_few_clips() -> None:
    # Three clips: t with two degrees of freedom is 4.302653 at 97.5 %; SE as in the hand example.
    scores, clips = [1, 1, 1, 0, 0, 0], ["a", "a", "b", "b", "c", "c"]
    estimate = clustered_mean(scores, clips)
    expected = wilson_interval(0.5, 0.25 / (3 / 36), 4.302653)
    assert (estimate.low, estimate.high) == pytest.approx(expected, abs=1e-6)
    changes = paired_difference([0.0] * 6, [0, 0, 0, 0, 0.1, 0.2], clips).estimate
    # Mean 0.05; clip sums of deviations: -0.1, -0.1, 0.2; SE² = 3/2 · 0.06 / 36.
    assert changes.high == pytest.approx(0.05 + 4.302653 * math.sqrt(0.06 * 1.5 / 36), abs=1e-6)
