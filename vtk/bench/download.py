"""What a download costs beside `curl`: the same file from the same server on loopback.

curl alone neither compares the content nor syncs it, so there is a variant that does both
afterwards, as a careful user would. The server is a process of its own (`python -m http.server`).
"""

import hashlib
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vtk.bench.timing import Rounds
from vtk.errors import MissingEnvironmentError, VtkError
from vtk.net.content import Expected
from vtk.net.patience import Patience
from vtk.net.session import Session, TokenFor
from vtk.net.transfer import FileJob, Transfer

NAME = "file.bin"
CURL, CAREFUL, OURS = "curl", "curl, sha256sum, sync", "vtk"
_BLOCK_BYTES = 1 << 20


def bench_download(
    num_mib: int, num_rounds: int, folder: Path, on_round: Callable[[], None]
) -> dict[str, Any]:
    """Time vtk's transfer against curl, in interleaved rounds.

    Args:
        num_mib: Size of the file, MiB.
        num_rounds: Measured rounds; one more comes first.
        folder: On the disk that counts.
        on_round: Called after each.

    Returns:
        Per variant the median wall and processor seconds; ratios against both ways with curl.

    Raises:
        MissingEnvironmentError: There is no curl.
        VtkError: A variant did not fetch the file.
    """
    if shutil.which("curl") is None:
        raise MissingEnvironmentError("there is no curl to compare with", "Install curl.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-download-", dir=folder) as name:
        root = Path(name)
        sha256 = _make_file(root / "served" / NAME, num_mib)
        with _serving(root / "served") as url:
            ways = _ways(f"{url}/{NAME}", root / NAME, Expected(num_mib << 20, sha256))
            walls, cpus = _time(ways, root / NAME, sha256, num_rounds, on_round)
    return {
        "num_mib": num_mib,
        "num_rounds": num_rounds,
        "ways": {way: {"wall_s": walls.median_s(way), "cpu_s": cpus.median_s(way)} for way in ways},
        "ratio": {
            way: {"wall": walls.ratio(OURS, way), "cpu": cpus.ratio(OURS, way)}
            for way in (CURL, CAREFUL)
        },
    }


def _make_file(path: Path, num_mib: int) -> str:
    path.parent.mkdir()
    digest = hashlib.sha256()
    with path.open("wb") as stream:
        for _ in range(num_mib):
            block = os.urandom(_BLOCK_BYTES)
            digest.update(block)
            stream.write(block)
    return digest.hexdigest()


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """A plain web server in a process of its own; its address."""
    words = ["-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), "0"]
    server = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert server.stdout is not None
        found = re.search(r"port (\d+)", server.stdout.readline())
        if found is None:
            raise VtkError("the web server of the measurement did not start")
        yield f"http://127.0.0.1:{found[1]}"
    finally:
        server.terminate()
        server.communicate()


def _ways(url: str, target: Path, expected: Expected) -> dict[str, Callable[[], None]]:
    curl = ["curl", "--silent", "--fail", "--output", str(target), url]

    def careful() -> None:
        subprocess.run(curl, check=True)
        subprocess.run(["sha256sum", str(target)], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["sync", str(target)], check=True)

    return {
        CURL: lambda: _run(curl),
        CAREFUL: careful,
        OURS: lambda: _fetch(url, target, expected),
    }


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)


def _fetch(url: str, target: Path, expected: Expected) -> None:
    patience = Patience()
    session = Session(TokenFor(url, None), patience.connect_s, patience.stall_s)
    transfer = Transfer(session, patience, _Silent(), threading.Event())
    transfer.fetch(FileJob(NAME, url, target, expected))
    session.close()


class _Silent:
    """Nobody watches."""

    def on_bytes(self, name: str, num_bytes: int, total_bytes: int | None) -> None:
        """Nothing."""

    def on_note(self, name: str, note: str) -> None:
        """Nothing."""


def _time(
    ways: dict[str, Callable[[], None]],
    target: Path,
    sha256: str,
    num_rounds: int,
    on_round: Callable[[], None],
) -> tuple[Rounds, Rounds]:
    """Wall and processor seconds; what each way fetched is compared before anything counts."""
    walls: dict[str, list[float]] = {way: [] for way in ways}
    cpus: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(num_rounds + 1):
        for way, run in ways.items():
            target.unlink(missing_ok=True)
            os.sync()  # what an earlier way left to write is not this one's
            began_s, began_cpu_s = time.monotonic(), _cpu_s()
            run()
            wall_s, cpu_s = time.monotonic() - began_s, _cpu_s() - began_cpu_s
            if number == 0:
                _check(way, target, sha256)
            else:
                walls[way].append(wall_s)
                cpus[way].append(cpu_s)
        on_round()
    return Rounds(walls), Rounds(cpus)


def _check(way: str, target: Path, sha256: str) -> None:
    with target.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
            raise VtkError(f"{way} fetched another file than was served; nothing was timed")


def _cpu_s() -> float:
    """Processor seconds of this process and of those that it has waited for."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, who))
