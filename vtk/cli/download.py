"""`vtk download`: data sets and models from their owners, and clevrer-mini from this machine."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vtk.cli.completion import complete_download
from vtk.cli.console import Console
from vtk.cli.download_view import MINI, check, show_got, show_list, show_next, show_terms
from vtk.cli.options import DataDir, Json
from vtk.cli.progress import show_progress
from vtk.errors import ConfigError
from vtk.format import format_bytes, format_count
from vtk.hints import DEFAULT_DATA_DIR

if TYPE_CHECKING:
    from vtk.data.remote.sources import Source
    from vtk.data.remote.wishes import Wishes

NETWORK: Final = "Network"
KEPT: Final = "What is fetched and kept"
WORLD: Final = "Only for clevrer-mini, which is made here"


def download(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="Names of --list.", autocompletion=complete_download
        ),
    ] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="List what there is and what of it is here.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every byte again; fetches nothing.")
    ] = False,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Agree to the terms that are printed.")
    ] = False,
    from_dir: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Link or copy what is in DIR already.",
            rich_help_panel=KEPT,
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--everything/--only-needed",
            help="Also unpack clips that no question names (clevrer, video-mme).",
            rich_help_panel=KEPT,
        ),
    ] = False,
    keep_archives: Annotated[
        bool,
        typer.Option(
            "--keep-archives", help="Keep archives after they are unpacked.", rich_help_panel=KEPT
        ),
    ] = False,
    update: Annotated[
        bool,
        typer.Option(
            "--update",
            help="Get the newest version, not the one begun with.",
            rich_help_panel=KEPT,
        ),
    ] = False,
    mirror: Annotated[
        str | None,
        typer.Option(
            "--mirror",
            metavar="URL",
            help="Another server; for models and benchmarks also HF_ENDPOINT.",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            envvar="HF_HUB_OFFLINE",
            help="No network: say whether all is here.",
            rich_help_panel=NETWORK,
        ),
    ] = False,
    parallel: Annotated[
        int,
        typer.Option("--parallel", min=1, max=16, help="Files at once.", rich_help_panel=NETWORK),
    ] = 3,
    retries: Annotated[
        int,
        typer.Option(
            "--retries", min=0, help="Failures in a row before giving up.", rich_help_panel=NETWORK
        ),
    ] = 8,
    retry_wait: Annotated[
        float,
        typer.Option(
            "--retry-wait",
            min=0,
            help="Seconds before a retry; then doubled.",
            rich_help_panel=NETWORK,
        ),
    ] = 1.0,
    stall_timeout: Annotated[
        float,
        typer.Option(
            "--stall-timeout",
            min=0.1,
            help="Seconds without a byte: reconnect.",
            rich_help_panel=NETWORK,
        ),
    ] = 30.0,
    scenes: Annotated[
        int, typer.Option("--scenes", help="Training clips.", rich_help_panel=WORLD)
    ] = 500,
    validation_scenes: Annotated[
        int, typer.Option("--validation-scenes", help="Held-out clips.", rich_help_panel=WORLD)
    ] = 200,
    seed: Annotated[
        int, typer.Option("--seed", help="Decides every clip.", rich_help_panel=WORLD)
    ] = 0,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            help="Processes that render.",
            show_default="one per core",
            rich_help_panel=WORLD,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Replace one made with other settings.", rich_help_panel=WORLD
        ),
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Get data sets and models; goes on where it was interrupted.

    What arrives is checked against the published hashes, where there are any.
    """
    console = Console(as_json)
    if list_only:
        show_list(console, data_dir)
        return
    sources = _known(names or [])
    is_local = verify or offline
    is_agreed = is_local or show_terms(console, sources, data_dir, accept_licence)
    documents = []
    if MINI in (names or []):
        world = (scenes, validation_scenes, seed)
        documents.append(_make_mini(console, data_dir, world, workers, force))
    for source in sources:
        if is_local:
            documents.append(check(console, source, data_dir, verify))
            continue
        wishes = _wishes(
            mirror, parallel, keep_archives, everything, is_agreed, update, from_dir,
            (retries, retry_wait, stall_timeout),
        )  # fmt: skip
        documents.append(fetch(console, source, data_dir, wishes))
    console.document(documents)
    show_next(console, names or [], data_dir)


def _known(names: Sequence[str]) -> list["Source"]:
    """The sources of these names, clevrer-mini left out; refuses the others before any work."""
    from vtk.data.remote.sources import SOURCES, get_source

    if not names:
        known = ", ".join([MINI, *SOURCES])
        raise ConfigError("nothing was named to download", f"Names: {known}.")
    return [get_source(name) for name in dict.fromkeys(names) if name != MINI]


def _wishes(
    mirror: str | None,
    parallel: int,
    keep_archives: bool,
    everything: bool,
    is_agreed: bool,
    update: bool,
    shelf: Path | None,
    patience: tuple[int, float, float],
) -> "Wishes":
    from vtk.data.remote.wishes import Wishes
    from vtk.net.patience import Patience

    retries, first_pause_s, stall_s = patience
    return Wishes(
        mirror=mirror,
        num_parallel=parallel,
        is_keeping=keep_archives,
        is_everything=everything,
        is_agreed=is_agreed,
        is_updating=update,
        shelf=shelf,
        patience=Patience(retries, first_pause_s, stall_s=stall_s, connect_s=min(15.0, stall_s)),
    )


def fetch(console: Console, source: "Source", data_dir: Path, wishes: "Wishes") -> dict[str, Any]:
    """Have one source on the disk, and say what came of it."""
    import threading

    from vtk.cli.transfers import show_transfers
    from vtk.data.remote.get import get_source_files

    with show_transfers(console) as transfers:
        got = get_source_files(source, data_dir, wishes, transfers, threading.Event())
    show_got(console, got)
    return asdict(got)


def _make_mini(
    console: Console,
    data_dir: Path,
    world: tuple[int, int, int],
    workers: int | None,
    force: bool,
) -> dict[str, Any]:
    from vtk.data.download import find_mini, make_mini
    from vtk.mini.processes import num_cores
    from vtk.mini.world import WorldSettings

    settings = WorldSettings(*world)
    num_clips = settings.num_scenes + settings.num_validation_scenes
    made = None if force else find_mini(data_dir, settings)
    if made is None:
        with show_progress(console, "Rendering clips", num_clips) as progress:
            made = make_mini(
                data_dir,
                settings,
                workers=num_cores() if workers is None else workers,
                on_progress=lambda done, total: progress.update(done=done, total=total),
                overwrite=force,
            )
    state = "Wrote" if made.is_new else "Already complete:"
    clips = format_count(num_clips)
    console.say(f"{state} {made.path}: {clips} clips, {format_bytes(made.bytes)}")
    return asdict(made)
