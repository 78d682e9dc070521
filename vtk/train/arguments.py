"""What TRL and transformers are told: every value that could matter is set, none left to a default.

Their progress bars, loggers, savers, evaluation and model cards are off; `CDPOTrainer` does these.
"""

import warnings
from pathlib import Path
from typing import Any, Final

import torch
from trl.trainer.grpo_config import GRPOConfig

from vtk.config.schema import VtkConfig
from vtk.config.sections import ObjectiveSettings, OptimSettings, RolloutSettings

_NOT_THE_LIBRARYS_WORK: Final[dict[str, Any]] = {
    "remove_unused_columns": False,  # data are indices; decoding happens in the step
    "dataloader_num_workers": 0,
    "dataloader_pin_memory": False,
    "dataloader_drop_last": False,
    "report_to": "none",
    "disable_tqdm": True,
    "log_level": "error",
    "logging_strategy": "steps",
    "logging_steps": 1,
    "logging_nan_inf_filter": False,
    "log_completions": False,
    "save_strategy": "no",
    "eval_strategy": "no",
    "push_to_hub": False,
    "ddp_broadcast_buffers": False,  # they are constants, and a forward that is made again is alone
}


def training_arguments(config: VtkConfig, output_dir: Path) -> GRPOConfig:
    """The library's settings for a run.

    A batch of the library is one backward pass: every prompt of a device with all of its
    completions, sampled for that pass.

    Args:
        config: The run's settings.
        output_dir: A folder that the library may create; nothing is written there.
    """
    with warnings.catch_warnings():
        # TRL 1.16 itself sets the name that transformers 5.23 renames.
        warnings.filterwarnings("ignore", message="`gradient_checkpointing` is deprecated")
        arguments = GRPOConfig(
            output_dir=str(output_dir),
            seed=config.seed,
            data_seed=config.seed,
            per_device_train_batch_size=config.optim.prompts_per_device
            * config.rollout.num_generations,
            gradient_accumulation_steps=config.optim.accumulation_steps,
            gradient_checkpointing=config.model.gradient_checkpointing,
            # The model computes in its own number format, without autocast.
            bf16=False,
            fp16=False,
            use_cpu=not torch.cuda.is_available(),
            **_objective(config.objective),
            **_sampling(config.rollout),
            **_optimizer(config.optim),
            **_NOT_THE_LIBRARYS_WORK,
        )
    if arguments.n_gpu > 1:  # the reference model's; the library would split every batch over them
        arguments._n_gpu = 1
    return arguments


def _objective(objective: ObjectiveSettings) -> dict[str, Any]:
    """The replaced loss reads the run's settings; these keep the library consistent.

    beta is 0 so that the library loads no reference; the trainer is given the run's own afterwards.
    """
    return {
        "beta": 0.0,
        "loss_type": "grpo",
        "num_iterations": 1,
        "steps_per_generation": 1,
        "epsilon": objective.clip_low,
        "epsilon_high": objective.clip_high,
        "scale_rewards": "group",
        "use_bias_correction_kl": False,
        "disable_dropout": False,
    }


def _sampling(rollout: RolloutSettings) -> dict[str, Any]:
    return {
        "num_generations": rollout.num_generations,
        "max_completion_length": rollout.max_completion_tokens,
        "temperature": rollout.temperature,
        "top_p": rollout.top_p,
        "top_k": rollout.top_k,
        "min_p": rollout.min_p or None,
        "repetition_penalty": rollout.repetition_penalty,
        "use_vllm": False,
    }


def _optimizer(optim: OptimSettings) -> dict[str, Any]:
    is_flat_after = optim.schedule == "constant" and optim.warmup_steps > 0
    return {
        "optim": "adamw_torch",
        "learning_rate": optim.learning_rate,
        # The library's "constant" has no warm-up.
        "lr_scheduler_type": "constant_with_warmup" if is_flat_after else optim.schedule,
        "warmup_steps": optim.warmup_steps,
        "weight_decay": optim.weight_decay,
        "adam_beta1": optim.adam_beta1,
        "adam_beta2": optim.adam_beta2,
        "max_grad_norm": optim.max_grad_norm,
        "max_steps": optim.num_steps,
    }
