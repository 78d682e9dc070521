"""`vtk train-bias`, `vtk train-cdpo`, `vtk train-grpo`: the two stages and the plain baseline."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vtk.cli.config import ConfigFile, parse_assignments, setting_text
from vtk.cli.console import Console
from vtk.cli.options import DEFAULT_DATA_DIR, DEFAULT_RUNS_DIR, DataDir, Json, folder_options
from vtk.errors import ConfigError

if TYPE_CHECKING:
    from vtk.config.loading import Resolved
    from vtk.runs.store import RunPaths
    from vtk.system.launchers import Processes

_PUBLISHED = "Names of the published scripts"


def _published(*names: str, text: str) -> Any:
    """An option under its published name, with `_` as well as with `-`."""
    both = [spelled for name in names for spelled in (name, name.replace("-", "_"))]
    spellings = ["--" + name for name in dict.fromkeys(both)]
    return typer.Option(*spellings, help=text, rich_help_panel=_PUBLISHED)


Run = Annotated[str | None, typer.Argument(metavar="[RUN]", help="With --resume: which run.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with RUN, or with the newest run of this stage.")
]
Preset = Annotated[str | None, typer.Option(help="A preset of `vtk config ls`.")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set one value; repeatable.")
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data", "--jsonl-path", "--jsonl_path", help="A data set's name, or a question file."
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "--model-name-or-path",
        "--model_name_or_path",
        help='Policy to start from: "tiny", a run, a folder or a hub id.',
    ),
]
BiasModel = Annotated[
    str | None,
    typer.Option(
        "--bias-model",
        "--reference",
        "--ref-model-path",
        "--ref_model_path",
        help='What the KL term is measured against: a run, a folder, a hub id, or "self".',
    ),
]
Beta = Annotated[
    float | None,
    typer.Option("--beta", help="KL coefficient: negative repels, positive attracts, 0 is off."),
]
RepulsionForm = Annotated[
    str | None, typer.Option("--repulsion", help="Form of the KL term: paper, hinge or npo.")
]
Lora = Annotated[
    bool | None, typer.Option("--lora/--full", help="Train an adapter, or all weights.")
]
NumSteps = Annotated[
    int | None, typer.Option("--max-steps", "--max_steps", help="Optimizer steps of the run.")
]
NumGenerations = Annotated[
    int | None,
    typer.Option("--num-generations", "--num_generations", help="Completions per prompt."),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Decides every draw of the run.")]
Name = Annotated[
    str | None, typer.Option("--name", "--run-name", "--run_name", help="The run's id.")
]
NumProcesses = Annotated[
    int | None, typer.Option("--num-processes", min=1, help="Default: one per visible GPU.")
]
AccelerateConfig = Annotated[
    Path | None,
    typer.Option(
        "--accelerate-config",
        help="A file made by `accelerate config`, or the name of a shipped one.",
    ),
]
_SEVERAL = "Several machines (docs/clusters.md)"
NumMachines = Annotated[
    int, typer.Option("--num-machines", min=1, help="How many.", rich_help_panel=_SEVERAL)
]
MachineRank = Annotated[
    int,
    typer.Option(
        "--machine-rank", min=0, help="Which this is, counted from 0.", rich_help_panel=_SEVERAL
    ),
]
MainAddress = Annotated[
    str | None,
    typer.Option("--main-address", help="Name or address of machine 0.", rich_help_panel=_SEVERAL),
]
MainPort = Annotated[
    int, typer.Option("--main-port", help="A free port on machine 0.", rich_help_panel=_SEVERAL)
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show settings, memory and time; train nothing.")
]
OutputDir = Annotated[
    Path,
    typer.Option(
        "--runs-dir",
        "--output-dir",
        "--output_dir",
        envvar="VTK_RUNS_DIR",
        help="Folder of the runs.",
    ),
]
LearningRate = Annotated[float | None, _published("learning-rate", text="As optim.learning_rate.")]
BatchSize = Annotated[
    int | None, _published("per-device-train-batch-size", text="As optim.prompts_per_device.")
]
Accumulation = Annotated[
    int | None, _published("gradient-accumulation-steps", text="As optim.accumulation_steps.")
]
MaxGradNorm = Annotated[float | None, _published("max-grad-norm", text="As optim.max_grad_norm.")]
MaxPrompt = Annotated[
    int | None, _published("max-prompt-length", text="As prompt.max_prompt_tokens.")
]
MaxCompletion = Annotated[
    int | None, _published("max-completion-length", text="As rollout.max_completion_tokens.")
]
SaveSteps = Annotated[int | None, _published("save-steps", text="As checkpoint.every_steps.")]
Attention = Annotated[str | None, _published("attn-implementation", text="As model.attention.")]


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


_SETTINGS = {
    "model": "model.path",
    "bias_model": "reference.path",
    "beta": "objective.beta",
    "repulsion": "objective.repulsion",
    "lora": "lora.enabled",
    "max_steps": "optim.num_steps",
    "num_generations": "rollout.num_generations",
    "seed": "seed",
    "learning_rate": "optim.learning_rate",
    "per_device_train_batch_size": "optim.prompts_per_device",
    "gradient_accumulation_steps": "optim.accumulation_steps",
    "max_grad_norm": "optim.max_grad_norm",
    "max_prompt_length": "prompt.max_prompt_tokens",
    "max_completion_length": "rollout.max_completion_tokens",
    "save_steps": "checkpoint.every_steps",
    "attn_implementation": "model.attention",
}
"""Option to the setting that it gives."""


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
    resolved = _resolve(stage, given)
    if given["name"] is not None:
        require_run_name(given["name"])
    if given["dry_run"]:
        _show_plan(resolved, given, console)
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
    )
    _run(paths, resolved, processes, _folders(given), console)


def _processes(given: Mapping[str, Any]) -> "Processes":
    from vtk.system.launchers import Machines, Processes, find_accelerate_config

    place = (given[name] for name in ("num_machines", "machine_rank", "main_address", "main_port"))
    file = given["accelerate_config"]
    found = None if file is None else find_accelerate_config(file)
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
    _run(paths, resolved, processes, _folders(given), console)


def _folders(given: Mapping[str, Any]) -> str:
    return folder_options(data_dir=given["data_dir"], runs_dir=given["runs_dir"])


def _resolve(stage: str, given: Mapping[str, Any]) -> "Resolved":
    """The settings: options first, then --set, so that both name a value's source."""
    from vtk.config.loading import load_config
    from vtk.data.registry import DATASETS

    overrides = {key: given[option] for option, key in _SETTINGS.items()}
    data = given["data"]
    if data in DATASETS:
        overrides["data.dataset"] = data
    elif data is not None:
        if not Path(data).is_file():
            known = f"Known data sets: {', '.join(DATASETS)}."
            raise ConfigError(f"--data {data!r} is neither a data set nor a file.", hint=known)
        overrides["data.train"] = str(Path(data).absolute())
    return load_config(
        stage,
        given["preset"],
        given["config"],
        overrides | parse_assignments(given["assignments"]),
    )


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
    console.document(document)
    suite = config.data.dataset or "SUITE"
    console.next_command(f"vtk eval {suite} --model {paths.run_id}{folders}", "judge it")


def _resume(stage: str, given: Mapping[str, Any], processes: "Processes", console: Console) -> None:
    from vtk.cli.training import find_resumable
    from vtk.config.loading import load_config

    options = [*_SETTINGS, "preset", "config", "data", "assignments", "name"]
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
    if given["dry_run"]:
        _show_plan(resolved, given, console)
        return
    _run(paths, resolved, processes, _folders(given), console)


def _show_plan(resolved: "Resolved", given: Mapping[str, Any], console: Console) -> None:
    """Every setting with its source, and what one process will need."""
    from vtk.cli.training import show_estimate
    from vtk.config.schema import describe_objective
    from vtk.train.estimate import estimate
    from vtk.train.inputs import pin_inputs

    inputs = pin_inputs(resolved.config, given["data_dir"], given["runs_dir"])
    needs = estimate(resolved.config, inputs)
    sentence = describe_objective(resolved.config)
    console.say(f"vtk would train stage {resolved.config.stage}: {sentence}.", style="bold")
    rows = [
        (key, setting_text(value), resolved.provenance[key])
        for key, value in resolved.flat().items()
    ]
    console.table(["setting", "value", "from"], rows)
    console.table(["input", "found"], list(inputs.as_json().items()))
    show_estimate(needs, console)
    console.say(f"Attention kernel: {resolved.config.model.attention}.")
    console.document(
        {
            "stage": resolved.config.stage,
            "objective": sentence,
            "config": resolved.config.model_dump(mode="json"),
            "provenance": resolved.provenance,
            "inputs": inputs.as_json(),
            "estimate": needs.as_json(),
        }
    )


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
