"""Every name of TRL and transformers that `CDPOTrainer` relies on; one that moved fails here."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import trl
from transformers import Trainer
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from vtk.train.trainer import CDPOTrainer

REPLACED: dict[str, list[str]] = {
    "create_optimizer": ["model"],
    "_get_train_sampler": ["dataset"],
    "training_step": ["model", "inputs", "num_items_in_batch"],
    "_prepare_inputs": ["generation_batch"],
    "compute_loss": ["model", "inputs", "return_outputs", "num_items_in_batch"],
    "_get_grad_norm": ["model", "grad_norm"],
    "log": ["logs", "start_time"],
    "_save_checkpoint": ["model", "trial"],
    "_load_from_checkpoint": ["resume_from_checkpoint", "model"],
    "_load_optimizer_and_scheduler": ["checkpoint"],
    "_load_rng_state": ["checkpoint"],
    "_send_telemetry": [],
}
"""Method of the libraries that is replaced, and its arguments."""


def test_the_minor_version_is_the_one_that_was_read() -> None:
    assert trl.__version__.split(".")[:2] == ["1", "16"]


@pytest.mark.parametrize("name", REPLACED)
def test_replaced_methods_are_there_with_their_arguments(name: str) -> None:
    theirs = inspect.signature(getattr(GRPOTrainer, name))
    ours = inspect.signature(getattr(CDPOTrainer, name))
    assert list(theirs.parameters) == list(ours.parameters) == ["self", *REPLACED[name]]


def test_nothing_else_is_replaced() -> None:
    own = {name for name, value in vars(CDPOTrainer).items() if callable(value)}
    assert {name for name in own if hasattr(GRPOTrainer, name)} == {*REPLACED, "__init__"}


def _source(function: Callable[..., Any]) -> str:
    return inspect.getsource(inspect.unwrap(function))


def test_attributes_that_are_read_exist() -> None:
    source = _source(GRPOTrainer.__init__) + _source(Trainer.__init__)
    assert "self._metrics = " in source
    assert "self.callback_handler = " in source
    assert "self.accelerator" in _source(Trainer.create_accelerator_and_postprocess)
    assert "self.current_gradient_accumulation_steps = " in _source(Trainer._run_epoch)
    assert GRPOTrainer.loss_is_scaled_for_ga is True


def test_the_loop_calls_in_the_order_that_is_relied_on() -> None:
    """Gradient norm, then the update, then the callbacks of the step, then log, then save."""
    epoch, after = _source(Trainer._run_epoch), _source(Trainer._maybe_log_save_evaluate)
    places = [
        epoch.index(call)
        for call in (
            "self._get_grad_norm(",
            "self.optimizer.step()",
            "self.callback_handler.on_step_end(",
            "self._maybe_log_save_evaluate(",
        )
    ]
    assert places == sorted(places)
    assert after.index("self.log(") < after.index("self._save_checkpoint(")


def test_settings_that_are_given_exist() -> None:
    known = inspect.signature(GRPOConfig.__init__).parameters
    given = {"use_bias_correction_kl", "steps_per_generation", "num_iterations", "epsilon_high"}
    assert given <= set(known)
