"""What `vtk download` shows: terms, results, what is damaged, and the list."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

from vtk.cli.console import Console, is_terminal
from vtk.cli.progress import show_progress
from vtk.errors import ConfigError, DataError
from vtk.format import format_bytes, format_count, format_percent
from vtk.hints import folder_options

if TYPE_CHECKING:
    from vtk.data.remote.record import Record
    from vtk.data.remote.sources import Source
    from vtk.data.remote.wishes import Got

MINI = "clevrer-mini"
NUM_SHOWN = 5
_TERMS_CHARS = 140


def show_got(console: Console, got: "Got") -> None:
    """Say where a source lies, how far its files can be trusted, and what nobody has of it."""
    state = "Complete:" if got.is_new else "Already complete:"
    console.say(
        f"{state} {got.path}: {format_count(got.num_files)} files, {format_bytes(got.bytes)}"
    )
    counts = ", ".join(f"{format_count(num)} {kind}" for kind, num in got.integrity.items())
    console.note(f"Integrity: {counts}.")
    if "structural only" in got.integrity:
        crc = format_count(got.num_crc)
        of_crc = f"; {crc} unpacked files were checked by CRC-32" if got.num_crc else ""
        console.note(f"Structural only: nobody publishes a hash{of_crc}.")
    if "by name and format" in got.integrity:
        console.note("By name and format: clips were here already and compared with nothing.")
    _warn_of_missing(console, "", got.missing)


def _warn_of_missing(console: Console, name: str, missing: Sequence[str]) -> None:
    if missing:
        whose = f"{name}: " if name else ""
        shown = ", ".join(missing[:NUM_SHOWN])
        num = format_count(len(missing))
        console.warn(f"{whose}clips that questions name and no archive has: {num} ({shown})")


def show_terms(
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
        known = source.about_bytes
        size = "unknown size" if known is None else f"about {format_bytes(known)}"
        console.note(f"{source.name}: {source.licence}, {size}. {source.page}", style="")
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


def check(console: Console, source: "Source", data_dir: Path, is_thorough: bool) -> dict[str, Any]:
    """Say whether all of a source is here; with `is_thorough` whether it is still the same.

    Raises:
        DataError: It is not.
    """
    from vtk.data.remote.sources import fetch_hint
    from vtk.data.remote.verify import verified_record, verify_source

    if is_thorough:
        with show_progress(console, f"Verifying {source.name}", unit="files") as progress:
            record, damage = verify_source(
                source,
                data_dir,
                lambda owner: console.note(f"waits: {owner} is downloading {source.name}"),
                lambda total: progress.update(total=total),
                progress.advance,
            )
    else:
        record = verified_record(source, data_dir)
        missing = [each.path for each in record.files.values() if not record.is_ready(each)]
        damage = dict.fromkeys(missing, "it is not here, or not whole")
    for name, fault in list(damage.items())[:NUM_SHOWN]:
        console.say(f"{name}: {fault}", style="red")
    if damage:
        raise DataError(
            f"{source.name} is not complete: {format_count(len(damage))} files missing or damaged",
            ("What is damaged was set aside as NAME.aside. " if is_thorough else "")
            + fetch_hint(source, data_dir).replace("Get it", "Get what is missing"),
        )
    how = _how_checked(record) if is_thorough else "all sizes are right"
    console.say(f"{source.name}: complete, {how}.")
    missing_clips = record.missing_clips()
    _warn_of_missing(console, "", missing_clips)
    found = {"name": source.name, "path": str(record.root), "complete": True, "damaged": {}}
    return {**found, "missing": missing_clips}


def _how_checked(record: "Record") -> str:
    crcs = [crc for state in record.files.values() for _, crc in state.members.values()]
    num = crcs.count(None)
    if not num:
        return "every byte is as it was"
    return f"every byte is as it was; of {format_count(num)} adopted clips only the size is known"


def show_list(console: Console, data_dir: Path) -> None:
    """Show everything that can be downloaded: what is here, how large, and for which use."""
    from vtk.data.presence import find_all

    found = find_all(data_dir)
    columns = ("name", "kind", "here", "complete", "size", "of about", "licence", "use")
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
    is_narrow = is_terminal(console.prose) and get_terminal_size().columns < _TERMS_CHARS
    shown = len(columns) - 2 * is_narrow
    console.table(columns[:shown], [row[:shown] for row in rows])
    if is_narrow:
        console.note("Licences and uses are shown on a wider terminal, and before a download.")
    for each in found:
        _warn_of_missing(console, each.name, each.missing_clips)
    console.document([asdict(each) for each in found])


def show_next(console: Console, names: Sequence[str], data_dir: Path) -> None:
    """The command that is most useful after the last of these downloads."""
    from vtk.data.remote.sources import SOURCES

    name, folder = names[-1], folder_options(data_dir=data_dir)
    if name in (MINI, "clevrer"):
        console.next_command(f"vtk split {name}{folder}")
    elif SOURCES[name].kind == "model":
        console.next_command(f"vtk eval clevrer-mini --model {SOURCES[name].repo}{folder}")
    else:
        console.next_command(f"vtk eval {name} --model RUN{folder}")
