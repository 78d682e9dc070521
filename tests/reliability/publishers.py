"""Small but real copies of what the owners publish, in their layouts, for a loopback server."""

import io
import json
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.reliability.web import Site
from vtk.data.remote.sources import SOURCES

SCENES = {"train": range(4), "validation": range(10_000, 10_003)}


def make_zip(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of these members."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def clip_bytes(seed: int, num_bytes: int = 50_000) -> bytes:
    """What begins as an MP4 file does; no decoder meets it here."""
    return b"\0\0\0\x18ftypmp42" + random.Random(seed).randbytes(num_bytes - 12)


def publish_clevrer(site: Site, clip_size: int = 50_000) -> dict[str, bytes]:
    """Serve CLEVRER's files; what should lie on the disk afterwards, by path.

    Every second scene has a counterfactual question; only their clips are in the answer.
    """
    wanted: dict[str, bytes] = {}
    for part, indices in SCENES.items():
        clips, notes, scenes = {}, {}, []
        for index in indices:
            first = index // 1000 * 1000
            folder = f"{first:05d}-{first + 1000:05d}"
            clip = f"video_{folder}/video_{index:05d}.mp4"
            note = f"annotation_{folder}/annotation_{index:05d}.json"
            kind = "counterfactual" if index % 2 == 0 else "descriptive"
            clips[clip] = clip_bytes(index, clip_size)
            notes[note] = json.dumps({"scene_index": index, "padding": "x" * 500}).encode()
            scenes.append({"scene_index": index, "questions": [{"question_type": kind}]})
            if kind == "counterfactual":
                wanted[f"videos/{part}/{clip}"] = clips[clip]
                wanted[f"annotations/{part}/{note}"] = notes[note]
        wanted[f"questions/{part}.json"] = json.dumps(scenes).encode()
        site.files[f"/questions/{part}.json"] = wanted[f"questions/{part}.json"]
        site.files[f"/annotations/{part}/annotation_{part}.zip"] = make_zip(notes)
        stored = make_zip(clips, zipfile.ZIP_STORED)
        site.files[f"/videos/{part}/video_{part}.zip"] = stored
    return wanted


def publish_holmes(site: Site) -> dict[str, bytes]:
    """Serve Video-Holmes; what should lie on the disk afterwards."""
    clips = {f"videos/{number}.mp4": clip_bytes(number) for number in range(3)}
    questions = b'[{"video ID": "0"}]'
    files = {
        "test_Video-Holmes.json": questions,
        "train_Video-Holmes.json": b"[]",
        "videos.zip": make_zip(clips),
    }
    site.add_repository("dataset", SOURCES["video-holmes"].repo, files)
    return {"test_Video-Holmes.json": questions, **clips}


def publish_model(
    site: Site, name: str = "videothinker-r1", size: int = 100_000
) -> dict[str, bytes]:
    """Serve a model; the files of its snapshot."""
    weights = random.Random(name).randbytes(size)
    files = {"config.json": b'{"model_type": "x"}', "model.safetensors": weights}
    site.add_repository("model", SOURCES[name].repo, {**files, "README.md": b"# Read"})
    return files


def files_below(root: Path) -> dict[str, bytes]:
    """Every file below a folder but the download's own record, by path."""
    found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name != "download.json"}
