"""A step's numbers are those of its rows, whatever they were split over."""

import math
from typing import Any

import pytest

from vtk.runs.events import METRICS
from vtk.train.metrics import rollout_metrics


def _row(group: str, reward: float, **changes: Any) -> dict[str, Any]:
    row = {
        "group": group,
        "reward": reward,
        "reward_accuracy": reward / 2,
        "reward_format": 1.0,
        "num_tokens": 10,
        "is_truncated": False,
        "entropy": 1.0,
        "loss_policy": 0.5,
        "loss_repulsion": -0.25,
        "label": "observational",
        "num_correct": 1,
        "strict": 1.0,
        "completion": "x",
        "signed_kl": 0.5,
        "k3": 0.1,
        "clamped_frac": 0.0,
    }
    return row | changes


ROWS = [
    _row("0-0", 2.0, num_tokens=30, signed_kl=1.0, entropy=2.0),
    _row("0-0", 0.0, strict=0.0, is_truncated=True, completion="y"),
    _row("0-1", 1.0, label="inferential", num_correct=2, strict=0.0),
    _row("0-1", 1.0, label="inferential", num_correct=2),
]


def test_numbers_by_hand() -> None:
    metrics = rollout_metrics(ROWS)
    assert metrics["reward/mean"] == 1.0
    assert metrics["reward/accuracy"] == 0.5
    assert metrics["reward/zero_variance_frac"] == 0.5
    assert metrics["completion/distinct_frac"] == 0.75
    assert metrics["completion/truncated_frac"] == 0.25
    assert metrics["acc/observational"] == 0.5
    assert (metrics["acc/multi"], metrics["acc/multi_n"]) == (0.5, 2)
    assert metrics["kl/signed"] == pytest.approx((30 * 1.0 + 30 * 0.5) / 60)
    assert metrics["entropy/mean"] == pytest.approx((30 * 2.0 + 30 * 1.0) / 60)
    assert metrics["loss/total"] == pytest.approx(0.25)


def test_every_number_has_a_documented_name() -> None:
    undocumented = set(rollout_metrics(ROWS)) - set(METRICS)
    assert undocumented == set()


def test_what_was_not_measured_is_left_out() -> None:
    rows = [_row("0-0", 1.0, signed_kl=None, k3=None, clamped_frac=None, label=None)]
    metrics = rollout_metrics(rows)
    assert not [name for name in metrics if name.startswith("kl/")]
    assert "acc/observational" not in metrics
    assert metrics["acc/single_n"] == 1


def test_the_gap_between_sampler_and_trainer() -> None:
    gaps = [(0.1, 0.5), (0.2, 3.0), (0.0, 0.0), (0.0, 0.1)]
    rows = [
        row | {"logp_gap_mean": mean, "logp_gap_max": largest}
        for row, (mean, largest) in zip(ROWS, gaps, strict=True)
    ]
    metrics = rollout_metrics(rows)
    assert metrics["sampling/logp_gap_mean"] == pytest.approx((30 * 0.1 + 10 * 0.2) / 60)
    assert metrics["sampling/logp_gap_max"] == 3.0
    assert not [name for name in rollout_metrics(ROWS) if name.startswith("sampling/")]
    spoilt = [*rows, rows[0] | {"logp_gap_max": math.nan}]
    assert math.isnan(rollout_metrics(spoilt)["sampling/logp_gap_max"])


def _answered(place: int, parsed: str | None, **of_bias: Any) -> dict[str, Any]:
    return ROWS[place] | {"parsed": parsed} | of_bias


def test_agreement_with_the_bias_model_is_of_answers_and_by_question_type() -> None:
    rows = [
        _answered(0, "A", bias_parsed="A"),
        _answered(1, "B"),
        _answered(2, "A,C", bias_parsed="A,C"),
        _answered(3, "A,C"),
    ]
    metrics = rollout_metrics(rows)
    agreement = {k: v for k, v in metrics.items() if k.startswith("bias_agreement/")}
    assert agreement == {
        "bias_agreement/observational": 0.5,
        "bias_agreement/observational_n": 2,
        "bias_agreement/inferential": 1.0,
        "bias_agreement/inferential_n": 2,
        "bias_agreement/single": 0.5,
        "bias_agreement/single_n": 2,
        "bias_agreement/multi": 1.0,
        "bias_agreement/multi_n": 2,
    }
    assert set(agreement) <= set(METRICS)
    split = [rows[1], rows[3], rows[2], rows[0]]  # the answer need not be in a group's first row
    assert rollout_metrics(split) == metrics


def test_no_agreement_without_an_answer_of_the_bias_model() -> None:
    unread = [_answered(0, None, bias_parsed=None), _answered(1, "A")]
    assert not [name for name in rollout_metrics(unread) if name.startswith("bias_agreement/")]
    unread_policy = [_answered(0, None, bias_parsed="A"), _answered(1, "A")]
    metrics = rollout_metrics(unread_policy)
    assert metrics["bias_agreement/observational"] == 0.5
    assert not [name for name in rollout_metrics(ROWS) if name.startswith("bias_agreement/")]


def test_order_and_split_do_not_matter() -> None:
    assert rollout_metrics(ROWS) == rollout_metrics([ROWS[2], ROWS[3], ROWS[0], ROWS[1]])


def test_a_loss_that_is_not_finite_is_shown() -> None:
    metrics = rollout_metrics([*ROWS, _row("0-2", 1.0, loss_policy=math.nan)])
    assert math.isnan(metrics["loss/total"])
