"""D3, D5, D8, D9: what a download does not do: splice, overfill, obey archives, talk to others."""

import os
import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.reliability.archives import DAMAGED, HOSTILE
from tests.reliability.downloads import MIB, NAME, Place, place
from tests.reliability.figures import Figures
from tests.reliability.process import fork
from tests.reliability.publishers import clip_bytes, files_below, make_zip, publish_clevrer
from tests.reliability.web import HONEST, Request, Site, Trick, serving
from vtk.errors import DataError, MissingEnvironmentError

ARCHIVE = "video_train.zip"
WEAK, NONE = 'W/"weak"', ""
BROKEN = Trick(cut_at=3 * MIB)
WRONG_PARTS: dict[str, tuple[Trick, str | None, int]] = {
    "the tag changes": (HONEST, '"new"', 200),
    "no validator": (HONEST, NONE, 0),
    "a weak validator": (HONEST, WEAK, 0),
    "200 to a Range": (Trick(ignore_range=True), None, 200),
    "a part from elsewhere": (Trick(headers={"Content-Range": "bytes 7-99/100"}), None, 206),
    "a part without its place": (Trick(headers={"Content-Range": None}), None, 206),
    "another total": (Trick(headers={"ETag": '"other"'}), None, 206),
    "several parts": (
        Trick(headers={"Content-Range": None, "Content-Type": "multipart/byteranges"}), None, 206
    ),
    "416": (Trick(status=416, headers={"Content-Range": "bytes */5"}), None, 416),
    "a compressed part": (Trick(is_gzipped=True), None, 206),
    "a compressed whole": (Trick(is_gzipped=True, ignore_range=True), None, 200),
    "chunks": (Trick(is_chunked=True), None, 206),
}  # fmt: skip
"""Second answer for a file whose first answer broke, its validator then, and the usual status."""


def never_a_splice(folder: Path) -> Figures:
    """A file without a hash changes on the server after half of it arrived."""
    result = Figures("D3", "Never a splice of two versions")
    for number, (name, (second, tag, _)) in enumerate(WRONG_PARTS.items()):
        site = Site()
        publish_clevrer(site, clip_size=2 * MIB)
        path = next(each for each in site.files if each.endswith(ARCHIVE))
        site.etags[path] = tag if tag in (NONE, WEAK) else '"old"'
        old, is_new = site.files[path], second is HONEST
        new = make_zip({name: clip_bytes(7, 2 * MIB) for name in _clip_names(old)}, 0)
        assert len(new) == len(old)
        site.trick = _then(site, path, second, new if is_new else old, tag)
        with serving(site):
            code = _fetch_clevrer(site, folder / str(number))
        root = folder / str(number) / "clevrer"
        found = {
            name: content for name, content in files_below(root).items() if "videos/train" in name
        }
        wanted = (
            {clip_bytes(7, 2 * MIB)} if is_new else {clip_bytes(0, 2 * MIB), clip_bytes(2, 2 * MIB)}
        )
        is_right = code == 0 and set(found.values()) == wanted and len(found) == 2
        log = (folder / str(number) / "log").read_text()[-400:]
        result.check(is_right, f"{name}: exit {code}, {sorted(found)}: {log}")
    result.count = (
        f"{len(WRONG_PARTS)} second answers after a broken first one: {', '.join(WRONG_PARTS)}"
    )
    result.figures = [f"{len(result.broken)} wrong files"]
    return result


def _clip_names(archive: bytes) -> list[str]:
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return opened.namelist()


def _then(
    site: Site, path: str, second: Trick, content: bytes, tag: str | None
) -> Callable[[Request], Trick]:
    """Break the first GET for a path, change the file, answer the second oddly, then honestly."""

    def trick(request: Request) -> Trick:
        num_before = len(site.gets(ARCHIVE)) - 1
        if request.method != "GET" or request.path != path or num_before > 1:
            return HONEST
        if num_before == 0:
            return BROKEN
        site.files[path] = content
        site.etags[path] = '"old"' if tag is None else tag
        return replace(second)

    return trick


def _fetch_clevrer(site: Site, folder: Path, prepare: Callable[[], None] = lambda: None) -> int:
    folder.mkdir(parents=True, exist_ok=True)

    def run() -> int:
        from vtk.cli.app import main

        os.environ["HF_HUB_OFFLINE"] = "0"
        prepare()
        haste = ["--retry-wait", "0.02", "--stall-timeout", "1", "--mirror", site.url]
        return main(["download", "clevrer", "--data-dir", str(folder), *haste])

    return fork(run, folder / "log").wait()


def too_little_room(num_limits: int, folder: Path) -> Figures:
    """A disk that reports too little, and one that fills up though it reported enough."""
    result = Figures("D5", "Refuses when space is short, before the first byte")
    num_refused, num_cut = 0, 0
    for case in range(num_limits):
        with place(folder / f"told-{case}", num_clips=4, clip_size=MIB) as here:
            free = here.archive_bytes * 2 * case // num_limits
            code = here.start(prepare=lambda free=free: _pretend_free(free)).wait()  # type: ignore[misc]
            asked = [each.path for each in here.site.gets() if "/resolve/" in each.path]
            is_refused = code == MissingEnvironmentError.exit_code and not asked
            num_refused += is_refused
            result.check(is_refused, f"{free} B free: exit {code}, asked {asked}")
            result.check("needs" in here.log() and "free" in here.log(), "no figures told")
        with place(folder / f"cut-{case}", num_clips=4, clip_size=MIB) as here:
            # Always less than the archive.
            limit = MIB // 2 + (here.archive_bytes - MIB) * case // num_limits
            code = here.start(prepare=lambda limit=limit: _limit_files(limit)).wait()  # type: ignore[misc]
            is_told = code == MissingEnvironmentError.exit_code
            num_cut += is_told
            result.check(is_told, f"limit {limit}: exit {code}: {here.log()}")
            code = here.start().wait()
            result.check(code == 0 and here.is_right(), f"then exit {code}: {here.log()}")
    result.count = f"{num_limits} levels of reported space, {num_limits} file size limits"
    result.figures = [
        f"{num_refused} of {num_limits} refused before a byte was asked for, with need and have",
        f"{num_cut} of {num_limits} writes that the kernel cut end with exit 3 and go on later",
    ]
    return result


def _pretend_free(num_bytes: int) -> None:
    import vtk.net.disk

    vtk.net.disk.free_bytes = lambda folder: num_bytes  # noqa: ARG005 - its name is the real one's


def _limit_files(num_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


def hostile_archives(folder: Path) -> Figures:
    """Each behind a good listing and a right hash, as if its owner's account had been taken."""
    result = Figures("D8", "Hostile archives are refused")
    victim = folder / "victim.txt"
    folder.mkdir(parents=True, exist_ok=True)
    victim.write_text("untouched")
    for number, (kind, archive) in enumerate({**HOSTILE, **DAMAGED}.items()):
        with place(folder / str(number), num_clips=1, clip_size=1000) as here:
            _replace_archive(here, archive)
            code = here.start().wait()
            clips = list((here.root / "videos").glob("**/*")) if here.root.exists() else []
            is_clean = not clips and victim.read_text() == "untouched"
            is_kept = code == DataError.exit_code and is_clean
            result.check(is_kept, f"{kind}: exit {code}, unpacked {clips}: {here.log()}")
    num = len(HOSTILE) + len(DAMAGED)
    result.count = f"{num} kinds: {', '.join([*HOSTILE, *DAMAGED])}"
    result.figures = [f"{num - len(result.broken)} of {num} refused, nothing of them on the disk"]
    return result


def _replace_archive(here: Place, archive: bytes) -> None:
    from vtk.data.remote.sources import SOURCES

    files = {"test_Video-Holmes.json": b"[]", "videos.zip": archive}
    here.site.add_repository("dataset", SOURCES[NAME].repo, files)


def only_who_was_named(folder: Path) -> Figures:
    """A guard notes every connection and every name looked up, in each mode."""
    result = Figures("D9", "Offline and mirror modes talk to nobody else")
    num_connections = 0
    with place(folder / "mirror", num_clips=2, clip_size=MIB) as here:
        log = folder / "connections"
        for mode, options in {
            "endpoint": (),
            "complete": (),
            "offline": ("--offline",),
            "verify": ("--verify",),
            "list": ("--list",),
        }.items():
            log.write_text("")
            code = here.start(*options, prepare=lambda: _note_connections(log)).wait()
            result.check(code == 0, f"{mode}: exit {code}: {here.log()}")
            places = log.read_text().split()
            allowed = {here.site.url.removeprefix("http://")} if mode == "endpoint" else set()
            result.check(set(places) <= allowed, f"{mode}: connects to {set(places) - allowed}")
            result.check(bool(places) == bool(allowed), f"{mode}: {len(places)} connections")
            num_connections += len(places)
    result.count = "downloading from a mirror, again when complete, offline, verify, list"
    result.figures = [f"{num_connections} connections, all to the mirror, all of the download"]
    return result


def _note_connections(log: Path) -> None:
    """Write down where this process connects to, and what names it looks up."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)

    def hook(name: str, arguments: tuple[object, ...]) -> None:
        if name == "socket.connect" and isinstance(arguments[1], tuple):
            os.write(descriptor, f"{arguments[1][0]}:{arguments[1][1]}\n".encode())
        elif name == "socket.getaddrinfo" and arguments[0] not in ("127.0.0.1", None):
            os.write(descriptor, f"{arguments[0]}\n".encode())

    sys.addaudithook(hook)
