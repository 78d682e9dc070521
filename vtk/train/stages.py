"""One attempt at a training run, from its directory to its last step. The three stages differ only
in their configuration: bias and grpo have no KL term, cdpo repels from a reference."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from peft import set_peft_model_state_dict
from safetensors.torch import load_file

from vtk.config.schema import VtkConfig, describe_objective
from vtk.data.sample import default_video_root, load_samples
from vtk.data.verdicts import known_problems
from vtk.errors import ConfigError, DataError, Interrupted
from vtk.models.adapters import POLICY_ADAPTER, attach_policy_adapter
from vtk.models.loader import attention_kernel, load_policy, weights_hash
from vtk.runs.files import read_json
from vtk.runs.ranks import RankReporter, fault_of_peers
from vtk.runs.store import RunPaths
from vtk.runs.writer import EventWriter
from vtk.system.gpu import GpuMonitor
from vtk.train.batch import keep_batch, prompts_per_step
from vtk.train.callbacks import StepBoundary, StopSignal, error_of_signal
from vtk.train.checkpoint import CheckpointStore
from vtk.train.dataset import choose_samples, derive_seed
from vtk.train.evaluation import HeldOutEvaluation
from vtk.train.groups import GroupCollector
from vtk.train.inputs import TrainingInputs
from vtk.train.reference import Reference, load_reference, refuse_equal
from vtk.train.reporting import Reporter
from vtk.train.saved_state import load_progress
from vtk.train.saver import Saver
from vtk.train.sharding import local, shard
from vtk.train.trainer import CDPOTrainer


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt at a run is given.

    Attributes:
        paths: The run.
        config: Its settings.
        inputs: Its models and files, as pinned when the run was created.
        resumed_from_step: The checkpoint to go on from; None starts from the beginning.
        events: The run's event log on the main process, else None.
        stop: The process's stop signal.
        ranks: Told what this process does; None if it is the only one.
    """

    paths: RunPaths
    config: VtkConfig
    inputs: TrainingInputs
    resumed_from_step: int | None
    events: EventWriter | None
    stop: StopSignal
    ranks: RankReporter | None = None

    @property
    def checkpoint(self) -> Path | None:
        """The folder to go on from."""
        step = self.resumed_from_step
        return None if step is None else self.paths.checkpoint_dir(step)


def read_config(paths: RunPaths) -> VtkConfig:
    """The settings that a run was created with."""
    return VtkConfig.model_validate(read_json(paths.config_json)["config"])


def run_attempt(attempt: Attempt) -> None:
    """Train to the last step.

    Raises:
        Interrupted: Stopped from outside; what was done is saved.
        UserInterrupt: Likewise, by Ctrl-C.
        VtkError: Anything else that a user can meet.
    """
    reporter = Reporter(attempt.events, attempt.ranks, attempt.resumed_from_step or 0)
    with reporter.phase("load"):
        trainer, evaluate = _assemble(attempt, reporter)
    with closing(trainer.collector) as collector, GpuMonitor() as gpus:
        is_main = trainer.accelerator.is_main_process
        boundary = StepBoundary(
            trainer, attempt.paths, attempt.stop, evaluate, gpus if is_main else None
        )
        trainer.add_callback(boundary)
        try:
            folder = attempt.checkpoint
            trainer.train(resume_from_checkpoint=None if folder is None else str(folder))
        except Interrupted:
            trainer.save_now()
            if attempt.stop.received is None:
                raise
            is_saved = trainer.state.global_step > 0
            raise error_of_signal(attempt.stop.received, attempt.paths, is_saved=is_saved) from None
    disk = collector.clips.disk
    reporter.emit(
        "phase",
        name="end",
        num_prefetched=collector.prefetch.num_foreseen,
        pixel_cache=None if disk is None else asdict(disk.counts),
    )
    if boundary.stopped_by is not None:
        raise boundary.stopped_by


def _assemble(
    attempt: Attempt, reporter: Reporter
) -> tuple[CDPOTrainer, Callable[[int], None] | None]:
    inputs, state, checkpoint = attempt.inputs, PartialState(), attempt.checkpoint
    config = attempt.config
    if checkpoint is not None:
        num_prompts = load_progress(checkpoint)["facts"]["prompts_per_step"]
        config = keep_batch(config, num_prompts, state.num_processes)
    data = config.data
    samples = choose_samples(
        load_samples(Path(inputs.train)), data.max_samples, data.stratify, config.seed
    )
    policy, processor, reference = _load_models(attempt, reporter)
    store = CheckpointStore(attempt.paths, config.checkpoint.keep)
    facts: dict[str, Any] = {
        "training_data_sha256": inputs.train_sha256,
        "prompts_per_step": prompts_per_step(config, state.num_processes),
    }
    if reference is not None:
        facts["reference_sha256"] = reference.sha256
    is_alone = state.num_processes == 1
    should_stop = attempt.stop.is_set if is_alone else partial(_is_deserted, attempt, state)
    collector = GroupCollector(processor, config, reporter, should_stop, attempt.paths.frames_dir)
    collector.clips.refuse(known_problems(default_video_root(Path(inputs.train))))
    trainer = CDPOTrainer(
        policy,
        processor,
        config,
        samples,
        reference=reference,
        collector=collector,
        reporter=reporter,
        saver=Saver(store, facts),
    )
    _refuse_sharding(trainer)
    if inputs.validation is None:
        return trainer, None
    evaluate = HeldOutEvaluation(
        policy,
        processor,
        config,
        load_samples(Path(inputs.validation)),
        inputs.suite,
        collector=collector,
        reporter=reporter,
        should_stop=should_stop,
        rank=state.process_index,
        num_processes=state.num_processes,
    )
    return trainer, evaluate


def _is_deserted(attempt: Attempt, state: PartialState) -> bool:
    """No: of several processes none may leave a step alone, they stop together between steps.

    Raises:
        VtkError: A launcher asks to stop because another process has broken the run.
    """
    if attempt.stop.is_set():
        fault = fault_of_peers(attempt.paths, state.process_index, patience_s=0)
        if fault is not None:
            raise fault
    return False


def _refuse_sharding(trainer: CDPOTrainer) -> None:
    """Sharding by a launcher's plug-in: sampling and checkpoints would meet cut weights."""
    if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        raise ConfigError(
            "the accelerate configuration asks for DeepSpeed or FSDP, and a run shards by itself",
            "Start it with `vtk train-cdpo --accelerate-config FILE`, which takes over what the "
            "file cuts, or set distributed_type: MULTI_GPU there and model.sharding in the run.",
        )


def _load_models(attempt: Attempt, reporter: Reporter) -> tuple[Any, Any, Reference | None]:
    """Policy, processor and reference, their identities written to the log."""
    config, inputs = attempt.config, attempt.inputs
    policy, processor, start_sha256 = _load_policy(attempt)
    reference = None
    if inputs.reference is not None:
        reference = load_reference(policy, inputs.reference, inputs.model, config)
        if attempt.checkpoint is None:
            refuse_equal(start_sha256, inputs.model, reference)
    if config.model.sharding != "none" and PartialState().num_processes > 1:
        shard(policy, keeps_until_backward=config.model.sharding == "zero2")
        if reference is not None and reference.model is not None:
            shard(reference.model)
    trained = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    reporter.emit(
        "phase",
        name="load",
        objective=describe_objective(config),
        policy={
            "path": str(attempt.checkpoint or inputs.model),
            "sha256": start_sha256,
            "num_parameters": sum(parameter.numel() for parameter in policy.parameters()),
            "num_trained_parameters": sum(parameter.numel() for parameter in trained),
            "num_held_parameters": sum(local(weight).numel() for weight in policy.parameters()),
            "dtype": str(policy.dtype).removeprefix("torch."),
            "attention": attention_kernel(policy),
            "is_lora": config.lora.enabled,
        },
        reference=None
        if reference is None
        else {"path": reference.path, "kind": reference.kind, "sha256": reference.sha256},
    )
    return policy, processor, reference


def _load_policy(attempt: Attempt) -> tuple[Any, Any, str]:
    """The policy where the attempt begins, its processor, and the hash of its weights.

    A new adapter adds nothing yet, so the hash of a LoRA policy is that of its base until it is
    resumed.
    """
    config, checkpoint = attempt.config, attempt.checkpoint
    if not config.lora.enabled:
        policy, processor = load_policy(checkpoint or attempt.inputs.model, config.model)
        return policy, processor, weights_hash(policy)
    base, processor = load_policy(attempt.inputs.model, config.model)
    start_sha256 = weights_hash(base)
    torch.manual_seed(derive_seed(config.seed, "adapter"))
    policy = attach_policy_adapter(base, config.lora)
    if checkpoint is not None:
        _restore_adapter(policy, checkpoint)
        start_sha256 = weights_hash(policy, adapter=POLICY_ADAPTER)
    return policy, processor, start_sha256


def _restore_adapter(policy: Any, folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        raise DataError(f"{folder} holds no adapter, but the run trains one (lora.enabled)")
    report: Any = set_peft_model_state_dict(policy, load_file(path), adapter_name=POLICY_ADAPTER)
    absent = [name for name in report.missing_keys if f".{POLICY_ADAPTER}." in name]
    if absent or report.unexpected_keys:
        raise DataError(f"{path} does not fit the policy: {(absent + report.unexpected_keys)[0]}")
