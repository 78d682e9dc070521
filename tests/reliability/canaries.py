"""S1, S3: models that bring code, and rows that name other machines and other files."""

import json
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tests.reliability.bench import Bench
from tests.reliability.figures import Figures
from tests.reliability.process import fork
from tests.reliability.web import Site, serving
from vtk.errors import DataError

FIRED, REFUSED = 77, 4


class _Canary:
    """Says that it was unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (_sing, (str(self.mark),))


def _sing(mark: str) -> dict[str, Any]:
    Path(mark).touch()
    return {}


def _rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _code(repo: Path, mark: Path) -> None:
    (repo / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Evil: pass\n")


def _auto_map(file: str, *names: str) -> Callable[[Path, Path], None]:
    def change(repo: Path, mark: Path) -> None:
        _code(repo, mark)
        _rewrite(repo / file, auto_map=dict.fromkeys(names, "evil.Evil"))

    return change


def _kernel(repo: Path, mark: Path) -> None:
    _code(repo, mark)
    text = json.loads((repo / "config.json").read_text())["text_config"]
    _rewrite(repo / "config.json", text_config=text | {"_attn_implementation_internal": "me/evil"})


def _pickled(repo: Path, mark: Path) -> None:
    torch.save({"a": _Canary(mark)}, repo / "pytorch_model.bin")
    (repo / "model.safetensors").unlink()


def _pickled_beside(repo: Path, mark: Path) -> None:
    for name in ("pytorch_model.bin", "training_args.bin", "rng_state.pth", "optimizer.pt"):
        torch.save({"a": _Canary(mark)}, repo / name)


def _pickled_adapter(repo: Path, mark: Path) -> None:
    for path in repo.iterdir():
        path.unlink()
    config = {"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"], "auto_mapping": None}
    (repo / "adapter_config.json").write_text(json.dumps(config))
    torch.save({"a": _Canary(mark)}, repo / "adapter_model.bin")


def _renamed_pickle(repo: Path, mark: Path) -> None:
    (repo / "model.safetensors").write_bytes(pickle.dumps(_Canary(mark)))


def _architecture(repo: Path, mark: Path) -> None:
    _code(repo, mark)
    _rewrite(repo / "config.json", model_type="evil", architectures=["Evil"],
             auto_map={"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"})  # fmt: skip


REPOSITORIES: dict[str, Callable[[Path, Path], None]] = {
    "auto_map in config.json": _auto_map(
        "config.json", "AutoConfig", "AutoModel", "AutoModelForImageTextToText"
    ),
    "auto_map of the tokenizer": _auto_map("tokenizer_config.json", "AutoTokenizer"),
    "auto_map of the processor": _auto_map("processor_config.json", "AutoProcessor"),
    "an architecture of its own": _architecture,
    "an attention kernel of the hub": _kernel,
    "pickled weights alone": _pickled,
    "pickles beside the weights": _pickled_beside,
    "a pickled adapter": _pickled_adapter,
    "a pickle named model.safetensors": _renamed_pickle,
}


def no_code_of_models_runs(bench: Bench, folder: Path) -> Figures:
    """Load repositories that carry code, each in a process with an audit hook."""
    result = Figures("S1", "No code from downloaded models runs")
    assert load_file(bench.world.base / "model.safetensors")
    outcomes = {"loaded without its code": 0, "refused": 0}
    for number, (name, change) in enumerate(REPOSITORIES.items()):
        repo, mark = folder / f"repo-{number}", folder / f"fired-{number}"
        shutil.copytree(bench.world.base, repo)
        (repo / "processor_config.json").touch()
        if not (repo / "processor_config.json").read_text():
            (repo / "processor_config.json").write_text("{}")
        change(repo, mark)
        code = fork(lambda: _load(repo), folder / "log").wait()  # noqa: B023
        result.check(code in (0, REFUSED), f"{name}: {code}")
        result.check(not mark.exists(), f"{name}: its code ran")
        outcomes["refused" if code == REFUSED else "loaded without its code"] += 1
    result.count = f"{len(REPOSITORIES)} repositories: {', '.join(REPOSITORIES)}"
    result.figures = [
        f"0 of {len(REPOSITORIES)} canaries fired, 0 files of them compiled or unpickled",
        ", ".join(f"{count} {name}" for name, count in outcomes.items()),
    ]
    return result


def _load(repo: Path) -> int:
    from vtk.config.sections import ModelSettings
    from vtk.models.loader import load_policy

    fired: list[str] = []

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name in ("compile", "exec") and str(repo) in repr(arguments)[:2000]:
            fired.append(name)
        if name == "pickle.find_class" and arguments[1] == "_sing":
            fired.append(name)
        if name == "open" and str(arguments[0]).endswith("evil.py"):
            fired.append(name)

    sys.addaudithook(hook)
    try:
        load_policy(repo, ModelSettings(path=str(repo), dtype="float32"))
    except DataError as error:
        sys.stderr.write(f"{error}\n")
        return FIRED if fired else REFUSED
    return FIRED if fired else 0


def rows_reach_nothing(bench: Bench, folder: Path) -> Figures:
    """Rows and clips that name a server of ours or a clip outside of the data."""
    from vtk.data.sample import load_samples
    from vtk.video.frames import FrameSettings, read_clip
    from vtk.video.prober import ProbeLimits, Prober

    result = Figures("S3", "Data rows cannot cause network or playlist reads")
    row = json.loads(bench.world.train_file.read_text().splitlines()[0])
    clip = bench.world.data_dir / "clevrer-mini" / row["video"]
    outside, root = folder / "outside.mp4", folder / "data"
    shutil.copyfile(clip, outside)
    (root / "videos").mkdir(parents=True)
    (root / "videos" / "link.mp4").symlink_to(outside)
    site = Site(files={"/a.mp4": clip.read_bytes()})
    frames = FrameSettings(2, None, 784, 1568)
    with serving(site) as url:
        names = [
            f"{url}/a.mp4", f"file://{outside}", f"file:{outside}", "concat:a.mp4|b.mp4",
            "data:video/mp4;base64,AAAA", f"crypto+{url}/a.mp4", f"cache:{url}/a.mp4",
            f"subfile,,start,0,end,9,,:{outside}", "../outside.mp4", str(outside),
            "videos/link.mp4", f"tcp://127.0.0.1:{url.rsplit(':', 1)[1]}", "pipe:0", "fd:0",
        ]  # fmt: skip
        for name in names:
            path = root / "rows.jsonl"
            path.write_text(json.dumps(row | {"video": name}))
            try:
                read_clip(load_samples(path)[0].video, frames)
            except DataError:
                continue
            result.check(False, f"a row with {name} was read")
        contents = _playlists(url, outside)
        with Prober(ProbeLimits()) as prober:
            for number, (kind, content) in enumerate(contents.items()):
                path = root / "videos" / f"{number}.mp4"
                path.write_bytes(content)
                result.check(prober.probe(path).problem is not None, f"{kind}: accepted")
                try:
                    read_clip(path, frames)
                except DataError:
                    continue
                result.check(False, f"{kind} was read")
    result.check(not site.requests, f"{len(site.requests)} requests reached the server")
    result.count = f"{len(names)} references, {len(contents)} clips that are lists or references"
    result.figures = [f"{len(site.requests)} connections, 0 foreign files opened; all refused"]
    return result


def _playlists(url: str, outside: Path) -> dict[str, bytes]:
    return {
        "HLS of a server": f"#EXTM3U\n#EXTINF:1,\n{url}/a.mp4\n#EXT-X-ENDLIST\n".encode(),
        "HLS of a file": f"#EXTM3U\n#EXTINF:1,\nfile://{outside}\n#EXT-X-ENDLIST\n".encode(),
        "concat list": f"ffconcat version 1.0\nfile {outside}\n".encode(),
        "DASH": f'<?xml version="1.0"?><MPD><BaseURL>{url}/a.mp4</BaseURL></MPD>'.encode(),
        "SDP": f"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video {url[-4:]} RTP/AVP 96\n".encode(),
        "QuickTime reference": _reference_movie(f"{url}/a.mp4".encode()),
        "SMIL": f'<smil><body><video src="{url}/a.mp4"/></body></smil>'.encode(),
    }


def _reference_movie(url: bytes) -> bytes:
    def box(kind: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4) + kind + content

    reference = bytes(4) + b"url " + (len(url) + 1).to_bytes(4) + url + b"\0"
    return box(b"moov", box(b"rmra", box(b"rmda", box(b"rdrf", reference))))
