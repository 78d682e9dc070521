"""The record of one optimizer step on one process: its completions and what was skipped.

Shape letters: G completions per prompt, N rows in prompt-major order.
"""

from collections.abc import Sequence
from typing import Any

from accelerate.utils import gather_object
from torch import Tensor

from vtk.runs.token_columns import LARGEST_WORD, NOT_A_NUMBER, WORDS_PER_NAT, pack_words
from vtk.train.forward import TokenScores
from vtk.train.groups import Groups, Skipped
from vtk.train.guards import Alert
from vtk.train.losses import SequenceLosses, masked_token_mean

_KL_COLUMNS = ("signed_kl", "k3", "clamped_frac")


class StepRecord:
    """Filled by the backward passes of one step, then gathered from all processes.

    Args:
        step: The step being made, counted from 1.

    Attributes:
        batches: Questions of the passes that were begun, in case they must be made again.
        alerts: What this process has to say, if it is one that writes no log.
    """

    def __init__(self, step: int) -> None:
        self.step = step
        self.batches: list[Any] = []
        self.alerts: list[Alert] = []
        self.is_update_skipped = False
        self._num_passes = 0
        self.rows: list[dict[str, Any]] = []
        self.skipped: list[Skipped] = []

    def begin_pass(self) -> int:
        """Count a backward pass that begins; its number, counted from 1."""
        self._num_passes += 1
        return self._num_passes

    def add(
        self,
        groups: Groups,
        losses: SequenceLosses,
        scores: TokenScores,
        beta: float,
        ref_logps_NL: Tensor | None = None,
    ) -> None:
        """Add a backward pass's completions, with what the update knows of them.

        Args:
            groups: What was sampled and graded.
            losses: What each sequence contributes.
            scores: What the policy says of every token.
            beta: The coefficient that the pass was made with.
            ref_logps_NL: The reference's log-probabilities, to record each token's signed KL.
        """
        mask_NL = groups.batch.completion_mask_NL
        entropies_N = masked_token_mean(scores.entropies_NL, mask_NL)
        columns = {
            "signed_kl": losses.signed_kl_N,
            "k3": losses.k3_N,
            "clamped_frac": losses.clamped_frac_N,
            "entropy": entropies_N,
            "loss_policy": losses.policy_N,
            "loss_repulsion": beta * losses.term_N if beta != 0.0 else 0.0 * entropies_N,
        }
        found = {name: column.detach().float().tolist() for name, column in columns.items()}
        if not losses.has_reference:
            found |= {name: [None] * len(groups.rows) for name in _KL_COLUMNS}
        if groups.sampled_logps_NL is not None:
            gap_NL = (scores.logps_NL - groups.sampled_logps_NL).abs() * mask_NL
            found["logp_gap_mean"] = masked_token_mean(gap_NL, mask_NL).tolist()
            found["logp_gap_max"] = gap_NL.amax(dim=1).tolist()
        if ref_logps_NL is not None:
            found["token_kl"] = _token_kl(scores.logps_NL - ref_logps_NL, mask_NL)
        for place, row in enumerate(groups.rows):
            extra = {column: values[place] for column, values in found.items()}
            self.rows.append({"step": self.step, **row, **extra})

    @property
    def reference_is_policy(self) -> bool | None:
        """Whether a reference gave every token of every row the policy's own probability.

        None if there are no rows to tell by.
        """
        return (
            None
            if not self.rows
            else all(row["signed_kl"] == 0.0 and row["k3"] == 0.0 for row in self.rows)
        )

    def again(self) -> "StepRecord":
        """The record of the same step made again: nothing but its questions and alerts."""
        record = StepRecord(self.step)
        record.batches, record.alerts = self.batches, self.alerts
        return record

    def gather(self) -> tuple[Sequence[dict[str, Any]], Sequence[Skipped], Sequence[Alert]]:
        """Rows, skipped questions and alerts of all processes, the same on each of them.

        Rows are in the order of the run, however the batch was spread.
        """
        rows: list[dict[str, Any]] = gather_object(self.rows)
        rows.sort(key=lambda row: (row["group"], row["generation"]))
        skipped: list[Skipped] = gather_object(self.skipped)
        alerts: list[Alert] = gather_object(self.alerts)
        return rows, skipped, alerts


def _token_kl(signed_kl_NL: Tensor, mask_NL: Tensor) -> list[str]:
    """Each sequence's tokens without its padding, as columns of a row."""
    scaled_NL = (signed_kl_NL.detach().float() * WORDS_PER_NAT).round()
    bounded_NL = scaled_NL.clamp(-LARGEST_WORD, LARGEST_WORD).nan_to_num(nan=NOT_A_NUMBER)
    lengths_N = mask_NL.sum(dim=1).int().tolist()
    return [
        pack_words(words_L[:length])
        for words_L, length in zip(bounded_NL.int().tolist(), lengths_N, strict=True)
    ]
