"""The numbers of one step, computed from its rollouts: pure, rows in, names of `METRICS` out.

A row is one completion. Every mean over tokens is weighted by the rows' lengths, and every loss is
a mean over rows, so the same rows give the same numbers however they were split over devices and
backward passes.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

_TYPES: dict[str, Callable[[Row], bool]] = {
    "observational": lambda row: bool(row["label"] == "observational"),
    "inferential": lambda row: bool(row["label"] == "inferential"),
    "single": lambda row: bool(row["num_correct"] == 1),
    "multi": lambda row: bool(row["num_correct"] > 1),
}


def rollout_metrics(rows: Sequence[Row]) -> dict[str, float]:
    """Reward, accuracy, KL, entropy and length of one step's completions on all devices.

    Args:
        rows: At least one; groups are told apart by `group`.

    Returns:
        Metric name to value; what has no rows behind it (a question type that was not asked, a KL
        without reference) is left out.
    """
    metrics = {
        "reward/mean": _mean(rows, "reward"),
        "reward/accuracy": _mean(rows, "reward_accuracy"),
        "reward/format": _mean(rows, "reward_format"),
        "completion/length_tokens": _mean(rows, "num_tokens"),
        "completion/truncated_frac": _mean(rows, "is_truncated"),
        "entropy/mean": _token_mean(rows, "entropy"),
        "loss/policy": _mean(rows, "loss_policy"),
        "loss/repulsion": _mean(rows, "loss_repulsion"),
    }
    metrics["loss/total"] = metrics["loss/policy"] + metrics["loss/repulsion"]
    return (
        metrics
        | _group_metrics(rows)
        | _by_type("acc", "strict", rows)
        | _by_type("bias_agreement", "agrees", _compared(rows))
        | _kl_metrics(rows)
        | _gap_metrics(rows)
    )


def _group_metrics(rows: Sequence[Row]) -> dict[str, float]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["group"]].append(row)
    equal = [len({row["reward"] for row in group}) == 1 for group in groups.values()]
    distinct = [len({row["completion"] for row in group}) / len(group) for group in groups.values()]
    return {
        "reward/zero_variance_frac": sum(equal) / len(groups),
        "completion/distinct_frac": sum(distinct) / len(groups),
    }


def _by_type(prefix: str, name: str, rows: Sequence[Row]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for question_type, belongs in _TYPES.items():
        asked = [row for row in rows if belongs(row)]
        if asked:
            metrics[f"{prefix}/{question_type}"] = _mean(asked, name)
            metrics[f"{prefix}/{question_type}_n"] = len(asked)
    return metrics


def _compared(rows: Sequence[Row]) -> list[Row]:
    """The rows of each question to which the bias model gave an answer that could be read.

    The bias model answers once a question (`vtk.train.bias_answers`), and one row holds it.
    """
    answers = {
        row["group"]: row["bias_parsed"] for row in rows if row.get("bias_parsed") is not None
    }
    return [
        {**row, "agrees": row["parsed"] == answers[row["group"]]}
        for row in rows
        if row["group"] in answers
    ]


def _kl_metrics(rows: Sequence[Row]) -> dict[str, float]:
    if any(row["signed_kl"] is None for row in rows):
        return {}
    return {
        "kl/signed": _token_mean(rows, "signed_kl"),
        "kl/k3": _token_mean(rows, "k3"),
        "kl/clamped_frac": _token_mean(rows, "clamped_frac"),
    }


def _gap_metrics(rows: Sequence[Row]) -> dict[str, float]:
    if any(row.get("logp_gap_mean") is None for row in rows):
        return {}
    return {
        "sampling/logp_gap_mean": _token_mean(rows, "logp_gap_mean"),
        "sampling/logp_gap_max": _largest([float(row["logp_gap_max"]) for row in rows]),
    }


def _largest(values: Sequence[float]) -> float:
    """The largest number; NaN if one is NaN."""
    return math.nan if any(map(math.isnan, values)) else max(values)


def _mean(rows: Sequence[Row], name: str) -> float:
    return sum(float(row[name]) for row in rows) / len(rows)


def _token_mean(rows: Sequence[Row], name: str) -> float:
    num_tokens = sum(int(row["num_tokens"]) for row in rows)
    return sum(float(row[name]) * int(row["num_tokens"]) for row in rows) / num_tokens
