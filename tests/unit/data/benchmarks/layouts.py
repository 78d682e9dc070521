"""Small copies of the five benchmarks in their official layouts, with clips encoded here."""

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image

NUM_FRAMES, FPS, SIDE_PX = 24, 8, 64
_CODECS = {".mp4": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9", ".avi": "mpeg4"}


def frame(number: int, num_frames: int = NUM_FRAMES) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A grey picture that grows lighter with the frame's number: the pixels tell the frame."""
    return np.full((SIDE_PX, SIDE_PX, 3), 20 + 200 * number // num_frames, dtype=np.uint8)


def write_clip(path: Path, num_frames: int = NUM_FRAMES) -> Path:
    """A clip of `num_frames` frames at 8 a second; the suffix chooses container and codec."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(_CODECS[path.suffix], rate=Fraction(FPS))
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt = "yuv420p"
        for number in range(num_frames):
            picture = av.VideoFrame.from_ndarray(frame(number, num_frames), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def write_frame_folder(folder: Path, num_frames: int = 12) -> Path:
    """`00001.jpg` and on, as MVBench keeps the clips of TVQA."""
    folder.mkdir(parents=True)
    for number in range(num_frames):
        Image.fromarray(frame(number, num_frames)).save(folder / f"{number + 1:05d}.jpg")
    return folder


def write_json(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def mmvu_row(number: int, subject: str, kind: str = "multiple-choice") -> dict[str, Any]:
    is_choice = kind == "multiple-choice"
    letters = dict.fromkeys("ABCDE", "")
    return {
        "id": f"validation_{number}",
        "video": f"https://huggingface.co/datasets/yale-nlp/MMVU/resolve/main/videos/{subject}/0.mp4",
        "youtube_url": "https://www.youtube.com/watch?v=x",
        "question_type": kind,
        "metadata": {"subject": subject.replace("_", " "), "rationale": "…"},
        "question": f"Which law does experiment {number} show?",
        "choices": {c: f"law {c}{number}" for c in letters} if is_choice else letters,
        "answer": "B" if is_choice else "Lenz's law",
    }


def write_mmvu(root: Path) -> Path:
    """Two subjects, three multiple-choice questions, one open-ended one."""
    rows = [mmvu_row(0, "Art"), mmvu_row(1, "Computer_Science"), mmvu_row(2, "Art")]
    write_json(root / "validation.json", [*rows, mmvu_row(3, "Art", "open-ended")])
    for subject in ("Art", "Computer_Science"):
        write_clip(root / "videos" / subject / "0.mp4")
    return root


def write_video_holmes(root: Path) -> Path:
    """One film, two types; the clips lie where the archive puts them."""
    rows = [
        {
            "video ID": "fH6b-_x",
            "Question ID": number,
            "Question Type": kind,
            "Question": f"Order these:\n1. door\n2. phone ({number})",
            "Options": {c: f"answer {c}" for c in "ABCDEF"},
            "Answer": "F",
            "Explanation": "…",
        }
        for number, kind in ((1, "SR"), (2, "TA"))
    ]
    write_json(root / "test_Video-Holmes.json", rows)
    write_clip(root / "videos_cropped" / "fH6b-_x.mp4")
    return root


def mvbench_row(video: str, **bounds: float) -> dict[str, Any]:
    return {
        "video": video,
        "question": "What happened?",
        "candidates": ["He ran.", "She sat.", "It fell."],
        "answer": "She sat.",
        **bounds,
    }


def write_mvbench(root: Path) -> Path:
    """Five tasks: a webm, an avi, a folder of frames, a cropped mp4, a clip of CLEVRER."""
    video, json_dir = root / "video", root / "json"
    write_clip(video / "ssv2_video" / "166583.webm")
    write_clip(video / "nturgbd" / "S001.avi")
    write_frame_folder(video / "tvqa" / "frames_fps3_hq" / "s01_clip_00")
    write_clip(video / "data0613" / "star" / "Charades_v1_480" / "ZS9XR.mp4")
    write_clip(video / "clevrer" / "video_validation" / "video_10009.mp4")
    tasks = {
        "action_antonym": [mvbench_row("166583.webm")],
        "fine_grained_pose": [mvbench_row("S001.avi")],
        "episodic_reasoning": [mvbench_row("s01_clip_00", start=1.0, end=3.0, fps=3)],
        "action_sequence": [mvbench_row("ZS9XR.mp4", start=1.0, end=2.0)],
        "moving_count": [mvbench_row("video_10009.mp4")],
    }
    for task, rows in tasks.items():
        write_json(json_dir / f"{task}.json", rows)
    return root


def write_tempcompass(root: Path) -> Path:
    """One clip, one question of each task."""
    base = {"video_id": "1034419625", "dim": "speed"}
    lines = "Which caption matches?\nCaption A: It is fast.\nCaption B: It is slow."
    tasks: dict[str, dict[str, Any]] = {
        "multi-choice": {"question": "How fast?\nA. fast\nB. slow", "answer": "B. slow"},
        "yes_no": {"question": "Is it slow?", "answer": "yes"},
        "caption_matching": {"question": lines, "answer": "Caption B: It is slow."},
        "captioning": {
            "question": "Describe it.\nGenerated Caption:",
            "answer": "slow",
            "mc_question": "How fast?\nA. fast\nB. slow",
            "mc_answer": "B. slow",
        },
    }
    for task, row in tasks.items():
        write_parquet(root / task / "test-00000-of-00001.parquet", [base | row])
    write_clip(root / "videos" / "1034419625.mp4")
    return root


def write_video_mme(root: Path) -> Path:
    """Two clips, one of them a .mkv in `data/`; three questions."""
    rows = [
        {
            "video_id": "001",
            "duration": duration,
            "domain": "Knowledge",
            "sub_category": "Humanity & History",
            "url": "https://www.youtube.com/watch?v=x",
            "videoID": name,
            "question_id": f"001-{number}",
            "task_type": "Counting Problem",
            "question": "How many candles are there?",
            "options": ["A. 1.", "B. 4.", "C. 2.", "D. 3."],
            "answer": "D",
        }
        for number, (name, duration) in enumerate(
            (("fFjv93ACGo8", "short"), ("fFjv93ACGo8", "short"), ("-k_x", "long")), start=1
        )
    ]
    write_parquet(root / "videomme" / "test-00000-of-00001.parquet", rows)
    write_clip(root / "videos" / "fFjv93ACGo8.mp4")
    write_clip(root / "data" / "-k_x.mkv")
    return root


WRITERS = {
    "mmvu": write_mmvu,
    "video-holmes": write_video_holmes,
    "mvbench": write_mvbench,
    "tempcompass": write_tempcompass,
    "video-mme": write_video_mme,
}


def write_all(data_dir: Path) -> Path:
    """All five below one data folder."""
    for name, write in WRITERS.items():
        write(data_dir / name)
    return data_dir
