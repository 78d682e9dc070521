"""The cache's folder: where it is, what leaves it, and a disk that cannot be written."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vtk.cli.app import main
from vtk.errors import MissingEnvironmentError
from vtk.video.cache_folder import CacheFolder, Usage, cache_dir
from vtk.video.fingerprints import MAX_LOG_BYTES, FileIdentity, Fingerprints
from vtk.video.frames import FrameSettings
from vtk.video.pixel_cache import PixelCache

WriteClip = Callable[..., Path]
MINI = FrameSettings(num_frames=8, fps=None, min_pixels_px=784, max_pixels_px=4704, decoder="pyav")
KEYS = [f"{number:064x}" for number in range(30)]
SHA = "a" * 64


def folder_at(tmp_path: Path, max_bytes: int = 10_000) -> CacheFolder:
    return CacheFolder(tmp_path / "cache", max_bytes, min_free_bytes=0)


def kept(folder: CacheFolder) -> list[str]:
    return [key for key in KEYS if folder.path_of(key).exists()]


def age(path: Path, age_s: float) -> None:
    then = path.stat().st_mtime - age_s
    os.utime(path, (then, then))


def test_the_folder_is_where_users_expect_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir({}) == tmp_path / ".cache" / "vtk"
    assert cache_dir({"XDG_CACHE_HOME": "/var/x"}) == Path("/var/x/vtk")
    assert cache_dir({"XDG_CACHE_HOME": "not/absolute"}) == tmp_path / ".cache" / "vtk"
    assert cache_dir({"VTK_CACHE_DIR": "~/mine", "XDG_CACHE_HOME": "/x"}) == tmp_path / "mine"
    monkeypatch.setattr(Path, "home", _no_home)
    with pytest.raises(MissingEnvironmentError) as caught:
        cache_dir({})
    assert "VTK_CACHE_DIR" in (caught.value.hint or "")


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_the_least_recently_used_leave_first(tmp_path: Path) -> None:
    folder = folder_at(tmp_path, max_bytes=5_000)
    for number, key in enumerate(KEYS[:5]):
        assert folder.write(key, [bytes(1000)])
        age(folder.path_of(key), 1000 - number)
    folder.touch(folder.path_of(KEYS[0]))
    assert folder.write(KEYS[5], [bytes(600), bytes(400)])
    assert kept(folder) == [KEYS[0], KEYS[3], KEYS[4], KEYS[5]]
    assert folder.usage() == Usage(4, 4000)


def test_what_other_processes_wrote_counts_too(tmp_path: Path) -> None:
    mine, theirs = folder_at(tmp_path, 16_000), folder_at(tmp_path, 10**6)
    mine.write(KEYS[0], [bytes(500)])
    for key in KEYS[1:21]:
        theirs.write(key, [bytes(1000)])
    for key in KEYS[21:23]:
        mine.write(key, [bytes(600)])
    assert mine.usage().num_bytes <= 16_000
    assert KEYS[22] in kept(mine)


def test_what_is_larger_than_all_of_it_is_not_written(tmp_path: Path) -> None:
    folder = folder_at(tmp_path, max_bytes=1_000)
    folder.write(KEYS[0], [bytes(800)])
    assert not folder.write(KEYS[1], [bytes(1_001)])
    assert kept(folder) == [KEYS[0]]


def test_the_second_of_two_throws_its_copy_away(tmp_path: Path) -> None:
    first, second = folder_at(tmp_path), folder_at(tmp_path)
    assert first.write(KEYS[0], [b"first"])
    assert not second.write(KEYS[0], [b"other"])
    assert first.path_of(KEYS[0]).read_bytes() == b"first"


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    folder = folder_at(tmp_path)
    folder.write(KEYS[0], [bytes(10)])
    clips = folder.path_of(KEYS[0]).parent
    left, young = (clips / f".{KEYS[1]}.{pid}-00000000.tmp" for pid in (1, 2))
    left.write_bytes(bytes(100))
    young.write_bytes(bytes(100))
    age(left, 7200)
    folder_at(tmp_path).write(KEYS[2], [bytes(10)])
    assert (left.exists(), young.exists()) == (False, True)
    assert kept(folder) == [KEYS[0], KEYS[2]]


def test_clearing_deletes_the_caches_own_files_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VTK_CACHE_DIR", str(tmp_path / "cache"))
    assert main(["data", "cache", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_clips"] == 0
    folder = folder_at(tmp_path)
    folder.write(KEYS[0], [bytes(2048)])
    folder.log.write_text("x")
    strangers = [folder.root / "my.log", folder.path_of(KEYS[0]).parent / "holiday.clip"]
    for stranger in strangers:
        stranger.write_text("mine")
    assert main(["data", "cache"]) == 0
    told = capsys.readouterr()
    assert "1 decoded clips, 2.0 KiB" in told.out
    assert "vtk data cache --clear" in told.err
    assert main(["data", "cache", "--clear", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "path": str(folder.root),
        "cleared": True,
        "num_clips": 1,
        "num_bytes": 2049,
    }
    assert folder.usage() == Usage(0, 0)
    assert all(stranger.exists() for stranger in strangers)


def test_fingerprints_pass_from_process_to_process(tmp_path: Path) -> None:
    video, log = tmp_path / "clip.mp4", tmp_path / "cache" / "log"
    video.write_bytes(b"content")
    identity = FileIdentity.of(video)
    assert Fingerprints(log).find(identity) is None
    Fingerprints(log).remember(identity, SHA)
    assert Fingerprints(log).find(identity) == SHA
    video.write_bytes(b"changed")
    assert Fingerprints(log).find(FileIdentity.of(video)) is None


@pytest.mark.parametrize("num_lost", [1, 40, 80, 120])
def test_a_torn_line_of_the_log_costs_that_line(tmp_path: Path, num_lost: int) -> None:
    log, identities = tmp_path / "log", []
    for number in range(3):
        video = tmp_path / f"{number}.mp4"
        video.write_bytes(b"content")
        identities.append(FileIdentity.of(video))
    Fingerprints(log).remember(identities[0], SHA)
    Fingerprints(log).remember(identities[1], SHA)
    log.write_bytes(log.read_bytes()[:-num_lost])
    Fingerprints(log).remember(identities[2], "b" * 64)
    found = Fingerprints(log)
    assert [found.find(one) for one in identities] == [SHA, None, "b" * 64]


def test_an_altered_or_endless_log_is_not_believed(tmp_path: Path) -> None:
    log, video = tmp_path / "log", tmp_path / "clip.mp4"
    video.write_bytes(b"content")
    identity = FileIdentity.of(video)
    Fingerprints(log).remember(identity, SHA)
    log.write_bytes(log.read_bytes().replace(b"a" * 64, b"a" * 63 + b"b"))
    assert Fingerprints(log).find(identity) is None
    log.write_bytes(b"\xff" * (MAX_LOG_BYTES + 1))
    assert Fingerprints(log).find(identity) is None
    assert not log.exists()


def a_notice(cache: PixelCache, video: Path) -> str:
    """Reads twice through a cache that cannot be written; what it says of that, once."""
    for _ in range(2):
        assert cache.read(video, MINI).frames_FCHW.shape == (8, 3, 56, 84)
    assert (cache.counts.num_misses, cache.counts.num_not_kept) == (2, 2)
    notice = cache.take_notice()
    assert cache.take_notice() is None
    assert notice is not None
    assert "VTK_CACHE_DIR" in notice
    assert "video.cache_gib=0" in notice
    return notice


def test_a_nearly_full_disk_is_left_alone(tmp_path: Path, write_clip: WriteClip) -> None:
    folder = CacheFolder(tmp_path / "cache", 10**8, min_free_bytes=2**60)
    notice = a_notice(PixelCache(folder, min_age_s=0), write_clip(tmp_path / "clip.mp4"))
    assert "free" in notice
    assert folder.usage().num_clips == 0


def test_a_folder_that_is_none_is_left_alone(tmp_path: Path, write_clip: WriteClip) -> None:
    (tmp_path / "cache").write_text("a file")
    cache = PixelCache(folder_at(tmp_path), min_age_s=0)
    notice = a_notice(cache, write_clip(tmp_path / "clip.mp4"))
    assert "Not a directory" in notice or "exists" in notice


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_cache_still_answers(tmp_path: Path, write_clip: WriteClip) -> None:
    known, new = (write_clip(tmp_path / name) for name in ("known.mp4", "new.mp4"))
    PixelCache(folder_at(tmp_path, 10**8), min_age_s=0).read(known, MINI)
    clips = tmp_path / "cache" / "clips"
    try:
        clips.chmod(0o555)
        cache = PixelCache(folder_at(tmp_path, 10**8), min_age_s=0)
        a_notice(cache, new)
        cache.read(known, MINI)
        assert cache.counts.num_hits == 1
    finally:
        clips.chmod(0o755)


LIMITED = """
import resource, signal, sys
from pathlib import Path
from vtk.video.cache_folder import CacheFolder
from vtk.video.frames import FrameSettings
from vtk.video.pixel_cache import PixelCache
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
cache = PixelCache(CacheFolder(Path(sys.argv[1]), 10**8, 0), min_age_s=0)
if len(sys.argv) > 3:
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
for _ in range(2):
    clip = cache.read(Path(sys.argv[2]), FrameSettings(8, None, 784, 4704, "pyav"))
print(clip.frames_FCHW.long().sum().item(), cache.counts.num_not_kept, cache.take_notice())
"""


@pytest.mark.slow
def test_a_disk_that_fills_up_within_a_write_costs_nothing(
    tmp_path: Path, write_clip: WriteClip
) -> None:
    """A limit on the size of files stops the write at its 50,000th byte, as a full disk does."""
    video = write_clip(tmp_path / "clip.mp4", square=True)
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "cache"), str(video)]

    def run(*limit: str) -> list[str]:
        done = subprocess.run([*command, *limit], capture_output=True, text=True, check=True)
        return done.stdout.split(maxsplit=2)

    full, free = run("limited"), run()
    assert full[0] == free[0], "the same pixels"
    assert full[1] == "2"
    assert "File too large" in full[2]
    assert free[1:] == ["0", "None\n"]
    assert folder_at(tmp_path).usage().num_clips == 1
    assert [path.suffix for path in (tmp_path / "cache" / "clips").iterdir()] == [".clip"]
