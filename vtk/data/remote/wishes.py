"""How a user wants something downloaded, and what came of it."""

from dataclasses import dataclass, field
from pathlib import Path

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
        missing: Clips that questions name and no archive has.
    """

    name: str
    path: str
    is_new: bool
    revision: str
    num_files: int
    bytes: int
    integrity: dict[str, int]
    missing: list[str]
