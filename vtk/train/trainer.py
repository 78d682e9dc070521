"""`CDPOTrainer`: TRL's `GRPOTrainer` as the shell, with whole methods replaced by ours.

TRL gives the outer loop, accumulation, distribution, optimizer and schedule. Its own loss never
sees a video and knows no named reference, so the methods marked `override` are replaced, each by a
few lines that call functions which know no trainer. `tests/unit/train/test_trl_names.py` names
everything of the libraries that this file relies on.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch import Tensor
from transformers.trainer_callback import PrinterCallback
from trl.trainer.grpo_trainer import GRPOTrainer
from typing_extensions import override

from vtk.config.schema import VtkConfig
from vtk.config.sections import SAME_DEVICE
from vtk.data.sample import VideoSample
from vtk.errors import ConfigError, DataError
from vtk.rollout.generate import base_model
from vtk.scoring.rewards import format_reward
from vtk.train import saved_state
from vtk.train.arguments import training_arguments
from vtk.train.batch import prompts_per_step
from vtk.train.bias_answers import note_bias_answers
from vtk.train.dataset import PromptSampler, derive_seed, run_order
from vtk.train.forward import TokenScores, install_scoring
from vtk.train.groups import GroupCollector, Groups, Skipped
from vtk.train.guards import Guards
from vtk.train.losses import SequenceLosses, sequence_losses
from vtk.train.memory import kept_rows
from vtk.train.metrics import rollout_metrics
from vtk.train.microbatch import joined_losses, joined_scores, part_of, run_pass
from vtk.train.optimizer import has_bfloat16, master_adamw
from vtk.train.prefetch import next_places
from vtk.train.reference import SELF, Reference
from vtk.train.reporting import Reporter
from vtk.train.restart import restart_hint
from vtk.train.saver import OnFault, Saver
from vtk.train.sharding import gathered, is_sharded, whole
from vtk.train.step import StepRecord


class CDPOTrainer(GRPOTrainer):
    """Trains a policy against an optional reference.

    Args:
        policy: Bare, or with adapters of which "default" is trained.
        processor: The policy's own.
        config: The run's settings.
        samples: The questions.
        reference: What the KL term is measured against; None without one.
        collector: Makes scored groups.
        reporter: Takes phases, steps and alerts.
        saver: Writes and reads checkpoints.
        callbacks: The library's, called at step boundaries.
    """

    def __init__(
        self,
        policy: Any,
        processor: Any,
        config: VtkConfig,
        samples: Sequence[VideoSample],
        *,
        reference: Reference | None,
        collector: GroupCollector,
        reporter: Reporter,
        saver: Saver,
        callbacks: Sequence[Any] = (),
    ) -> None:
        demanded_reward: Any = format_reward  # the library wants one; `GroupCollector` grades
        arguments = training_arguments(config, saver.store.paths.root)
        self.num_prompts = config.optim.num_steps * prompts_per_step(config, arguments.world_size)
        order = run_order(len(samples), self.num_prompts, config.seed)
        super().__init__(
            model=policy,
            reward_funcs=[demanded_reward],
            args=arguments,
            train_dataset=Dataset.from_dict({"place": range(self.num_prompts), "index": order}),
            processing_class=processor,
            callbacks=list(callbacks),
        )
        self.remove_callback(PrinterCallback)
        self.policy, self.processor = policy, processor
        self.config, self.samples, self.beta = config, samples, config.objective.beta
        self.collector, self.reporter, self.saver = collector, reporter, saver
        self.reference = self._on_device(reference)
        self.guards = Guards(config.guards)
        self.skipped_ids: set[str] = set()
        self.evaluated_step: int | None = None
        self.record = StepRecord(step=0)
        self.order = order
        self.micro_batch = collector.micro_batch
        self.micro_batch.keep_to(kept_rows(saver.store.paths))
        self.is_exchanging = False
        rollout = config.rollout
        install_scoring(base_model(policy), rollout.temperature, rollout.engine)

    def save_now(self, on_fault: OnFault = "raise") -> None:
        """Save the last optimizer step, unless it is saved as it is.

        A beta that was set in a pause is not in the checkpoint that was saved before it.

        Args:
            on_fault: As in `Saver.save`.
        """
        step = self.state.global_step
        if step > 0 and self.saver.saved != (step, self.beta):
            self.saver.save(self, on_fault)

    @override
    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The library's AdamW; for bfloat16 weights one that keeps float32 masters."""
        if self.optimizer is None and has_bfloat16(self.policy):
            decayed = set(self.get_decay_parameter_names(self.policy))
            self.optimizer = master_adamw(self.policy, decayed, self.config.optim)
        return super().create_optimizer(model)

    @override
    def _get_train_sampler(self, dataset: Any = None) -> PromptSampler:
        """The order of the whole run, so that one epoch of the library is all of it."""
        return PromptSampler(self.num_prompts, self.config.rollout.num_generations)

    @override
    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """One backward pass, in pieces that fit the memory."""
        step = self.state.global_step + 1
        if self.record.step != step:
            self.record = StepRecord(step)
            self.reporter.begin_step()
        make: Any = super().training_step
        return run_pass(self, model, inputs, lambda batch: make(model, batch, num_items_in_batch))

    @override
    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        """Questions in, scored groups out, for one backward pass.

        All randomness of the pass comes from the seed and the questions' places in the run: a
        resumed run draws what an uninterrupted one does, and several processes what one does. Only
        dropout draws for a pass as a whole.
        """
        # The forwards of a sharded model gather weights from all processes, so none repeats one.
        self.is_exchanging = is_sharded(self.policy)
        self.reporter.pass_number = self.record.begin_pass()
        rows = generation_batch[:: self.config.rollout.num_generations]
        places = [row["place"] for row in rows]
        torch.manual_seed(derive_seed(self.config.seed, "update", places[0]))
        with gathered(self.policy):
            groups, skipped = self.collector.collect(
                self.policy,
                [self.samples[row["index"]] for row in rows],
                places,
                self._upcoming(places),
            )
            # Without a question too, the others wait for this process's gradients.
            batch = (
                self.collector.stand_in(self.policy, self.samples)
                if groups is None
                else groups.batch
            )
        self.record.skipped += skipped
        return {
            "groups": groups,
            "batch": batch,
            "ref_logps_NL": self._reference_logps(groups),
        }

    @override
    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Tensor:
        """The objective of one backward pass, divided by the passes of a step.

        The mean is over the rows that the pass was given: a question that was skipped weighs
        nothing, and the others what they would have, wherever they are computed. Of a pass that is
        cut, it is the last piece's: the others' gradients are there already.
        """
        groups: Groups | None = inputs["groups"]
        with self.reporter.phase("update"):
            if groups is None:
                scores = model(scoring=inputs["batch"])
                nothing: Tensor = scores.logps_NL.sum() * 0.0  # a zero gradient of every weight
                return nothing
            *others, last = self.micro_batch.pieces(groups.batch.prompts.num_prompts)
            made = []
            for piece in others:
                with self.accelerator.no_sync(model):
                    scores, losses, loss = self._piece_loss(model, inputs, piece)
                    self.accelerator.backward(loss)
                made.append((joined_scores([scores]), joined_losses([losses])))
                del scores, losses, loss
            scores, losses, loss = self._piece_loss(model, inputs, last)
            self.is_exchanging |= self.args.world_size > 1 and self.accelerator.sync_gradients
            made.append((scores, losses))
            all_scores, all_losses = zip(*made, strict=True)
            self.record.add(
                groups,
                joined_losses(all_losses),
                joined_scores(all_scores),
                self.beta,
                inputs["ref_logps_NL"] if self.config.record.token_kl else None,
            )
            return loss

    @override
    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """The norm before clipping; a gradient that is not finite is dropped, not applied.

        So is one of nothing, after a step whose questions were all skipped. Without a gradient the
        optimizer leaves weights and moments as they are.

        Raises:
            ConfigError: Before the first update, the reference is the policy itself.
        """
        norm = super()._get_grad_norm(model, grad_norm)  # type: ignore[no-untyped-call]
        norm = whole(norm) if isinstance(norm, Tensor) else norm
        self.record.is_update_skipped = not math.isfinite(float(norm))
        agreements = gather_object([self.record.reference_is_policy])
        found = [is_twin for is_twin in agreements if is_twin is not None]
        self._refuse_twin(bool(found) and all(found))
        if self.record.is_update_skipped or not found:
            self.policy.zero_grad(set_to_none=True)
        return norm

    @override
    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Report one step; the library calls it after each, and once more at the end."""
        self._metrics["train"].clear()
        if "grad_norm" not in logs:
            return
        record, step = self.record, self.state.global_step
        rows, skipped, told_elsewhere = record.gather()
        metrics = rollout_metrics(rows) if rows else {}
        metrics |= {"optim/lr": logs["learning_rate"], "optim/grad_norm": logs["grad_norm"]}
        metrics |= self.reporter.step_metrics(sum(row["num_tokens"] for row in rows))
        alerts = self.guards.observe(metrics, record.is_update_skipped)
        self.reporter.report_step(step, metrics, rows, [*told_elsewhere, *alerts])
        self._note_skipped(step, skipped)
        if stop := self.guards.stop_reason(alerts, self._restart):
            raise stop
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, logs)

    @override
    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        is_last = self.state.global_step >= self.config.optim.num_steps
        with self.reporter.phase("save"):
            self.saver.save(self, "raise" if is_last else "count")

    @override
    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Nothing: the policy was loaded from the checkpoint before the trainer was made."""

    @override
    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            self.saver.load(self, Path(checkpoint))

    @override
    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            saved_state.load_random_state(Path(checkpoint), self.args.process_index)

    @override
    def _send_telemetry(self) -> None:
        """Nothing: a run tells nobody."""

    def _on_device(self, reference: Reference | None) -> Reference | None:
        if reference is None or reference.model is None:
            return reference
        model, rollout = reference.model.eval(), self.config.rollout
        if self.config.reference.device != SAME_DEVICE:
            model = model.to(self.config.reference.device)
        elif not is_sharded(model):
            model = self.accelerator.prepare_model(model, evaluation_mode=True)
        install_scoring(base_model(model), rollout.temperature, rollout.engine)
        return replace(reference, model=model)

    def _piece_loss(
        self, model: Any, inputs: dict[str, Any], piece: tuple[int, int]
    ) -> tuple[TokenScores, SequenceLosses, Tensor]:
        """Scores, losses and share of the step's loss of some rows of a pass."""
        groups, ref_logps_NL, (first, last) = inputs["groups"], inputs["ref_logps_NL"], piece
        batch, rows = part_of(groups.batch, first, last), slice(first, last)
        scores = model(scoring=batch)
        losses = sequence_losses(
            scores.logps_NL,
            None if ref_logps_NL is None else ref_logps_NL[rows],
            batch.completion_mask_NL,
            groups.advantages_N[rows],
            self.config.objective,
        )
        share = (last - first) / self.args.per_device_train_batch_size
        loss = losses.total(self.beta) * share / self.current_gradient_accumulation_steps
        # A loss that is not finite must leave a gradient that is not either, on all processes.
        return scores, losses, loss if bool(loss.isfinite()) else loss * math.nan

    def _upcoming(self, places: Sequence[int]) -> list[VideoSample]:
        """The questions of this process's next backward pass, after one of these places."""
        following = next_places(places, self.args.world_size, self.num_prompts)
        return [self.samples[self.order[place]] for place in following]

    def _reference_logps(self, groups: Groups | None) -> Tensor | None:
        if self.reference is None:
            return None
        with self.reporter.phase("score"), gathered(self.reference.scorer(self.policy)):
            if groups is None:
                return None
            reference = self.reference
            if self.config.record.bias_answers:
                note_bias_answers(
                    groups,
                    reference,
                    self.policy,
                    self.processor,
                    self.config,
                    self.collector.should_stop,
                )
            return self.micro_batch.score(
                lambda batch: reference.score(self.policy, batch), groups.batch
            )

    def _restart(self, setting: str) -> str:
        """How to begin again with a guard off, or with half the learning rate."""
        store, rate = self.saver.store, self.config.optim.learning_rate
        checkpoint = next(map(store.paths.checkpoint_dir, reversed(store.steps())), None)
        value = "none" if setting.startswith("guards.") else f"{rate / 2:g}"
        return restart_hint(store.paths, self.config, checkpoint, setting, value)

    def _refuse_twin(self, agrees: bool) -> None:
        """Before the first update, a reference that agrees on every token is the policy itself."""
        if self.reference is None or self.reference.path == SELF or self.state.global_step > 0:
            return
        if agrees:
            raise ConfigError(
                f"the reference {self.reference.path} gives every token the policy's own "
                "probability: the run would push the policy away from itself",
                "Name a bias model that was trained, or ask for the ablation: --reference self.",
            )

    def _note_skipped(self, step: int, skipped: Sequence[Skipped]) -> None:
        for one in skipped:
            self.skipped_ids.add(one.sample_id)
            self.reporter.skipped(step, one)
        num_skipped, num_samples = len(self.skipped_ids), len(self.samples)
        if skipped and num_skipped / num_samples > self.config.data.max_skipped_frac:
            raise DataError(
                f"{num_skipped} of {num_samples} questions could not be asked, more than "
                f"data.max_skipped_frac allows; the last: {skipped[-1].reason}",
                "Mend or remove these clips, or raise data.max_skipped_frac.",
            )
