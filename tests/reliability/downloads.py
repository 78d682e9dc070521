"""D1 to D10: what a download survives. Real processes, real signals, real sockets on loopback.

A process is forked from one that has imported the libraries and runs the command as a user types
it; `tests/integration/test_download_process.py` starts whole processes.
"""

import contextlib
import os
import random
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from tests.reliability.figures import Figures, quantile
from tests.reliability.process import Child, fork, wait_for
from tests.reliability.publishers import clip_bytes, files_below, make_zip
from tests.reliability.web import HONEST, Request, Site, Trick, serving
from vtk.data.remote.sources import SOURCES
from vtk.data.remote.unpack import TEMPORARY_SUFFIX
from vtk.errors import UserInterrupt

NAME = "video-holmes"
MIB = 1 << 20
TRIES_S = 0.02


class Place:
    """One data folder, and the command that fills it from a site.

    Args:
        site: What is served.
        folder: Made anew.
        num_clips, clip_size: Of the archive that is served.
    """

    def __init__(self, site: Site, folder: Path, num_clips: int, clip_size: int) -> None:
        self.site, self.folder = site, folder
        folder.mkdir(parents=True, exist_ok=True)
        clips = {f"videos/{n}.mp4": clip_bytes(n, clip_size) for n in range(num_clips)}
        archive = make_zip(clips, zipfile.ZIP_STORED)
        questions = b'[{"video ID": "0"}]'
        site.add_repository(
            "dataset",
            SOURCES[NAME].repo,
            {"test_Video-Holmes.json": questions, "videos.zip": archive},
        )
        self.archive_bytes = len(archive)
        self.wanted = {"test_Video-Holmes.json": questions, **clips}

    @property
    def root(self) -> Path:
        """The data set's folder."""
        return self.folder / NAME

    def start(self, *options: str, prepare: Callable[[], None] = lambda: None) -> Child:
        """The command in a process of its own; `prepare` runs in it first."""
        return fork(lambda: self._run(prepare, options), self.folder / "log")

    def _run(self, prepare: Callable[[], None], options: tuple[str, ...]) -> int:
        from vtk.cli.app import main

        # pytest has put objects of its own in their place, which write elsewhere.
        sys.stdout = sys.stderr = (self.folder / "log").open("a", buffering=1)
        os.environ.update(HF_ENDPOINT=self.site.url, HF_HUB_OFFLINE="0")
        prepare()
        haste = ["--retry-wait", str(TRIES_S), "--stall-timeout", "1", "--accept-licence"]
        return main(["download", NAME, "--data-dir", str(self.folder), *haste, *options])

    def is_right(self) -> bool:
        """Whether all is here, to the byte, and nothing else."""
        return files_below(self.root) == self.wanted

    def log(self) -> str:
        """The end of what was printed."""
        return (self.folder / "log").read_text()[-500:]


@contextlib.contextmanager
def place(folder: Path, num_clips: int = 4, clip_size: int = MIB) -> Iterator[Place]:
    """A place with a server of its own."""
    site = Site()
    with serving(site):
        yield Place(site, folder, num_clips, clip_size)


def kill_at_random(num_kills: int, folder: Path, size_mib: int = 64, seed: int = 0) -> Figures:
    """SIGKILL the command at random moments and repeat it, until a run ends by itself."""
    result = Figures("D1", "A killed download continues where it stopped, in a new process")
    draw, num_killed, num_rounds, resent = random.Random(seed), 0, 0, list[float]()
    num_right = 0
    while num_killed < num_kills:
        with place(folder / str(num_rounds), num_clips=16, clip_size=size_mib * MIB // 16) as here:
            here.site.trick = lambda _request: Trick(bytes_per_s=size_mib * MIB / 2)
            killed_here = 0
            while (code := _killed(here, draw, num_killed < num_kills)) != 0:
                result.check(code == -signal.SIGKILL, f"a process ended with {code}: {here.log()}")
                if code != -signal.SIGKILL:
                    return result
                num_killed, killed_here = num_killed + 1, killed_here + 1
            odd = here.wanted.keys() ^ files_below(here.root).keys()
            num_right += here.is_right()
            result.check(here.is_right(), f"round {num_rounds} ends with other files: {odd}")
            if killed_here:
                extra = here.site.num_sent - here.archive_bytes
                resent.append(extra / killed_here / here.archive_bytes)
            num_rounds += 1
    result.count = f"{num_killed} SIGKILLs in {num_rounds} downloads of {size_mib} MiB"
    result.figures = [
        f"{num_right} of {num_rounds} end with every byte right and nothing left over",
        f"sent again per kill: {100 * sum(resent) / len(resent):.1f} % of the file in the mean, "
        f"{100 * max(resent):.1f} % at most (with what was on its way in the sockets)",
    ]
    return result


def _killed(here: Place, draw: random.Random, is_killing: bool) -> int:
    """One run; half of the kills come some time after its start, half after it asked for bytes."""
    child, num_before = here.start(), len(here.site.gets(".zip"))
    if is_killing:
        if draw.random() < 0.5:
            wait_for(child, lambda: len(here.site.gets(".zip")) > num_before)
        deadline_s = time.monotonic() + draw.uniform(0, 0.7)
        wait_for(child, lambda: time.monotonic() >= deadline_s)
        if child.is_alive():
            child.send(signal.SIGKILL)
    return child.wait()


def damage_in_transit(num_cases: int, folder: Path, seed: int = 0) -> Figures:
    """A server that flips a bit, zeroes a block or swaps two, and keeps the size."""
    result = Figures("D2", "A finished file has the expected content")
    draw, num_noticed = random.Random(seed), 0
    for case in range(num_cases):
        with place(folder / str(case), num_clips=2, clip_size=MIB // 4) as here:
            damaged = _damaged(here.site, case % 3, draw)
            here.site.trick = lambda each, damaged=damaged, here=here: (  # type: ignore[misc]
                Trick(body=damaged)
                if each.path.endswith(".zip") and len(here.site.gets(".zip")) == 1
                else HONEST
            )
            code = here.start().wait()
            noticed = len(here.site.gets(".zip")) == 2
            num_noticed += noticed
            is_right = code == 0 and noticed and here.is_right()
            result.check(is_right, f"case {case}: exit {code}, noticed {noticed}: {here.log()}")
    result.count = f"{num_cases} files with one bit, one block or two blocks changed"
    result.figures = [f"{num_noticed} of {num_cases} noticed and fetched again, all right"]
    return result


def _damaged(site: Site, kind: int, draw: random.Random) -> bytes:
    content = next(each for path, each in site.files.items() if path.endswith(".zip"))
    at = draw.randrange(len(content) - 8192)
    first, second = content[at : at + 4096], content[at + 4096 : at + 8192]
    changed = [
        bytes([first[0] ^ 1 << draw.randrange(8)]) + first[1:] + second,
        bytes(4096) + second,
        second + first,
    ][kind]
    return content[:at] + changed + content[at + 8192 :]


BAD_ANSWERS: dict[str, Callable[[random.Random, int], Trick]] = {
    "ends early": lambda draw, size: Trick(cut_at=draw.randrange(size)),
    "reset": lambda draw, size: Trick(cut_at=draw.randrange(size), is_reset=True),
    "stalls": lambda draw, size: Trick(stall_at=draw.randrange(size)),
    "503": lambda _draw, _size: Trick(status=503, headers={"Retry-After": "0"}),
    "429": lambda _draw, _size: Trick(status=429, headers={"Retry-After": "1"}),
    "500": lambda _draw, _size: Trick(status=500),
    "web page": lambda _draw, _size: Trick(body=b"<html>", headers={"Content-Type": "text/html"}),
    "redirect loop": lambda _draw, _size: Trick(status=302, headers={"Location": "/loop"}),
    "no range": lambda draw, size: Trick(ignore_range=True, cut_at=draw.randrange(size)),
    "chunks cut": lambda draw, size: Trick(is_chunked=True, cut_at=draw.randrange(size)),
    "compressed": lambda _draw, _size: Trick(is_gzipped=True),
}


def bad_networks(num_schedules: int, folder: Path, seed: int = 0) -> Figures:
    """Schedules of up to five bad answers in a row, drawn at random, before a good one."""
    result = Figures("D4", "Survives a bad network")
    num_done, num_bad, early = 0, 0, 0
    for case in range(num_schedules):
        draw = random.Random(f"{seed} {case}")
        with place(folder / str(case), num_clips=2, clip_size=MIB) as here:
            kinds = [draw.choice(list(BAD_ANSWERS)) for _ in range(draw.randint(1, 5))]
            tricks = [BAD_ANSWERS[kind](draw, here.archive_bytes) for kind in kinds]
            here.site.trick = _schedule(tricks)
            times = _noting_times(here.site)
            code = here.start().wait()
            is_right = code == 0 and here.is_right()
            result.check(is_right, f"schedule {kinds}: exit {code}: {here.log()}")
            num_done, num_bad = num_done + is_right, num_bad + len(kinds)
            early += _num_early(tricks, times)
    result.check(early == 0, f"{early} requests before Retry-After")
    result.count = f"{num_schedules} schedules of {num_bad} bad answers of {len(BAD_ANSWERS)} kinds"
    result.figures = [
        f"{num_done} of {num_schedules} downloads complete and right",
        f"{early} requests came before the time that Retry-After asked for",
    ]
    return result


def _schedule(tricks: list[Trick]) -> Callable[[Request], Trick]:
    left = list(tricks)

    def trick(request: Request) -> Trick:
        if request.path == "/loop":
            return Trick(status=302, headers={"Location": "/loop"})
        return left.pop(0) if request.path.endswith(".zip") and left else HONEST

    return trick


def _noting_times(site: Site) -> list[float]:
    """When each request for the archive came, filled while the site serves."""
    times: list[float] = []
    inner = site.trick

    def trick(request: Request) -> Trick:
        if request.path.endswith(".zip"):
            times.append(time.monotonic())
        return inner(request)

    site.trick = trick
    return times


def _num_early(tricks: list[Trick], times: list[float]) -> int:
    gaps = [later - earlier for earlier, later in pairwise(times)]
    asked = [float(trick.headers.get("Retry-After") or 0) for trick in tricks]
    return sum(gap < wait_s for gap, wait_s in zip(gaps, asked, strict=False))


def together(num_rounds: int, num_processes: int, folder: Path, seed: int = 0) -> Figures:
    """Several processes for one data set at once; in every second round the first is killed."""
    result = Figures("D6", "Processes that download the same never corrupt it")
    draw, num_killed, num_right, wasted = random.Random(seed), 0, 0, list[float]()
    for case in range(num_rounds):
        with place(folder / str(case), num_clips=4, clip_size=MIB) as here:
            here.site.trick = lambda _request: Trick(bytes_per_s=16 * MIB)
            children = [here.start() for _ in range(num_processes)]
            if case % 2:
                time.sleep(draw.uniform(0.05, 0.4))
                children[0].send(signal.SIGKILL)
                num_killed += 1
            codes = [child.wait() for child in children]
            allowed = {0, -signal.SIGKILL} if case % 2 else {0}
            odd = here.wanted.keys() ^ files_below(here.root).keys()
            is_right = set(codes) <= allowed and here.is_right()
            num_right += is_right
            result.check(is_right, f"round {case}: exits {codes}, other files {odd}: {here.log()}")
            wasted.append(here.site.num_sent / here.archive_bytes - 1)
    result.count = f"{num_rounds} rounds of {num_processes} processes, {num_killed} holders killed"
    result.figures = [
        f"{num_right} of {num_rounds} rounds end with every byte right; nobody waits for ever",
        f"bytes fetched twice: {100 * max(wasted):.0f} % of the file at most",
    ]
    return result


def kill_while_unpacking(num_kills: int, folder: Path, seed: int = 0) -> Figures:
    """SIGKILL while members are written; no member is ever there in part."""
    result = Figures("D7", "Unpacking is all or nothing for each file, and goes on")
    draw, num_killed, num_rounds, num_partial = random.Random(seed), 0, 0, 0
    while num_killed < num_kills and num_rounds < 3 * num_kills:
        with place(folder / str(num_rounds), num_clips=40, clip_size=MIB) as here:
            videos = here.root / "videos"
            child = here.start()
            wait_for(child, lambda: any(videos.glob(f"*{TEMPORARY_SUFFIX}")))  # noqa: B023
            time.sleep(draw.uniform(0, 0.05))
            child.send(signal.SIGKILL)
            num_killed += child.wait() == -signal.SIGKILL
            found = files_below(here.root)
            partial = [
                name
                for name in here.wanted
                if found.get(name, here.wanted[name]) != here.wanted[name]
            ]
            num_partial += len(partial)
            result.check(not partial, f"in part: {partial}")
            code = here.start().wait()
            result.check(code == 0 and here.is_right(), f"exit {code}: {here.log()}")
            again = len(here.site.gets(".zip"))
            result.check(again == 1, f"the archive was fetched {again} times")
        num_rounds += 1
    result.count = f"{num_killed} SIGKILLs while 40 members of 1 MiB were written"
    result.figures = [
        f"{num_partial} members in part under their names",
        "each went on without fetching the archive again",
    ]
    return result


def interrupts(num_each: int, folder: Path, seed: int = 0) -> Figures:
    """Ctrl-C at random moments, every third time twice."""
    result = Figures("D10", "Ctrl-C is clean: exit 130, soon, and what arrived is kept")
    draw, took, num_stopped = random.Random(seed), list[float](), 0
    for case in range(num_each):
        with place(folder / str(case), num_clips=8, clip_size=MIB) as here:
            here.site.trick = lambda _request: Trick(bytes_per_s=8 * MIB)
            child = here.start()
            wait_for(child, lambda: bool(here.site.gets(".zip")))
            time.sleep(draw.uniform(0, 0.9))
            child.send(signal.SIGINT)
            began_s = time.monotonic()
            if case % 3 == 2:
                time.sleep(draw.uniform(0, 0.2))
                child.send(signal.SIGINT)
            code = child.wait()
            took.append(time.monotonic() - began_s)
            num_stopped += code == UserInterrupt.exit_code
            result.check(code in (0, UserInterrupt.exit_code), f"exit {code}: {here.log()}")
            code = here.start().wait()
            result.check(code == 0 and here.is_right(), f"then exit {code}: {here.log()}")
    result.count = f"{num_each} downloads of 8 MiB at 8 MiB/s"
    result.figures = [
        f"{num_stopped} stopped with exit 130, the others were done; all went on to the end",
        f"95 % gone within {quantile(took, 0.95):.2f} s, all within {max(took):.2f} s",
    ]
    return result
