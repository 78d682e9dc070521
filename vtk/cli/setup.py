"""`vtk setup`: what this machine has and lacks, and how to mend it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from vtk.cli.console import Console, Style
from vtk.cli.options import DEFAULT_DATA_DIR, DEFAULT_RUNS_DIR, DataDir, Json, RunsDir
from vtk.errors import MissingEnvironmentError

if TYPE_CHECKING:
    from vtk.system.checks import Check

STYLES: dict[str, Style] = {"ok": "green", "note": "yellow", "fail": "red"}


def setup(
    install: Annotated[
        bool, typer.Option("--install", help="Apply the fixes that are packages, then check again.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="NAME", help="Fetch a backbone: qwen2.5-vl-3b or OWNER/NAME."
        ),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    as_json: Json = False,
) -> None:
    """Check this machine: Python, torch, GPU, attention, decoders, disk, packages."""
    from vtk.system.backbone import fetch_backbone, hub_id
    from vtk.system.doctor import install_fixes, run_checks

    console = Console(as_json)
    if model is not None:
        hub_id(model)  # a misspelt name is told before the checks, which take seconds
    checks = run_checks([data_dir, runs_dir])
    if install and install_fixes(checks):
        folders = ["--data-dir", str(data_dir), "--runs-dir", str(runs_dir)]
        wishes = ([] if model is None else ["--model", model]) + (["--json"] if as_json else [])
        raise typer.Exit(check_again(folders + wishes))
    for check in checks:
        show_check(console, check)
    failed = [check for check in checks if check.status == "fail"]
    fetched = str(fetch_backbone(model)) if model is not None else None
    if fetched is not None:
        console.say(f"{model} is in {fetched}.")
    console.document(
        {"ready": not failed, "checks": [asdict(check) for check in checks], "model": fetched}
    )
    if failed:
        raise typer.Exit(MissingEnvironmentError.exit_code)
    console.next_command("vtk demo", "the whole method on this machine's CPU")


def show_check(console: Console, check: "Check") -> None:
    """Print one check's line and, where something has to be mended, how."""
    console.say(f"{check.status:<5} {check.name}: {check.detail}", style=STYLES[check.status])
    if check.fix and check.status != "ok":
        console.say(f"      fix: {check.fix}")


def check_again(arguments: list[str]) -> int:
    """Check in a fresh interpreter, because this one has already imported the old packages."""
    import subprocess
    import sys

    return subprocess.run(
        [sys.executable, "-m", "vtk", "setup", *arguments], check=False
    ).returncode
