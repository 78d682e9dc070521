"""Where plain GRPO drifts to the shortcut, and where repulsion keeps it away: first-order analysis.

The policy is reduced to one choice. With probability p = sigmoid(z) a completion reasons, else it
describes; a strategy s is right on a question of type t with probability a_st, and the reward is 1
or 0. What a group of G completions adds to the strategy logit z, the expected direction of a step:

* **Policy gradient.** Â_i = (R_i - mean) / (std + 1e-4) with the sample standard deviation, and
  d log π(s_i) / dz = 1[s_i reasons] - p, so the drift is E[ (1/G) Σ_i Â_i (1[s_i reasons] - p) ].
  Given that K of G are right, the advantages are fixed, and a right completion reasons with
  probability p·a_reason / q, where q = p·a_reason + (1-p)·a_describe. Hence, exactly,

      drift_t = [P(reasons|right) - P(reasons|wrong)] · Σ_K C(G,K) q^K (1-q)^(G-K) K/G Â_right(K)

  because K·Â_right + (G-K)·Â_wrong = 0. A question type counts with its share of the questions.
* **Repulsion.** With b the bias model's share of reasoning completions, k3's gradient is
  (1 - π_bias/π) d log π / dz. Its mean over the policy's own choices is p - b, so a step down the
  loss beta·k3 moves z by -beta·(p - b): |beta|·p away from a bias model that never reasons, and
  nothing at all once p is zero, however negative beta is. (The log-ratio's clamp, which stops the
  push on what the bias model would all but never write, is left out.)

Both terms are divided by the same number of tokens in the loss, so their sum has the right sign.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb, sqrt

STD_OFFSET = 1e-4
PUBLISHED_OBSERVATIONAL_FRAC = 0.74
ACCURACY_AXIS = tuple(round(0.50 + 0.05 * k, 2) for k in range(11))
SHARE_AXIS = tuple(round(0.10 * k, 2) for k in range(11))


@dataclass(frozen=True, slots=True)
class StrategyOdds:
    """How often a strategy is right: shares of observational and of inferential questions."""

    observational: float
    inferential: float


@dataclass(frozen=True, slots=True)
class PhasePoint:
    """A policy and the questions it is trained on.

    Attributes:
        reason: How often reasoning is right.
        describe: How often describing, the shortcut, is right.
        observational_frac: Share of observational questions.
        reason_share: Share of reasoning completions, p.
        bias_reason_share: The same of the bias model, b.
        group_size: Completions per question, G.
    """

    reason: StrategyOdds
    describe: StrategyOdds = StrategyOdds(observational=0.95, inferential=0.05)
    observational_frac: float = PUBLISHED_OBSERVATIONAL_FRAC
    reason_share: float = 0.5
    bias_reason_share: float = 0.0
    group_size: int = 8


def drift(point: PhasePoint, beta: float = 0.0) -> float:
    """Expected change of the strategy logit per group and unit of learning rate.

    Positive: towards reasoning. Zero beta is plain GRPO.

    Args:
        point: The policy and its questions.
        beta: KL coefficient; negative repels from the bias model.
    """
    share = point.observational_frac
    observational = _drift_of_type(point, point.reason.observational, point.describe.observational)
    inferential = _drift_of_type(point, point.reason.inferential, point.describe.inferential)
    repulsion = -beta * (point.reason_share - point.bias_reason_share)
    return share * observational + (1.0 - share) * inferential + repulsion


def at_accuracy(point: PhasePoint, accuracy: float) -> PhasePoint:
    """The same policy if reasoning were right equally often on both types."""
    return replace(point, reason=StrategyOdds(accuracy, accuracy))


def critical_accuracy(point: PhasePoint, beta: float = 0.0) -> float | None:
    """The reasoning accuracy, equal on both types, above which the drift is towards reasoning.

    Returns:
        A share; None if the drift has one sign for all accuracies from 0 to 1.
    """
    low, high = 0.0, 1.0
    if drift(at_accuracy(point, low), beta) > 0 or drift(at_accuracy(point, high), beta) < 0:
        return None
    while high - low > 1e-9:
        middle = (low + high) / 2
        if drift(at_accuracy(point, middle), beta) < 0:
            low = middle
        else:
            high = middle
    return high


def drift_grid(
    point: PhasePoint,
    beta: float,
    accuracies: Sequence[float] = ACCURACY_AXIS,
    shares: Sequence[float] = SHARE_AXIS,
) -> list[list[float]]:
    """The drift by reasoning accuracy (rows) and observational share of the questions (columns)."""
    return [
        [
            drift(replace(at_accuracy(point, accuracy), observational_frac=share), beta)
            for share in shares
        ]
        for accuracy in accuracies
    ]


def phase_table(
    point: PhasePoint,
    beta: float,
    accuracies: Sequence[float] = ACCURACY_AXIS,
    shares: Sequence[float] = SHARE_AXIS,
) -> str:
    """The grid of `drift_grid` as a Markdown table, highest accuracy first."""
    grid = drift_grid(point, beta, accuracies, shares)
    head = ["reasoning right \\ observational", *(f"{100 * share:.0f} %" for share in shares)]
    lines = [head, ["---", *("---:" for _ in shares)]]
    for accuracy, row in sorted(zip(accuracies, grid, strict=True), reverse=True):
        lines.append([f"{100 * accuracy:.0f} %", *(f"{value:+.3f}" for value in row)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _drift_of_type(point: PhasePoint, reason: float, describe: float) -> float:
    """The exact sum over the number of right completions of a group, for one question type."""
    p, num = point.reason_share, point.group_size
    right = p * reason + (1.0 - p) * describe
    if right <= 0.0 or right >= 1.0:
        return 0.0
    contrast = p * reason / right - p * (1.0 - reason) / (1.0 - right)
    total = 0.0
    for num_right in range(1, num):
        chance = comb(num, num_right) * right**num_right * (1.0 - right) ** (num - num_right)
        total += chance * num_right / num * _advantage_of_right(num_right, num)
    return total * contrast


def _advantage_of_right(num_right: int, num: int) -> float:
    mean = num_right / num
    std = sqrt(num_right * (num - num_right) / num / (num - 1))
    return (1.0 - mean) / (std + STD_OFFSET)
