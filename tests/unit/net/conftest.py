"""A loopback server, and a transfer with little patience."""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.reliability.web import Site, serving
from vtk.net.content import Expected
from vtk.net.patience import Patience
from vtk.net.session import Session, TokenFor
from vtk.net.transfer import Fetched, FileJob, Transfer

CONTENT = random.Random(1).randbytes(3_000_000)
HASTY = Patience(num_retries=3, first_pause_s=0.01, connect_s=5.0, stall_s=0.3, num_corrupt=1)


@dataclass
class Watcher:
    """Keeps what it was told."""

    notes: list[str] = field(default_factory=list)
    last: dict[str, tuple[int, int | None]] = field(default_factory=dict)

    def on_bytes(self, name: str, num_bytes: int, total_bytes: int | None) -> None:
        self.last[name] = (num_bytes, total_bytes)

    def on_note(self, name: str, note: str) -> None:
        self.notes.append(note)


@dataclass
class Client:
    """Fetches the site's one file into a folder."""

    site: Site
    folder: Path
    watcher: Watcher = field(default_factory=Watcher)
    cancelled: threading.Event = field(default_factory=threading.Event)
    patience: Patience = HASTY
    token: str | None = None
    origin: str = ""
    expected: Expected = field(default_factory=Expected)
    find_fault: Callable[[Path], str | None] = lambda _path: None

    @property
    def target(self) -> Path:
        return self.folder / "file.zip"

    def fetch(self, **changes: object) -> Fetched:
        auth = TokenFor(self.origin or self.site.url, self.token)
        session = Session(auth, self.patience.connect_s, self.patience.stall_s)
        job = FileJob(
            "file.zip", f"{self.site.url}/file.zip", self.target, self.expected, self.find_fault
        )
        transfer = Transfer(session, self.patience, self.watcher, self.cancelled, random.Random(0))
        try:
            return transfer.fetch(replace(job, **changes))  # type: ignore[arg-type]
        finally:
            session.close()

    def leftovers(self) -> set[str]:
        """What lies beside the file."""
        return {path.name for path in self.folder.iterdir()} - {"file.zip"}


@pytest.fixture
def site() -> Iterator[Site]:
    """A server with one file."""
    site = Site({"/file.zip": CONTENT})
    with serving(site):
        yield site


@pytest.fixture
def client(site: Site, tmp_path: Path) -> Client:
    """Fetches it."""
    return Client(site, tmp_path / "data")
