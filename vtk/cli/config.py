"""`vtk config`: list, show, copy and check configurations."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from vtk.cli.completion import complete_preset
from vtk.cli.console import Console
from vtk.cli.help import Menu, examples_epilog
from vtk.cli.options import Json
from vtk.errors import ConfigError

config_app = Menu(
    help="List, show, copy and check configurations.",
    epilog=examples_epilog(
        "vtk config ls",
        "vtk config show 3b-24gb --stage bias --explain",
        "vtk config cp tiny my.toml",
    ),
)


Preset = Annotated[
    str | None,
    typer.Argument(help="A preset of vtk config ls.", autocompletion=complete_preset),
]
Stage = Annotated[str, typer.Option("--stage", metavar="NAME", help="bias, cdpo or grpo.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Your own TOML, or a run's config.json."),
]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set one value; repeatable.")
]


@config_app.command("ls")
def list_command(as_json: Json = False) -> None:
    """List the presets that ship with vtk."""
    from vtk.config.files import list_presets, preset_path, preset_summary

    console = Console(as_json)
    rows = [(name, preset_summary(name), str(preset_path(name))) for name in list_presets()]
    console.table(["preset", "for"], [row[:2] for row in rows])
    console.document([dict(zip(("name", "summary", "path"), row, strict=True)) for row in rows])
    console.next_command("vtk config show tiny", "every value and where it comes from")


@config_app.command("show")
def show_command(
    preset: Preset = None,
    stage: Stage = "cdpo",
    config: ConfigFile = None,
    assignments: Assignments = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say what each means.")] = False,
    as_json: Json = False,
) -> None:
    """Show every setting as it resolves here, and where its value comes from."""
    from vtk.config.keys import known_keys
    from vtk.config.loading import load_config
    from vtk.config.schema import describe_objective

    console = Console(as_json)
    resolved = load_config(
        stage, preset, config, parse_assignments(assignments), is_reference_needed=False
    )
    console.say(f"stage {stage}: {describe_objective(resolved.config)}", style="bold")
    columns = ["setting", "value", "from"] + (["meaning"] if explain else [])
    rows = [
        (dotted, setting_text(value), resolved.provenance[dotted], known_keys()[dotted].description)
        for dotted, value in resolved.flat().items()
    ]
    console.table(columns, [row[: len(columns)] for row in rows])
    console.document(
        {
            "stage": stage,
            "objective": describe_objective(resolved.config),
            "config": resolved.config.model_dump(mode="json"),
            "provenance": resolved.provenance,
        }
    )


@config_app.command("cp")
def copy_command(
    preset: Annotated[
        str,
        typer.Argument(help="A preset of vtk config ls.", autocompletion=complete_preset),
    ],
    target: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: Json = False,
) -> None:
    """Copy a preset to a file of your own, comments included."""
    from vtk.config.files import preset_path

    console = Console(as_json)
    source = preset_path(preset)
    if target.is_dir():
        target = target / source.name
    if target.exists() and not force:
        raise ConfigError(f"{target} exists already", hint="Choose another name, or give --force.")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
    console.say(f"Wrote {target}.")
    console.document({"preset": preset, "path": str(target)})
    console.next_command(f"vtk config validate {shlex.quote(str(target))}", "after your changes")


@config_app.command("validate")
def validate_command(
    file: Annotated[Path, typer.Argument(help="A TOML file, or a run's config.json.")],
    stage: Annotated[
        str | None,
        typer.Option(
            "--stage", metavar="NAME", help="Check for one stage.", show_default="all three"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a configuration file for every stage, exactly as training reads it."""
    from vtk.config.files import stages_of
    from vtk.config.loading import load_config
    from vtk.config.schema import WrongStage, describe_objective

    console = Console(as_json)
    stages = [stage] if stage else stages_of(file)
    checked: dict[str, str] = {}
    faults: dict[str, WrongStage] = {}
    for name in stages:
        try:
            resolved = load_config(name, config_file=file, is_reference_needed=False)
        except WrongStage as error:
            faults[name] = error
        else:
            checked[name] = describe_objective(resolved.config)
    if not checked:
        raise faults[stages[-1]]
    for name in stages:
        is_valid = name in checked
        said = f"valid; {checked[name]}" if is_valid else f"not for it; {faults[name].message}"
        console.say(f"{name}: {said.rstrip('.')}.")
    refused = {name: error.message for name, error in faults.items()}
    console.document({"path": str(file), "valid": True, "stages": checked, "refused": refused})


def parse_assignments(assignments: list[str] | None) -> dict[str, Any]:
    """Dotted key to text for each `KEY=VALUE`.

    Raises:
        ConfigError: One of them has no equals sign or no key.
    """
    overrides = {}
    for assignment in assignments or []:
        dotted, equals, value = assignment.partition("=")
        if not equals or not dotted.strip():
            raise ConfigError(
                f"--set {assignment!r} is not KEY=VALUE",
                hint="For example: --set optim.num_steps=200",
            )
        overrides[dotted.strip()] = value.strip()
    return overrides


def setting_text(value: Any) -> str:
    """A setting's value as one types it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, list) else str(value)
