"""A backward pass in pieces that fit the memory, with the result of one piece.

The micro-batch is the number of completions that are generated, scored and differentiated at once.
It begins as all of a pass. When memory runs out it is halved, prompt by prompt, and below one
prompt completion by completion; the step is then made again from its beginning. The algorithm stays
as it is: the groups, the mean over all sequences of the step and the random numbers do not depend
on how a pass is cut. (Dropout does: its masks have the shape of the piece.)

Shape letters: G completions per prompt, N rows of a pass in prompt-major order, L tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vtk.errors import MemoryExhausted
from vtk.rollout.generate import Rollout, SamplingSettings, ShouldStop
from vtk.rollout.prompts import PromptInputs
from vtk.rollout.shared import Part, generate_shared
from vtk.runs.store import resume_hint
from vtk.system.memory import is_out_of_memory, release_memory
from vtk.train.forward import ScoringBatch, TokenScores
from vtk.train.guards import Alert
from vtk.train.losses import SequenceLosses
from vtk.train.memory import keep_rows, measured_need, memory_exhausted

if TYPE_CHECKING:
    from vtk.train.trainer import CDPOTrainer


class MicroBatch:
    """How a pass is cut, on one process.

    Args:
        num_prompts: Prompts of a whole pass.
        num_generations: Completions per prompt, G.
    """

    def __init__(self, num_prompts: int, num_generations: int) -> None:
        self.num_generations = num_generations
        self.num_rows = num_prompts * num_generations

    def halve(self) -> bool:
        """Cut in half; False if a piece is one completion already."""
        if self.num_rows == 1:
            return False
        unit = self.num_generations if self.num_rows > self.num_generations else 1
        self.num_rows = unit * -(-self.num_rows // unit // 2)
        return True

    def keep_to(self, num_rows: int | None) -> None:
        """Cut to pieces of at most so many rows, as an earlier attempt had to; None is no limit."""
        self.num_rows = min(self.num_rows, num_rows or self.num_rows)

    def pieces(self, num_prompts: int) -> list[tuple[int, int]]:
        """First and last + 1 row of each piece: whole prompts, or completions of one prompt.

        Args:
            num_prompts: Prompts of this pass; some may have been skipped.
        """
        num_rows, group = num_prompts * self.num_generations, self.num_generations
        if self.num_rows >= group:
            starts = range(0, num_rows, self.num_rows)
            return [(start, min(start + self.num_rows, num_rows)) for start in starts]
        return [
            (start, min(start + self.num_rows, end))
            for end in range(group, num_rows + 1, group)
            for start in range(end - group, end, self.num_rows)
        ]

    def __str__(self) -> str:
        whole, group = divmod(self.num_rows, self.num_generations)
        count, thing = (whole, "prompt") if group == 0 else (self.num_rows, "completion")
        return f"{count} {thing}{'s' if count > 1 else ''}"

    def generate(
        self,
        whole: Callable[..., Rollout],
        model: Any,
        processor: Any,
        prompts: PromptInputs,
        sampling: SamplingSettings,
        seeds: Sequence[int],
        should_stop: ShouldStop,
    ) -> Rollout:
        """Sample the completions of a pass, the same ones however it is cut.

        Args:
            whole: The engine of a pass that is not cut; pieces are drawn by the shared engine,
                which draws the same tokens.
            model: The policy.
            processor: The policy's own.
            prompts: B prompts.
            sampling: How tokens are drawn.
            seeds: Decide the draw, one a prompt.
            should_stop: Asked after every token.
        """
        group, pieces = self.num_generations, self.pieces(prompts.num_prompts)
        if len(pieces) == 1:
            return whole(model, processor, prompts, sampling, group, seeds, should_stop)
        rollouts = []
        for first, last in pieces:
            start, stop = _prompts_of(first, last, group)
            rollouts.append(
                generate_shared(
                    model,
                    processor,
                    prompts.part(start, stop),
                    sampling,
                    min(group, last - first),
                    seeds[start:stop],
                    should_stop,
                    Part(first % group, group),
                )
            )
        return _joined_rollout(rollouts)

    def score(self, score: Callable[[ScoringBatch], TokenScores], batch: ScoringBatch) -> Tensor:
        """Log-probabilities of a pass, (N, L), without gradient."""
        pieces = self.pieces(batch.prompts.num_prompts)
        return torch.cat([score(part_of(batch, *piece)).logps_NL for piece in pieces])


def part_of(batch: ScoringBatch, first: int, last: int) -> ScoringBatch:
    """Rows first to last − 1 of a batch, as wide as before: whole prompts, or part of one group."""
    if (first, last) == (0, batch.completion_ids_NL.shape[0]):
        return batch
    return ScoringBatch(
        batch.prompts.part(*_prompts_of(first, last, batch.num_generations)),
        batch.completion_ids_NL[first:last],
        batch.completion_mask_NL[first:last],
    )


def joined_losses(pieces: Sequence[SequenceLosses]) -> SequenceLosses:
    """The losses of all pieces, for the record: without gradient."""
    columns = {
        field.name: torch.cat([getattr(piece, field.name).detach() for piece in pieces])
        for field in fields(SequenceLosses)
        if field.name != "has_reference"
    }
    return SequenceLosses(**columns, has_reference=pieces[0].has_reference)


def joined_scores(pieces: Sequence[TokenScores]) -> TokenScores:
    """The scores of all pieces, for the record: without gradient."""
    return TokenScores(
        torch.cat([piece.logps_NL.detach() for piece in pieces]),
        torch.cat([piece.entropies_NL for piece in pieces]),
    )


def run_pass(
    trainer: "CDPOTrainer", model: Any, batch: Any, make: Callable[[Any], Tensor]
) -> Tensor:
    """Make one pass of a step; when memory runs out, the whole step again in smaller pieces.

    A backward that failed has left part of its gradient behind, so the gradient is dropped and the
    step's earlier passes are made again too: the same, since every draw follows from their place.

    Args:
        trainer: Whose step it is.
        model: The policy as the libraries wrapped it.
        batch: Questions of the pass.
        make: Samples, scores and differentiates the questions of one pass.

    Raises:
        MemoryExhausted: Nothing is left to cut, or processes were exchanging gradients.
    """
    trainer.record.batches.append(batch)
    again: list[Any] = []
    while True:
        try:
            for earlier in again:
                with trainer.accelerator.no_sync(model):
                    make(earlier)
            return make(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            need, end = measured_need(error), _end(trainer, error)
        if end is not None:
            raise end
        _cut_smaller(trainer, need)
        again = trainer.record.batches[:-1]


def _end(trainer: "CDPOTrainer", error: BaseException) -> MemoryExhausted | None:
    """The error that ends the attempt; None if the step can be made again in smaller pieces.

    What processes exchange while one runs short is lost for all of them, so the smaller pieces are
    for the next attempt.
    """
    micro_batch, config = trainer.micro_batch, trainer.config
    if not trainer.is_exchanging:
        least = f"with {micro_batch} at once, the least that a step can be cut into"
        return None if micro_batch.num_rows > 1 else memory_exhausted(error, config, least)
    found = memory_exhausted(
        error, config, "while processes exchanged gradients, which cannot be made again"
    )
    if not micro_batch.halve():
        return found
    paths = trainer.saver.store.paths
    keep_rows(paths, micro_batch.num_rows)
    message = f"{found.message}; the next attempt takes {micro_batch} at once"
    return MemoryExhausted(message, resume_hint(paths))


def _cut_smaller(trainer: "CDPOTrainer", need: str) -> None:
    """Halve the micro-batch, say so, and leave nothing of the failed step behind."""
    micro_batch, step = trainer.micro_batch, trainer.record.step
    before, was = str(micro_batch), micro_batch.num_rows
    micro_batch.halve()
    trainer.record = trainer.record.again()
    trainer.policy.zero_grad(set_to_none=True)
    release_memory()
    message = (
        f"out of memory{_where(trainer)}: {need}; from now on {micro_batch} at once instead of "
        f"{before}. The step is made again; its loss, gradient and completions stay as they were"
    )
    alert = Alert("out_of_memory", message, micro_batch.num_rows, was)
    if trainer.accelerator.is_main_process:
        trainer.reporter.alert(step, alert)
    else:
        trainer.record.alerts.append(alert)


def _where(trainer: "CDPOTrainer") -> str:
    rank = trainer.accelerator.process_index
    return f" in process {rank}" if trainer.accelerator.num_processes > 1 else ""


def _prompts_of(first: int, last: int, group: int) -> tuple[int, int]:
    """First and last + 1 prompt of rows."""
    return first // group, -(-last // group)


def _joined_rollout(pieces: Sequence[Rollout]) -> Rollout:
    logps = [piece.logps for piece in pieces if piece.logps is not None]
    return Rollout(
        completion_ids=[ids for piece in pieces for ids in piece.completion_ids],
        texts=[text for piece in pieces for text in piece.texts],
        truncated=[is_cut for piece in pieces for is_cut in piece.truncated],
        logps=[row for rows in logps for row in rows],
    )
