"""One attempt at a training run, from its directory to its last step. The three stages differ only
in their configuration: bias and grpo have no KL term, cdpo repels from a reference."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import PartialState

from vtk.config.schema import VtkConfig, describe_attention, describe_objective
from vtk.data.sample import default_video_root, load_samples
from vtk.data.verdicts import known_problems
from vtk.errors import ConfigError, Interrupted
from vtk.models.loader import attention_kernel, number_format
from vtk.runs.control import answer_leftovers
from vtk.runs.ranks import RankReporter, fault_of_peers
from vtk.runs.store import RunPaths
from vtk.runs.writer import EventWriter
from vtk.system.gpu import GpuMonitor
from vtk.train.batch import keep_batch, prompts_per_step
from vtk.train.callbacks import StepBoundary, StopSignal, error_of_signal
from vtk.train.checkpoint import CheckpointStore
from vtk.train.dataset import choose_samples
from vtk.train.evaluation import HeldOutEvaluation
from vtk.train.groups import GroupCollector
from vtk.train.inputs import TrainingInputs
from vtk.train.policy import Start, load_start
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


def run_attempt(attempt: Attempt) -> None:
    """Train to the last step.

    Raises:
        Interrupted: Stopped from outside; what was done is saved.
        UserInterrupt: Likewise, by Ctrl-C.
        VtkError: Anything else that a user can meet.
    """
    step, events = attempt.resumed_from_step or 0, attempt.events
    reporter = Reporter(events, attempt.ranks, step)
    if events is not None and events.attempt > 1:
        answer_leftovers(attempt.paths, step, events.emit)
    with reporter.phase("load"):
        trainer, evaluate = _assemble(attempt, reporter)
    with closing(trainer.collector) as collector, GpuMonitor() as gpus:
        is_main = trainer.accelerator.is_main_process
        boundary = StepBoundary(
            trainer, attempt.paths, attempt.stop, evaluate, gpus if is_main else None
        )
        trainer.add_callback(boundary)
        reporter.gpus = gpus if is_main else None
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
    inputs, state = attempt.inputs, PartialState()
    config = _settled(attempt, state.num_processes)
    attempt = replace(attempt, config=config)
    inputs.refuse_other_data()
    data = config.data
    samples = choose_samples(
        load_samples(Path(inputs.train)), data.max_samples, data.stratify, config.seed
    )
    start, reference = _load_models(attempt, reporter)
    policy, processor = start.policy, start.processor
    store = CheckpointStore(attempt.paths, config.checkpoint.keep)
    facts: dict[str, Any] = {
        "training_data_sha256": inputs.train_sha256,
        "prompts_per_step": prompts_per_step(config, state.num_processes),
        "dtype": config.model.dtype,
    }
    if reference is not None:
        facts["reference_sha256"] = reference.sha256
    if start.base_sha256 is not None:
        facts["base_sha256"] = start.base_sha256
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


def _settled(attempt: Attempt, num_processes: int) -> VtkConfig:
    """The settings of one attempt: batch and number format stay what the run's first step had.

    Raises:
        ConfigError: The processes cannot share the batch equally.
    """
    config, checkpoint = attempt.config, attempt.checkpoint
    facts = {} if checkpoint is None else load_progress(checkpoint)["facts"]
    if checkpoint is not None:
        config = keep_batch(config, facts["prompts_per_step"], num_processes)
    # Another machine would mean another format by "auto", which no optimizer state fits.
    dtype = facts.get("dtype") or number_format(config.model.dtype)
    model = config.model.model_copy(update={"dtype": dtype})
    return config.model_copy(update={"model": model})


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


def _load_models(attempt: Attempt, reporter: Reporter) -> tuple[Start, Reference | None]:
    """Policy and reference, their identities written to the log."""
    config, inputs = attempt.config, attempt.inputs
    start = load_start(inputs.model, attempt.checkpoint, config)
    policy = start.policy
    reference = None
    if inputs.reference is not None:
        reference = load_reference(policy, inputs.reference, inputs.model, config)
        if attempt.checkpoint is None:
            refuse_equal(start.sha256, inputs.model, reference)
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
            "sha256": start.sha256,
            "num_parameters": sum(parameter.numel() for parameter in policy.parameters()),
            "num_trained_parameters": sum(parameter.numel() for parameter in trained),
            "num_held_parameters": sum(local(weight).numel() for weight in policy.parameters()),
            "dtype": str(policy.dtype).removeprefix("torch."),
            "attention": describe_attention(attention_kernel(policy), config.rollout.engine),
            "is_lora": config.lora.enabled,
        },
        reference=None
        if reference is None
        else {"path": reference.path, "kind": reference.kind, "sha256": reference.sha256},
    )
    return start, reference
