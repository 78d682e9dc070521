"""`vtk download`: data sets and models from their owners, and clevrer-mini from this machine."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vtk.cli.console import Console, is_terminal
from vtk.cli.options import DEFAULT_DATA_DIR, DataDir, Json, folder_options
from vtk.cli.progress import show_progress
from vtk.errors import ConfigError, DataError
from vtk.format import format_bytes, format_count, format_percent

if TYPE_CHECKING:
    from vtk.data.remote.get import Got, Wishes
    from vtk.data.remote.sources import Source

MINI = "clevrer-mini"
NUM_SHOWN = 5


def download(
    names: Annotated[list[str] | None, typer.Argument(help="Names of --list.")] = None,
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
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--everything/--only-needed",
            help="Unpack clips that no question names as well (clevrer, video-mme).",
        ),
    ] = False,
    keep_archives: Annotated[
        bool, typer.Option("--keep-archives", help="Keep archives after they are unpacked.")
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Get the newest version, not the one begun with.")
    ] = False,
    mirror: Annotated[
        str | None, typer.Option("--mirror", metavar="URL", help="Another server; see HF_ENDPOINT.")
    ] = None,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline", envvar="HF_HUB_OFFLINE", help="No network: say whether all is here."
        ),
    ] = False,
    parallel: Annotated[int, typer.Option("--parallel", min=1, max=16, help="Files at once.")] = 3,
    retries: Annotated[
        int, typer.Option("--retries", min=0, help="Failures in a row before giving up.")
    ] = 8,
    retry_wait: Annotated[
        float, typer.Option("--retry-wait", min=0, help="Seconds before a retry; then doubled.")
    ] = 1.0,
    stall_timeout: Annotated[
        float, typer.Option("--stall-timeout", min=0.1, help="Seconds without a byte: reconnect.")
    ] = 30.0,
    scenes: Annotated[int, typer.Option("--scenes", help=f"{MINI}: training clips.")] = 500,
    validation_scenes: Annotated[
        int, typer.Option("--validation-scenes", help=f"{MINI}: held-out clips.")
    ] = 200,
    seed: Annotated[int, typer.Option("--seed", help=f"{MINI}: decides every clip.")] = 0,
    workers: Annotated[
        int | None, typer.Option("--workers", help=f"{MINI}: processes; default one per core.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help=f"{MINI}: replace one made with other settings.")
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Json = False,
) -> None:
    """Get data sets and models; goes on where it was interrupted, and checks what arrives."""
    console = Console(as_json)
    if list_only:
        _show_list(console, data_dir)
        return
    sources = _known(names or [])
    is_local = verify or offline
    is_agreed = is_local or _show_terms(console, sources, data_dir, accept_licence)
    documents = []
    if MINI in (names or []):
        world = (scenes, validation_scenes, seed)
        documents.append(_make_mini(console, data_dir, world, workers, force))
    for source in sources:
        if is_local:
            documents.append(_check(console, source, data_dir, verify))
            continue
        wishes = _wishes(
            mirror, parallel, keep_archives, everything, is_agreed, update, from_dir,
            (retries, retry_wait, stall_timeout),
        )  # fmt: skip
        documents.append(_fetch(console, source, data_dir, wishes))
    console.document(documents)
    _show_next(console, names or [], data_dir)


def _known(names: Sequence[str]) -> list["Source"]:
    """The sources of these names, clevrer-mini left out; refuses the others before any work."""
    from vtk.data.remote.sources import SOURCES, get_source

    if not names:
        known = ", ".join([MINI, *SOURCES])
        raise ConfigError("what is to be downloaded?", f"Known: {known}. See vtk download --list.")
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
    from vtk.data.remote.get import Wishes
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


def _fetch(console: Console, source: "Source", data_dir: Path, wishes: "Wishes") -> dict[str, Any]:
    """Have one source on the disk, and say what came of it."""
    import threading

    from vtk.cli.transfers import show_transfers
    from vtk.data.remote.get import get_source_files

    with show_transfers(console) as transfers:
        got = get_source_files(source, data_dir, wishes, transfers, threading.Event())
    _show_got(console, got)
    return asdict(got)


def _show_got(console: Console, got: "Got") -> None:
    state = "Complete:" if got.is_new else "Already complete:"
    console.say(
        f"{state} {got.path}: {format_count(got.num_files)} files, {format_bytes(got.bytes)}"
    )
    counts = ", ".join(f"{format_count(num)} {kind}" for kind, num in got.integrity.items())
    console.note(f"Integrity: {counts}.")
    if "structural only" in got.integrity:
        console.note("Structural only: nobody publishes a hash; archives were checked by CRC-32.")
    if got.missing:
        shown = ", ".join(got.missing[:NUM_SHOWN])
        num = format_count(len(got.missing))
        console.warn(f"clips that questions name and no archive has: {num} ({shown})")


def _show_terms(
    console: Console, sources: Sequence["Source"], data_dir: Path, is_agreed: bool
) -> bool:
    """Print what the files may be used for, before they are fetched; True if that is agreed to."""
    from vtk.data.remote.record import Record
    from vtk.data.remote.sources import source_dir

    open_ones = []
    for source in sources:
        record = Record.load(source_dir(source, data_dir))
        if record is not None and (record.agreed or not source.must_agree):
            continue
        size = format_bytes(source.about_bytes)
        console.note(f"{source.name}: {source.licence}, about {size}. {source.page}", style="")
        console.note(f"  {source.use}", style="")
        if source.must_agree:
            open_ones.append(source.name)
    if is_agreed or not open_ones:
        return True
    if not (sys.stdin.isatty() and is_terminal(console.stderr)):
        raise ConfigError(
            f"the terms of {', '.join(open_ones)} have to be agreed to",
            "Read them (above) and add --accept-licence.",
        )
    console.note("Do you agree to these terms? [y/N]", style="bold")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ConfigError("the terms were not agreed to", "Nothing was fetched.")
    return True


def _check(console: Console, source: "Source", data_dir: Path, is_thorough: bool) -> dict[str, Any]:
    """Say whether all of a source is here; with `is_thorough` whether it is still the same.

    Raises:
        DataError: It is not.
    """
    from vtk.data.remote.get import verified_record
    from vtk.data.remote.verify import count_checks, find_damage

    record = verified_record(source, data_dir)
    missing = [each.path for each in record.files.values() if not record.is_ready(each)]
    damage = dict.fromkeys(missing, "it is not here, or not whole")
    if is_thorough:
        total = count_checks(record)
        with show_progress(console, f"Verifying {source.name}", total, "files") as progress:
            damage = find_damage(record, progress.advance)
        record.save(source.name, source.licence)
    for name, fault in list(damage.items())[:NUM_SHOWN]:
        console.say(f"{name}: {fault}", style="red")
    if damage:
        raise DataError(
            f"{source.name} is not complete: {format_count(len(damage))} files missing or damaged",
            f"With a network: vtk download {source.name}{folder_options(data_dir=data_dir)}",
        )
    how = "every byte is as it was" if is_thorough else "all sizes are right"
    console.say(f"{source.name}: complete, {how}.")
    return {"name": source.name, "path": str(record.root), "complete": True, "damaged": {}}


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


def _show_list(console: Console, data_dir: Path) -> None:
    from vtk.data.presence import find_all

    found = find_all(data_dir)
    rows = [
        (
            each.name,
            each.kind,
            "yes" if each.present else "no",
            format_percent(each.complete_frac, decimals=0),
            format_bytes(each.bytes),
            "" if each.full_bytes is None else format_bytes(each.full_bytes),
            each.licence,
            each.use,
        )
        for each in found
    ]
    console.table(("name", "kind", "here", "complete", "size", "of about", "licence", "use"), rows)
    console.document([asdict(each) for each in found])


def _show_next(console: Console, names: Sequence[str], data_dir: Path) -> None:
    """The command that is most useful after the last of these downloads."""
    from vtk.data.remote.sources import SOURCES

    name, folder = names[-1], folder_options(data_dir=data_dir)
    if name in (MINI, "clevrer"):
        console.next_command(f"vtk split {name}{folder}")
    elif SOURCES[name].kind == "model":
        console.next_command(f"vtk eval clevrer-mini --model {SOURCES[name].repo}{folder}")
    else:
        console.next_command(f"vtk eval {name} --model RUN{folder}")
