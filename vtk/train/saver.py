"""What a training checkpoint holds, and how a trainer is put back to where it was.

The folder is a model folder: `from_pretrained` reads weights, config and processor from it (with
LoRA: the adapter and the name of its base). Beside these lie optimizer, schedule, random state and
progress, none of them a pickle.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from accelerate.utils import gather_object
from safetensors import SafetensorError
from torch import Tensor
from transformers.trainer import TRAINER_STATE_NAME

from vtk.errors import DataError, VtkError
from vtk.models.adapters import POLICY_ADAPTER
from vtk.runs.files import storage_error
from vtk.train import saved_state
from vtk.train.checkpoint import CheckpointStore
from vtk.train.guards import Alert
from vtk.train.sharding import whole_moments, whole_weights

if TYPE_CHECKING:
    from vtk.train.trainer import CDPOTrainer

MAX_FAILED_SAVES = 2

OnFault = Literal["count", "raise", "tell"]


class Saver:
    """Saves and restores one run's trainer.

    A save that fails (a full disk) leaves the last checkpoint as it is and is an alert; training
    goes on until two in a row have failed.

    Args:
        store: Where the checkpoints are.
        facts: What every manifest says of the run: hashes of its data and its reference, and its
            prompts per step, which decide batches and order.

    Attributes:
        saved: Step and beta of the newest checkpoint, saved or loaded; None before the first.
    """

    def __init__(self, store: CheckpointStore, facts: Mapping[str, Any]) -> None:
        self.store, self.facts = store, dict(facts)
        self._num_failed = 0
        self.saved: tuple[int, float] | None = None

    def save(self, trainer: "CDPOTrainer", on_fault: OnFault = "count") -> None:
        """Write a checkpoint of the trainer's last optimizer step.

        Args:
            trainer: Whose state to save.
            on_fault: "count" raises the second fault in a row; "raise" the first, because the
                process is about to end; "tell" none, because the run waits and loses nothing.

        Raises:
            VtkError: The save failed, and so did the one before.
        """
        step = trainer.state.global_step
        fault = self._try_save(trainer, step)
        if fault is None:
            self._num_failed, self.saved = 0, (step, trainer.beta)
            self._make_room(trainer, step)
            path = self.store.paths.checkpoint_dir(step).relative_to(self.store.paths.root)
            trainer.reporter.emit("checkpoint_saved", step=step, path=str(path))
            return
        message = f"{fault.message}. {fault.hint}" if fault.hint else fault.message
        if on_fault == "tell":
            trainer.reporter.alert(step, Alert("save_failed", message))
            return
        self._num_failed += 1
        alert = Alert("save_failed", message, self._num_failed, MAX_FAILED_SAVES)
        trainer.reporter.alert(step, alert)
        if on_fault == "raise" or self._num_failed >= MAX_FAILED_SAVES:
            raise fault

    def load(self, trainer: "CDPOTrainer", folder: Path) -> None:
        """Put back optimizer, schedule and progress; the weights are there already.

        Raises:
            DataError: The checkpoint belongs to other data or another reference.
        """
        progress = saved_state.load_progress(folder)
        for name, value in self.facts.items():
            saved = progress["facts"].get(name, value)  # older checkpoints say less
            if saved != value:
                raise DataError(
                    f"{folder} was saved with another {name.replace('_', ' ')} than the run has "
                    f"now: {saved}, not {value}",
                    "Put the file or model back as it was, or start a new run.",
                )
        saved_state.load_optimizer(folder, trainer.optimizer)
        saved_state.load_schedule(folder, trainer.lr_scheduler)
        trainer.beta = progress["beta"]
        self.saved = (progress["step"], progress["beta"])
        trainer.guards.restore(progress["guards"])
        trainer.skipped_ids = set(progress["skipped_ids"])
        trainer.evaluated_step = progress["evaluated_step"]
        trainer.micro_batch.keep_to(progress.get("micro_batch_rows"))  # older ones have none

    def _make_room(self, trainer: "CDPOTrainer", step: int) -> None:
        """Delete what is too old; the new checkpoint is whole, so a fault is no more than told."""
        if not trainer.accelerator.is_main_process:
            return
        fault = _fault_of(self.store.delete_old, self.store.paths.checkpoints_dir)
        if fault is not None:
            message = f"{fault.message}. {fault.hint}"
            trainer.reporter.alert(step, Alert("old_checkpoint_stays", message))

    def _try_save(self, trainer: "CDPOTrainer", step: int) -> VtkError | None:
        """Save on all processes together; the first fault that any of them met."""
        folder, rank = self.store.temporary_dir(step), trainer.accelerator.process_index
        weights, moments = whole_weights(trainer.policy), whole_moments(trainer.optimizer)
        least_rows = min(gather_object([trainer.micro_batch.num_rows]))
        parts: list[tuple[Callable[[], object], bool]] = [
            (lambda: self.store.require_space(_num_bytes(trainer, weights, moments)), False),
            (
                lambda: _fill(
                    trainer, self.store.begin(step), self.facts, weights, moments, least_rows
                ),
                False,
            ),
            (lambda: saved_state.save_random_state(folder, rank), True),
            (lambda: self.store.commit(folder, step, self.facts), False),
        ]
        for part, is_for_all in parts:
            is_mine = is_for_all or rank == 0
            faults: list[VtkError | None] = gather_object(
                [_fault_of(part, folder) if is_mine else None]
            )
            fault = next((found for found in faults if found is not None), None)
            if fault is not None:
                if rank == 0:
                    self.store.discard(folder)
                return fault
        return None


def _fault_of(part: Callable[[], object], folder: Path) -> VtkError | None:
    """What the disk refused, as a value: all processes must learn of it before any goes on."""
    try:
        part()
    except VtkError as error:
        return error
    except OSError as error:
        return storage_error(folder, error)
    except SafetensorError as error:
        return VtkError(f"cannot write {folder}: {error}", "Free some space on its disk.")
    return None


def _num_bytes(
    trainer: "CDPOTrainer", weights: Mapping[str, Tensor] | None, moments: Mapping[str, Tensor]
) -> int:
    """Bytes of the weights that are saved and of the optimizer's state."""
    if weights is None:
        is_adapter = hasattr(trainer.policy, "peft_config")
        named = trainer.policy.named_parameters()
        weights = {name: p for name, p in named if p.requires_grad or not is_adapter}
    return sum(tensor.nbytes for tensor in (*weights.values(), *moments.values()))


def _fill(
    trainer: "CDPOTrainer",
    folder: Path,
    facts: Mapping[str, Any],
    weights: dict[str, Tensor] | None,
    moments: Mapping[str, Tensor],
    least_rows: int,
) -> None:
    policy = trainer.policy
    options: dict[str, Any] = {} if weights is None else {"state_dict": weights}
    if hasattr(policy, "peft_config"):
        options |= {"selected_adapters": [POLICY_ADAPTER], "save_embedding_layers": False}
    policy.save_pretrained(folder, **options)
    trainer.processor.save_pretrained(folder)
    saved_state.save_optimizer(folder, moments)
    saved_state.save_schedule(folder, trainer.lr_scheduler)
    trainer.state.save_to_json(str(folder / TRAINER_STATE_NAME))
    progress = {
        "step": trainer.state.global_step,
        "beta": trainer.beta,
        "guards": trainer.guards.state(),
        "skipped_ids": sorted(trainer.skipped_ids),
        "evaluated_step": trainer.evaluated_step,
        "micro_batch_rows": least_rows,
        "facts": dict(facts),
    }
    saved_state.save_progress(folder, progress)
