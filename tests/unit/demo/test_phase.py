"""The first-order drift: published numbers, brute force over every group, and its limits."""

from itertools import product
from math import exp, log
from statistics import mean, stdev

import pytest

from vtk.demo.phase import (
    PhasePoint,
    StrategyOdds,
    at_accuracy,
    critical_accuracy,
    drift,
    drift_grid,
    phase_table,
)


def point(accuracy: float, **changes: float) -> PhasePoint:
    return PhasePoint(reason=StrategyOdds(accuracy, accuracy), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("accuracy", "expected"), [(0.70, -0.018), (0.75, 0.004), (0.85, 0.050)])
def test_drift_of_plain_grpo_at_the_paper_s_mixture(accuracy: float, expected: float) -> None:
    assert drift(point(accuracy)) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("reason_share", [0.2, 0.5, 0.9])
def test_exact_sum_equals_enumeration_of_every_group(reason_share: float) -> None:
    small = PhasePoint(
        reason=StrategyOdds(0.7, 0.6),
        describe=StrategyOdds(0.9, 0.1),
        observational_frac=0.3,
        reason_share=reason_share,
        group_size=3,
    )
    expected = 0.3 * enumerated(reason_share, 0.7, 0.9) + 0.7 * enumerated(reason_share, 0.6, 0.1)
    assert drift(small) == pytest.approx(expected, rel=1e-12)


def enumerated(p: float, reason: float, describe: float) -> float:
    """Sum over all strategies and outcomes of three completions."""
    total = 0.0
    for group in product(product((True, False), (1.0, 0.0)), repeat=3):
        chance = 1.0
        for reasons, reward in group:
            accuracy = reason if reasons else describe
            chance *= (p if reasons else 1 - p) * (accuracy if reward else 1 - accuracy)
        rewards = [reward for _, reward in group]
        scale = stdev(rewards) + 1e-4
        terms = [(r - mean(rewards)) / scale * (reasons - p) for reasons, r in group]
        total += chance * sum(terms) / 3
    return total


def test_repulsion_is_the_gradient_of_k3_over_the_policy_s_own_choices() -> None:
    p, bias_share, beta = 0.6, 0.2, -0.05

    def k3_mean(logit: float, sampled_share: float) -> float:
        share = 1 / (1 + exp(-logit))
        ratios = [bias_share / share, (1 - bias_share) / (1 - share)]
        k3 = [ratio - log(ratio) - 1 for ratio in ratios]
        return sampled_share * k3[0] + (1 - sampled_share) * k3[1]

    logit, step = log(p / (1 - p)), 1e-6
    gradient = (k3_mean(logit + step, p) - k3_mean(logit - step, p)) / (2 * step)
    still = PhasePoint(
        StrategyOdds(0.5, 0.5), StrategyOdds(0.5, 0.5), reason_share=p, bias_reason_share=bias_share
    )
    assert drift(still, beta) - drift(still) == pytest.approx(-beta * gradient, rel=1e-6)


def test_repulsion_adds_beta_times_the_reasoning_share_and_cannot_rescue_a_collapsed_policy() -> (
    None
):
    for share in (0.1, 0.5, 0.9):
        here = point(0.7, reason_share=share)
        assert drift(here, -0.01) - drift(here) == pytest.approx(0.01 * share)
    collapsed = point(0.7, reason_share=0.0)
    assert drift(collapsed, -10.0) == 0.0


def test_attraction_and_repulsion_are_mirror_images() -> None:
    here = point(0.7)
    assert drift(here, 0.03) - drift(here) == pytest.approx(drift(here) - drift(here, -0.03))


def test_boundary_lies_where_the_drift_changes_sign_and_repulsion_lowers_it() -> None:
    plain = critical_accuracy(point(0.5))
    repelled = critical_accuracy(point(0.5), beta=-0.02)
    assert plain is not None
    assert repelled is not None
    assert 0.70 < plain < 0.75
    assert repelled < plain
    assert drift(at_accuracy(point(0.5), plain)) == pytest.approx(0.0, abs=1e-6)


def test_there_is_no_boundary_where_repulsion_wins_everywhere() -> None:
    assert critical_accuracy(point(0.5), beta=-5.0) is None


def test_equal_strategies_do_not_drift() -> None:
    same = StrategyOdds(0.8, 0.3)
    assert drift(PhasePoint(reason=same, describe=same)) == pytest.approx(0.0, abs=1e-12)


def test_no_drift_where_every_completion_is_right_or_every_one_wrong() -> None:
    assert drift(PhasePoint(StrategyOdds(1.0, 0.0), StrategyOdds(1.0, 0.0))) == 0.0


def test_more_observational_questions_push_towards_the_shortcut() -> None:
    for row in drift_grid(point(0.7), beta=0.0):
        assert row == sorted(row, reverse=True)
    columns = zip(*drift_grid(point(0.7), beta=0.0), strict=True)
    assert all(list(column) == sorted(column) for column in columns)


def test_table_holds_the_grid_with_the_highest_accuracy_on_top() -> None:
    lines = phase_table(point(0.7), 0.0, accuracies=(0.7, 0.85), shares=(0.5, 0.74)).splitlines()
    assert lines[0] == "| reasoning right \\ observational | 50 % | 74 % |"
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| 85 %", "| 70 %"]
    assert lines[2].endswith("| +0.050 |")
    assert lines[3].endswith("| -0.018 |")
