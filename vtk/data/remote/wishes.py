"""How a user wants something downloaded, and what came of it."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from vtk.data.remote.record import Record
from vtk.net.patience import Patience


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the user wants things downloaded.

    Attributes:
        mirror: Another server in place of the owners'.
        num_parallel: Files at once.
        is_keeping: Archives stay after they are unpacked.
        is_everything: Unpack clips that no question names as well.
        is_agreed: The user agrees to the terms.
        is_updating: Ask for the newest version instead of going on with the recorded one.
        shelf: A folder with files that are here already.
        patience: When to try again and when to give up.
    """

    mirror: str | None = None
    num_parallel: int = 3
    is_keeping: bool = False
    is_everything: bool = False
    is_agreed: bool = False
    is_updating: bool = False
    shelf: Path | None = None
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True)
class Got:
    """A source that is here.

    Attributes:
        name: The source.
        path: Its folder; a model's is the one with its `config.json`.
        is_new: Whether anything had to be fetched, adopted or unpacked.
        revision: The commit of a Hub repository; empty for a web server.
        num_files: Files and unpacked clips.
        bytes: Their size.
        integrity: How many files were checked against what.
        num_crc: How many unpacked files were compared with the CRC-32 of their archive.
        missing: Clips that questions name and no archive has.
    """

    name: str
    path: str
    is_new: bool
    revision: str
    num_files: int
    bytes: int
    integrity: dict[str, int]
    num_crc: int
    missing: list[str]


def got_from(record: Record, name: str, root: Path, *, is_new: bool) -> Got:
    """What a complete record says of a source whose files lie in `root`."""
    states = list(record.files.values())
    members = [member for state in states for member in state.members.values()]
    sizes = [state.num_bytes or 0 for state in states if not state.is_archive]
    sizes += [size for size, _ in members]
    return Got(
        name=name,
        path=str(root),
        is_new=is_new,
        revision=record.revision,
        num_files=len(sizes),
        bytes=sum(sizes),
        integrity=dict(Counter(state.integrity for state in states)),
        num_crc=sum(crc is not None for _, crc in members),
        missing=record.missing_clips(),
    )
