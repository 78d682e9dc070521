"""The record of one optimizer step on one process: its completions and what was skipped.

Shape letters: G completions per prompt, N rows in prompt-major order.
"""

from collections.abc import Sequence
from typing import Any

from accelerate.utils import gather_object
from torch import Tensor

from vtk.train.groups import Groups, Skipped
from vtk.train.losses import SequenceLosses

_KL_COLUMNS = ("signed_kl", "k3", "clamped_frac")


class StepRecord:
    """Filled by the backward passes of one step, then gathered from all processes.

    Args:
        step: The step being made, counted from 1.
    """

    def __init__(self, step: int) -> None:
        self.step = step
        self.is_update_skipped = False
        self.rows: list[dict[str, Any]] = []
        self.skipped: list[Skipped] = []

    def add(self, groups: Groups, losses: SequenceLosses, entropies_N: Tensor, beta: float) -> None:
        """Add a backward pass's completions, with what the update knows of them.

        Args:
            groups: What was sampled and graded.
            losses: What each sequence contributes.
            entropies_N: Mean entropy of each sequence's tokens, in nats.
            beta: The coefficient that the pass was made with.
        """
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

    def gather(self) -> tuple[Sequence[dict[str, Any]], Sequence[Skipped]]:
        """Rows and skipped questions of all processes, the same on each of them.

        Rows are in the order of the run, however the batch was spread.
        """
        rows: list[dict[str, Any]] = gather_object(self.rows)
        rows.sort(key=lambda row: (row["group"], row["generation"]))
        skipped: list[Skipped] = gather_object(self.skipped)
        return rows, skipped
