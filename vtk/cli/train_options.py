"""The options of the training commands: one annotated type each, with its published names."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from vtk.cli.completion import complete_data, complete_model, complete_preset, complete_stage_run
from vtk.cli.options import COMMON

_LEARNS: Final = "What is trained, on what"
_PUSH: Final = "The push away from the bias model"
_COURSE: Final = "The run"
_PROCESSES: Final = "Where it runs"
_SEVERAL: Final = "Several machines (docs/clusters.md)"
_PUBLISHED: Final = "Further names of the published scripts"


def _published(*names: str, text: str) -> Any:
    """An option under its published name, with `_` as well as with `-`."""
    both = [spelled for name in names for spelled in (name, name.replace("-", "_"))]
    spellings = ["--" + name for name in dict.fromkeys(both)]
    return typer.Option(*spellings, help=text, rich_help_panel=_PUBLISHED)


Run = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN]", help="With --resume: which run.", autocompletion=complete_stage_run
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A preset of vtk config ls.",
        rich_help_panel=_LEARNS,
        autocompletion=complete_preset,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Your own TOML, or a run's config.json.",
        rich_help_panel=_LEARNS,
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        "--jsonl-path",
        "--jsonl_path",
        metavar="NAME",
        help="A data set's name, or a question file.",
        rich_help_panel=_LEARNS,
        autocompletion=complete_data,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "--model-name-or-path",
        "--model_name_or_path",
        metavar="MODEL",
        help='Policy to start from: "tiny", a run, a folder or a hub id.',
        rich_help_panel=_LEARNS,
        autocompletion=complete_model,
    ),
]
Lora = Annotated[
    bool | None,
    typer.Option(
        "--lora/--full", help="Train an adapter, or all weights.", rich_help_panel=_LEARNS
    ),
]
NumSteps = Annotated[
    int | None,
    typer.Option(
        "--max-steps", "--max_steps", help="Optimizer steps of the run.", rich_help_panel=_LEARNS
    ),
]
NumGenerations = Annotated[
    int | None,
    typer.Option(
        "--num-generations",
        "--num_generations",
        help="Completions per prompt.",
        rich_help_panel=_LEARNS,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", help="Decides every draw of the run.", rich_help_panel=_LEARNS),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set one value of vtk config show; repeatable.",
        rich_help_panel=_LEARNS,
    ),
]
BiasModel = Annotated[
    str | None,
    typer.Option(
        "--bias-model",
        "--reference",
        "--ref-model-path",
        "--ref_model_path",
        metavar="MODEL",
        help='What the KL term is measured against: a run, a folder, a hub id, or "self".',
        rich_help_panel=_PUSH,
        autocompletion=complete_model,
    ),
]
Beta = Annotated[
    float | None,
    typer.Option(
        "--beta",
        help="KL coefficient: negative repels, positive attracts, 0 is off.",
        rich_help_panel=_PUSH,
    ),
]
RepulsionForm = Annotated[
    str | None,
    typer.Option(
        "--repulsion",
        metavar="NAME",
        help="Form of the KL term: paper, hinge or npo.",
        rich_help_panel=_PUSH,
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        "--run-name",
        "--run_name",
        metavar="NAME",
        help="The run's id, by default its stage and the time.",
        rich_help_panel=_COURSE,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with RUN, or with the newest run of this stage.",
        rich_help_panel=_COURSE,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Show settings, memory and time; train nothing.",
        rich_help_panel=_COURSE,
    ),
]
NumProcesses = Annotated[
    int | None,
    typer.Option(
        "--num-processes",
        min=1,
        help="Processes that share each step.",
        show_default="one per visible GPU",
        rich_help_panel=_PROCESSES,
    ),
]
AccelerateConfig = Annotated[
    Path | None,
    typer.Option(
        "--accelerate-config",
        metavar="FILE",
        help="A file of accelerate config, or the name of a shipped one.",
        rich_help_panel=_PROCESSES,
    ),
]
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
    typer.Option(
        "--main-address",
        metavar="HOST",
        help="Name or address of machine 0.",
        rich_help_panel=_SEVERAL,
    ),
]
MainPort = Annotated[
    int, typer.Option("--main-port", help="A free port on machine 0.", rich_help_panel=_SEVERAL)
]
OutputDir = Annotated[
    Path,
    typer.Option(
        "--runs-dir",
        "--output-dir",
        "--output_dir",
        metavar="DIR",
        envvar="VTK_RUNS_DIR",
        help="Folder of the runs.",
        rich_help_panel=COMMON,
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

SETTINGS = {
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
