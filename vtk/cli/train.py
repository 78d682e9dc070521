"""`vtk train-bias`, `vtk train-cdpo`, `vtk train-grpo`: the two stages and the plain baseline."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtk.cli.config import ConfigFile, parse_assignments
from vtk.cli.console import Console
from vtk.cli.options import DEFAULT_DATA_DIR, DEFAULT_RUNS_DIR, DataDir, Json, folder_options
from vtk.cli.plan import show_plan, show_took
from vtk.cli.train_options import (
    SETTINGS,
    AccelerateConfig,
    Accumulation,
    Assignments,
    Attention,
    BatchSize,
    Beta,
    BiasModel,
    Data,
    DryRun,
    LearningRate,
    Lora,
    MachineRank,
    MainAddress,
    MainPort,
    MaxCompletion,
    MaxGradNorm,
    MaxPrompt,
    Model,
    Name,
    NumGenerations,
    NumMachines,
    NumProcesses,
    NumSteps,
    OutputDir,
    Preset,
    RepulsionForm,
    Resume,
    Run,
    SaveSteps,
    Seed,
)
from vtk.errors import ConfigError

if TYPE_CHECKING:
    from vtk.config.loading import Resolved
    from vtk.runs.store import RunPaths
    from vtk.system.launchers import Processes


def _command(stage: str, sentence: str) -> Callable[..., None]:
    """The command of one stage; the three differ in nothing but their stage."""

    def command(
        run: Run = None,
        preset: Preset = None,
        config: ConfigFile = None,
        data: Data = None,
        model: Model = None,
        bias_model: BiasModel = None,
        beta: Beta = None,
        repulsion: RepulsionForm = None,
        lora: Lora = None,
        max_steps: NumSteps = None,
        num_generations: NumGenerations = None,
        seed: Seed = None,
        assignments: Assignments = None,
        name: Name = None,
        resume: Resume = False,
        dry_run: DryRun = False,
        num_processes: NumProcesses = None,
        accelerate_config: AccelerateConfig = None,
        num_machines: NumMachines = 1,
        machine_rank: MachineRank = 0,
        main_address: MainAddress = None,
        main_port: MainPort = 29500,
        learning_rate: LearningRate = None,
        per_device_train_batch_size: BatchSize = None,
        gradient_accumulation_steps: Accumulation = None,
        max_grad_norm: MaxGradNorm = None,
        max_prompt_length: MaxPrompt = None,
        max_completion_length: MaxCompletion = None,
        save_steps: SaveSteps = None,
        attn_implementation: Attention = None,
        data_dir: DataDir = DEFAULT_DATA_DIR,
        runs_dir: OutputDir = DEFAULT_RUNS_DIR,
        as_json: Json = False,
    ) -> None:
        _train(stage, locals() | {"stage": stage})

    command.__doc__ = sentence
    return command


def _train(stage: str, given: Mapping[str, Any]) -> None:
    from vtk.launch import create_training_run
    from vtk.runs.store import require_run_name

    console = Console(given["as_json"])
    processes = _processes(given)
    if given["resume"]:
        _resume(stage, given, processes, console)
        return
    if given["run"] is not None:
        raise ConfigError(
            f"{given['run']!r} is one word too many.", f"Go on with a run: --resume {given['run']}"
        )
    resolved = _resolve(stage, given, processes)
    if given["name"] is not None:
        require_run_name(given["name"])
    if given["dry_run"]:
        show_plan(resolved, given["data_dir"], given["runs_dir"], processes, console)
        return
    if processes.machines.rank > 0:
        _join(given, processes, console)
        return
    paths = create_training_run(
        resolved,
        data_dir=given["data_dir"],
        runs_dir=given["runs_dir"],
        name=given["name"],
        argv=sys.argv,
        processes=processes,
    )
    _run(paths, resolved, processes, _folders(given), console)


def _processes(given: Mapping[str, Any]) -> "Processes":
    from vtk.system.accelerate_files import find_accelerate_file
    from vtk.system.launchers import Machines, Processes

    place = (given[name] for name in ("num_machines", "machine_rank", "main_address", "main_port"))
    file = given["accelerate_config"]
    found = None if file is None else find_accelerate_file(file)
    return Processes(given["num_processes"], found, Machines(*place))


def _join(given: Mapping[str, Any], processes: "Processes", console: Console) -> None:
    """On every machine but the first: take part in the run that the first one makes."""
    from vtk.config.loading import load_config
    from vtk.launch import join_run

    stage, name = given["stage"], given["name"]
    if name is None:
        raise ConfigError(
            "the machines of a run find each other's folder by its name",
            "Give the same --name on every machine.",
        )
    paths = join_run(given["runs_dir"], name)
    resolved = load_config(stage, config_file=paths.config_json, environ={})
    processes.require_sharding(resolved.config.model.sharding)
    _run(paths, resolved, processes, _folders(given), console)


def _folders(given: Mapping[str, Any]) -> str:
    return folder_options(data_dir=given["data_dir"], runs_dir=given["runs_dir"])


def _resolve(stage: str, given: Mapping[str, Any], processes: "Processes") -> "Resolved":
    """The settings: options first, then --set, so that both name a value's source."""
    from vtk.config.loading import load_config
    from vtk.data.registry import DATASETS

    overrides = {key: given[option] for option, key in SETTINGS.items()}
    overrides["model.sharding"] = processes.sharding
    data = given["data"]
    if data in DATASETS:
        overrides["data.dataset"] = data
    elif data is not None:
        if not Path(data).is_file():
            known = f"Known data sets: {', '.join(DATASETS)}."
            raise ConfigError(f"--data {data!r} is neither a data set nor a file.", hint=known)
        overrides["data.train"] = str(Path(data).absolute())
    resolved = load_config(
        stage,
        given["preset"],
        given["config"],
        overrides | parse_assignments(given["assignments"]),
    )
    processes.require_sharding(resolved.config.model.sharding)
    return resolved


def _run(
    paths: "RunPaths",
    resolved: "Resolved",
    processes: "Processes",
    folders: str,
    console: Console,
) -> None:
    """Launch an attempt, show how far it is, and say what came of it."""
    from vtk.cli.progress import show_progress
    from vtk.cli.training import Narrator, summary
    from vtk.config.schema import describe_objective
    from vtk.launch import launch

    config = resolved.config
    console.note(f"Run {paths.run_id} in {paths.root}: {describe_objective(config)}.", style="")
    with show_progress(console, "Training", config.optim.num_steps, "steps") as progress:
        state = launch(paths, processes, Narrator(console, progress))
    document = summary(paths, state, describe_objective(config))
    console.say(f"Finished {paths.run_id}; the model is in {document['checkpoint']}.")
    document |= show_took(paths, console)
    console.document(document)
    suite = config.data.dataset or "SUITE"
    console.next_command(f"vtk eval {suite} --model {paths.run_id}{folders}", "judge it")


def _resume(stage: str, given: Mapping[str, Any], processes: "Processes", console: Console) -> None:
    from vtk.cli.training import find_resumable
    from vtk.config.loading import load_config

    options = [*SETTINGS, "preset", "config", "data", "assignments", "name"]
    changed = [option for option in options if given[option] is not None]
    if changed:
        raise ConfigError(
            f"--resume takes all settings from the run, but --{changed[0].replace('_', '-')} was "
            "given.",
            "Leave it out, or start a new run.",
        )
    is_first = processes.machines.rank == 0
    paths = find_resumable(given["runs_dir"], stage, given["run"], is_first)
    resolved = load_config(stage, config_file=paths.config_json, environ={})
    processes.require_sharding(resolved.config.model.sharding)
    if given["dry_run"]:
        show_plan(resolved, given["data_dir"], given["runs_dir"], processes, console)
        return
    _run(paths, resolved, processes, _folders(given), console)


train_bias = _command(
    "bias",
    "Stage 1: train the bias model, GRPO on observational questions without a KL term.\n\n"
    "Example: vtk train-bias --preset tiny --data clevrer-mini",
)
train_cdpo = _command(
    "cdpo",
    "Stage 2, CDPO: GRPO plus a push away from the bias model.\n\n"
    "Example: vtk train-cdpo --preset tiny --data clevrer-mini --bias-model RUN --beta -0.05",
)
train_grpo = _command(
    "grpo",
    "The baseline: plain GRPO on all questions.\n\n"
    "Example: vtk train-grpo --preset tiny --data clevrer-mini",
)
