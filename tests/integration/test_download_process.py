"""`vtk download` as whole processes, and short forms of the promises D1 to D10."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.reliability import downloads, refusals
from tests.reliability.figures import Figures
from tests.reliability.publishers import clip_bytes, files_below, make_zip
from tests.reliability.web import HONEST, Site, Trick, serving
from vtk.data.remote.sources import SOURCES

Start = Callable[..., "subprocess.Popen[str]"]
CLIPS = {f"videos/{number}.mp4": clip_bytes(number, 1 << 20) for number in range(4)}
WANTED = {"test_Video-Holmes.json": b"[]", **CLIPS}


def _kept(found: Figures) -> None:
    assert found.broken == []
    assert found.count
    assert found.figures


@pytest.fixture
def site() -> Iterator[Site]:
    """Four clips of a mebibyte in one archive."""
    site = Site()
    files = {"test_Video-Holmes.json": b"[]", "videos.zip": make_zip(CLIPS, 0)}
    site.add_repository("dataset", SOURCES["video-holmes"].repo, files)
    with serving(site):
        yield site


@pytest.fixture
def start(site: Site, tmp_path: Path, repository: Path) -> Iterator[Start]:
    """Starts the command; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*options: str, **variables: str) -> "subprocess.Popen[str]":
        clean = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "TERM": "dumb"}
        clean |= {"PYTHONPATH": str(repository), "HF_ENDPOINT": site.url} | variables
        command = [sys.executable, "-m", "vtk", "download", "video-holmes", "--accept-licence"]
        haste = ["--retry-wait", "0.02", "--data-dir", str(tmp_path / "data")]
        process = subprocess.Popen(
            [*command, *haste, *options],
            env=clean,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _until(happened: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline_s = time.monotonic() + 60
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


@pytest.mark.slow
def test_killed_three_times_it_ends_with_every_byte_right(
    site: Site, start: Start, tmp_path: Path
) -> None:
    site.trick = lambda each: Trick(bytes_per_s=4e6) if each.path.endswith(".zip") else HONEST
    part = tmp_path / "data/video-holmes/videos.zip.part"
    for kept in (1_500_000, 2_200_000, 3_000_000):
        process = start()
        _until(lambda: part.is_file() and part.stat().st_size > kept, process)  # noqa: B023
        process.kill()
        process.communicate()
    process = start()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert files_below(tmp_path / "data/video-holmes") == WANTED
    starts = [each.start for each in site.gets(".zip")]
    assert len(starts) == 4
    assert starts == sorted(starts)
    assert starts[1] > 1_400_000
    assert starts[3] > 2_900_000
    assert "goes on after" in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGTERM, 75, "stopped by SIGTERM"), (signal.SIGINT, 130, "Interrupted")],
)
def test_a_signal_keeps_what_arrived_and_says_how_to_go_on(
    site: Site, start: Start, tmp_path: Path, number: int, code: int, said: str
) -> None:
    site.trick = lambda each: Trick(bytes_per_s=2e6) if each.path.endswith(".zip") else HONEST
    root = tmp_path / "data/video-holmes"
    part = root / "videos.zip.part"
    process = start()
    _until(lambda: part.is_file() and part.stat().st_size > 1_500_000, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert said in err
    assert "the same command goes on" in err
    assert "Traceback" not in err
    assert {path.name for path in root.iterdir()} == {
        "download.json", "test_Video-Holmes.json", "videos.zip.part", "videos.zip.part.json",
    }  # fmt: skip


@pytest.mark.slow
def test_a_proxy_of_the_environment_is_used(site: Site, start: Start, tmp_path: Path) -> None:
    """The loopback server is the proxy: it gets requests for a host that does not exist."""
    process = start(HF_ENDPOINT="http://hub.invalid", http_proxy=site.url)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert files_below(tmp_path / "data/video-holmes") == WANTED
    assert {each.headers["host"] for each in site.requests} == {"hub.invalid"}


@pytest.mark.slow
def test_kills_at_random_moments(tmp_path: Path) -> None:
    _kept(downloads.kill_at_random(4, tmp_path, size_mib=16))


def test_damage_in_transit(tmp_path: Path) -> None:
    _kept(downloads.damage_in_transit(2, tmp_path))


@pytest.mark.slow
@pytest.mark.thorough
def test_second_answers_of_twelve_kinds(tmp_path: Path) -> None:
    _kept(refusals.never_a_splice(tmp_path))


@pytest.mark.slow
def test_bad_networks(tmp_path: Path) -> None:
    _kept(downloads.bad_networks(4, tmp_path))


def test_too_little_room(tmp_path: Path) -> None:
    _kept(refusals.too_little_room(1, tmp_path))


@pytest.mark.slow
def test_three_processes_at_once(tmp_path: Path) -> None:
    _kept(downloads.together(2, 3, tmp_path))


@pytest.mark.slow
def test_kills_while_unpacking(tmp_path: Path) -> None:
    _kept(downloads.kill_while_unpacking(1, tmp_path))


@pytest.mark.slow
@pytest.mark.thorough
def test_hostile_archives_behind_a_good_listing(tmp_path: Path) -> None:
    _kept(refusals.hostile_archives(tmp_path / "archives"))


def test_nobody_else_is_talked_to(tmp_path: Path) -> None:
    _kept(refusals.only_who_was_named(tmp_path))


@pytest.mark.slow
def test_interrupts(tmp_path: Path) -> None:
    _kept(downloads.interrupts(2, tmp_path))
