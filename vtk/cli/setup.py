"""`vtk setup`: what this machine has and lacks, and how to mend it."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vtk.cli.console import Console, Style
from vtk.cli.options import DataDir, Json, RunsDir
from vtk.errors import MissingEnvironmentError
from vtk.hints import DEFAULT_DATA_DIR, DEFAULT_RUNS_DIR

if TYPE_CHECKING:
    from vtk.data.remote.sources import Source
    from vtk.system.checks import Check

STYLES: dict[str, Style] = {"ok": "green", "note": "yellow", "fail": "red"}


def setup(
    install: Annotated[
        bool, typer.Option("--install", help="Apply the fixes that are packages, then check again.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="Fetch a backbone: qwen2.5-vl-3b, or a hub id OWNER/NAME.",
        ),
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Agree to the terms of the --model.")
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    as_json: Json = False,
) -> None:
    """Check this machine; name a fix for each thing that fails.

    Python, torch, GPU, attention, decoders, disk, packages. The exit code is 3 if one fails.
    """
    from vtk.system.backbone import backbone_source
    from vtk.system.doctor import install_fixes, run_checks

    console = Console(as_json)
    # a misspelt name is told before the checks, which take seconds
    source = None if model is None else backbone_source(model)
    checks = run_checks([data_dir, runs_dir])
    if install and install_fixes(checks):
        folders = ["--data-dir", str(data_dir), "--runs-dir", str(runs_dir)]
        wishes = ([] if model is None else ["--model", model]) + (["--json"] if as_json else [])
        wishes += ["--accept-licence"] if accept_licence else []
        raise typer.Exit(check_again(folders + wishes))
    for check in checks:
        show_check(console, check)
    failed = [check for check in checks if check.status == "fail"]
    fetched = None if source is None else fetch_model(console, source, data_dir, accept_licence)
    console.document(
        {"ready": not failed, "checks": [asdict(check) for check in checks], "model": fetched}
    )
    if failed:
        raise typer.Exit(MissingEnvironmentError.exit_code)
    console.next_command("vtk demo", "the whole method on this machine's CPU")


def fetch_model(console: Console, source: "Source", data_dir: Path, is_agreed: bool) -> str:
    """Have a model in the Hub's cache, as `vtk download` does; the folder with its files."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    from vtk.cli.download import fetch
    from vtk.cli.download_view import check, show_terms
    from vtk.data.remote.listed import listed_bytes
    from vtk.data.remote.wishes import Wishes

    if HF_HUB_OFFLINE:
        return str(check(console, source, data_dir, is_thorough=False)["path"])
    if source.about_bytes is None:
        source = replace(source, about_bytes=listed_bytes(source))
    agreed = show_terms(console, [source], data_dir, is_agreed)
    return str(fetch(console, source, data_dir, Wishes(is_agreed=agreed))["path"])


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
