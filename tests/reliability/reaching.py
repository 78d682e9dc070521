"""S3: rows and clips that name other machines and files, where the kernel watches for both."""

import importlib.util
import json
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import av

from tests.reliability.bench import Bench
from tests.reliability.evaluations import Evaluation
from tests.reliability.figures import Figures
from tests.reliability.sandbox import (
    CAUGHT,
    OpenWatch,
    can_forbid_network,
    confined,
    forbid_network,
)
from tests.reliability.web import Site, serving
from vtk.errors import DataError

READ, REFUSED = 3, 4


def rows_reach_nothing(bench: Bench, folder: Path) -> Figures:
    """Rows and clips that name a server of ours or a clip outside of the data."""
    result = Figures("S3", "Data rows cannot cause network or playlist reads")
    clip = _first_clip(bench)
    outside, root = folder / "outside" / "outside.mp4", folder / "data"
    outside.parent.mkdir()
    (root / "videos").mkdir(parents=True)
    shutil.copyfile(clip, outside)
    (root / "videos" / "link.mp4").symlink_to(outside)
    site = Site(files={"/a.mp4": clip.read_bytes()})
    if not can_forbid_network():
        result.check(False, "this machine cannot forbid a process the network (Linux can)")
        return result
    with serving(site) as url, OpenWatch(outside.parent) as watch:
        num_guards = _check_guards(result, folder / "log", url, outside, watch)
        works = _rows(bench, root, url, outside) | _clips(root, url, outside)
        for name, work in works.items():
            code = confined(work, folder / "log")
            said = {CAUGHT: "reached out", READ: "was read"}.get(code, f"ended with {code}")
            result.check(code == REFUSED, f"{name}: {said}")
            result.check(not watch.opened(), f"{name}: a file outside was opened")
        result.check(not site.requests, f"{len(site.requests)} requests reached the server")
    _check_a_whole_evaluation(bench, folder, result)
    readers = ", ".join(_readers())
    result.count = (
        f"{len(works)} references and lists, through {readers} and `vtk data check`; each in a "
        "process that the kernel ends at its first socket to anywhere"
    )
    result.figures = [
        "0 sockets, 0 foreign files opened; all refused",
        f"allowed everything, the same is caught {num_guards} of {num_guards} times: Python's and "
        f"each reader's connections, {', '.join(_LIVE)}",
        "a whole `vtk eval` opens no socket either",
    ]
    return result


def _readers() -> list[str]:
    names = {"pyav": "av", "decord": "decord", "torchcodec": "torchcodec"}
    return [name for name, module in names.items() if importlib.util.find_spec(module)]


def _first_clip(bench: Bench) -> Path:
    row = json.loads(bench.world.train_file.read_text().splitlines()[0])
    return bench.world.data_dir / "clevrer-mini" / str(row["video"])


def _check_guards(result: Figures, log: Path, url: str, outside: Path, watch: OpenWatch) -> int:
    """What the guards are for, done on purpose: they have to catch it."""

    def connect() -> int:
        socket.create_connection(("127.0.0.1", 9)).close()
        return READ

    works = {"Python": connect, "FFmpeg": lambda: _play(f"{url}/a.mp4")}
    if "decord" in _readers():
        works["decord"] = lambda: _open_with_decord(f"{url}/a.mp4")
    lists = _lists(url, outside)
    for number, kind in enumerate(_LIVE):
        path = log.parent / f"live-{number}{lists[kind][0]}"
        path.write_bytes(lists[kind][1])
        works[kind] = lambda path=path: _play(str(path))  # type: ignore[misc]
    for name, work in works.items():
        code, names = confined(work, log), watch.opened()
        is_caught = outside.name in names if name.endswith("a file") else code == CAUGHT
        result.check(is_caught, f"the guard does not catch {name}: {code}, {names}")
    return len(works)


def _play(name: str) -> int:
    """Open a file as FFmpeg does for one who allows everything."""
    anything = {
        "protocol_whitelist": "file,http,tcp,udp,rtp",
        "allowed_segment_extensions": "ALL",
        "extension_picky": "0",
        "safe": "0",
    }
    with av.open(name, options=anything) as container:
        for _ in container.decode(video=0):
            return READ
    return REFUSED


def _open_with_decord(name: str) -> int:
    import decord

    return len(decord.VideoReader(name))


def _rows(bench: Bench, root: Path, url: str, outside: Path) -> dict[str, Callable[[], int]]:
    """Rows of a data file, by what their `video` is."""
    row = json.loads(bench.world.train_file.read_text().splitlines()[0])
    names = [
        f"{url}/a.mp4", f"file://{outside}", f"file:{outside}", "concat:a.mp4|b.mp4",
        "data:video/mp4;base64,AAAA", f"crypto+{url}/a.mp4", f"cache:{url}/a.mp4",
        f"subfile,,start,0,end,9,,:{outside}", "../outside/outside.mp4", str(outside),
        "videos/link.mp4", f"tcp://127.0.0.1:{url.rsplit(':', 1)[1]}", "pipe:0", "fd:0",
    ]  # fmt: skip

    def read(name: str) -> int:
        from vtk.data.sample import load_samples

        path = root / "rows.jsonl"
        path.write_text(json.dumps(row | {"video": name}))
        try:
            video = load_samples(path)[0].video
        except DataError:
            return REFUSED
        return _read(video, "pyav")

    return {f"row {name}": lambda name=name: read(name) for name in names}  # type: ignore[misc]


def _clips(root: Path, url: str, outside: Path) -> dict[str, Callable[[], int]]:
    """Clips that are lists or references, by both names, through each reader and the prober."""
    works: dict[str, Callable[[], int]] = {}
    for number, (kind, (ending, content)) in enumerate(_lists(url, outside).items()):
        for name in dict.fromkeys((".mp4", ending)):
            path = root / "videos" / f"{number}{name}"
            path.write_bytes(content)
            for reader in _readers():
                works[f"{kind} as {name} by {reader}"] = (
                    lambda path=path, reader=reader: _read(path, reader)  # type: ignore[misc]
                )
            works[f"{kind} as {name} by the prober"] = (
                lambda path=path: _probe(path)  # type: ignore[misc]
            )
    return works


def _read(path: Path, decoder: str) -> int:
    from vtk.video.frames import FrameSettings, read_clip

    try:
        read_clip(path, FrameSettings(2, None, 784, 1568, decoder))
    except DataError:
        return REFUSED
    return READ


def _probe(path: Path) -> int:
    """The prober's child is confined too; that it was caught stands in its last words."""
    from vtk.video.prober import ProbeLimits, Prober

    with Prober(ProbeLimits()) as prober:
        problem = prober.probe(path).problem
    sys.stderr.write(f"{path}: {problem}\n")
    is_refused = problem is not None and "SIGSYS" not in problem
    return REFUSED if is_refused else READ


def _check_a_whole_evaluation(bench: Bench, folder: Path, result: Figures) -> None:
    here = Evaluation(bench, folder / "eval", before=forbid_network)
    code = here.start("--temperature", "0").wait()
    result.check(code == 0, f"an evaluation without a network: exit {code}: {here.log()}")


_LIVE: Final = (
    "HLS of a server", "HLS of a file", "concat list of a server", "concat list of a file", "SDP",
)  # fmt: skip
"""Those that the FFmpeg at hand follows for one who allows everything."""


def _lists(url: str, outside: Path) -> dict[str, tuple[str, bytes]]:
    """The name's ending under which each is best believed, and what is in it."""
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
    concat = "ffconcat version 1.0\nfile {}\n"
    sdp = (
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    )
    dash = f'<?xml version="1.0"?><MPD><BaseURL>{url}/a.mp4</BaseURL></MPD>'
    smil = f'<smil><body><video src="{url}/a.mp4"/></body></smil>'
    texts = {
        "HLS of a server": (".m3u8", hls.format(f"{url}/a.mp4")),
        "HLS of a file": (".m3u8", hls.format(f"file://{outside}")),
        "concat list of a server": (".ffconcat", concat.format(f"{url}/a.mp4")),
        "concat list of a file": (".ffconcat", concat.format(outside)),
        "DASH": (".mpd", dash),
        "SDP": (".sdp", sdp),
        "SMIL": (".smil", smil),
    }
    found = {kind: (ending, text.encode()) for kind, (ending, text) in texts.items()}
    return found | {"QuickTime reference": (".mov", _reference_movie(f"{url}/a.mp4".encode()))}


def _reference_movie(url: bytes) -> bytes:
    def box(kind: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4) + kind + content

    reference = bytes(4) + b"url " + (len(url) + 1).to_bytes(4) + url + b"\0"
    return box(b"moov", box(b"rmra", box(b"rmda", box(b"rdrf", reference))))
