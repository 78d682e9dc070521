"""The leak check: shared clips by path, content or scene; shared questions by their words."""

import json
from pathlib import Path

import pytest

from tests.unit.data.benchmarks.layouts import write_clip
from vtk.cli.console import Console
from vtk.cli.questions import show_leaks
from vtk.data.benchmarks.rows import Questions
from vtk.data.sample import VideoSample
from vtk.evals.leaks import Leak, find_leaks, training_file
from vtk.runs.files import file_sha256
from vtk.runs.store import RunPaths, create_run

PROBLEM = "What will happen?\nA. x\nB. y"


def ask(name: str, video: Path, problem: str = "Another?\nA. x\nB. y") -> VideoSample:
    return VideoSample(name, problem, "A", video.resolve(), str(video), ("x", "y"))


@pytest.fixture
def train_file(tmp_path: Path) -> Path:
    """Two questions about two clips of CLEVRER, in its layout."""
    root = tmp_path / "clevrer"
    rows = []
    for number in (10, 10009):
        video = f"videos/train/video_{number:05d}.mp4"
        write_clip(root / video, 8 + number % 7)
        rows.append({"problem": PROBLEM, "solution": "A", "video": video})
    (root / "split").mkdir()
    path = root / "split" / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_shared_clips_are_found_by_path_scene_and_content(tmp_path: Path, train_file: Path) -> None:
    clip = train_file.parents[1] / "videos/train/video_00010.mp4"
    copy = tmp_path / "elsewhere.mp4"
    copy.write_bytes(clip.read_bytes())
    scene = write_clip(tmp_path / "mvbench/video/clevrer/video_validation/video_10009.mp4", 5)
    same_size = tmp_path / "size.mp4"
    same_size.write_bytes(clip.read_bytes()[:-1] + b"\0")
    other = write_clip(tmp_path / "other.mp4", 20)
    videos = {"path": clip, "copy": copy, "scene": scene, "size": same_size, "other": other}
    asked = [ask(name, path) for name, path in videos.items()]
    found = find_leaks(train_file, [*asked, ask("missing", tmp_path / "gone.mp4")])
    assert found == Leak(6, 3, 0, 0, 2, ("path", "copy", "scene"))


def test_words_are_compared_without_spaces_and_case(tmp_path: Path, train_file: Path) -> None:
    other = write_clip(tmp_path / "other.mp4", 20)
    clip = train_file.parents[1] / "videos/train/video_00010.mp4"
    asked = [
        ask("words", other, "what  WILL happen?\nA.  x\nB. y"),
        ask("options", other, "What will happen?\nA. x\nB. z"),
        ask("both", clip, PROBLEM),
    ]
    found = find_leaks(train_file, asked)
    assert (found.num_in_same_words, found.num_both, found.examples) == (2, 1, ("both",))


def test_clevrer_mini_is_another_world(tmp_path: Path, train_file: Path) -> None:
    mini = write_clip(tmp_path / "clevrer-mini" / "videos" / "video_00010.mp4", 3)
    assert find_leaks(train_file, [ask("mini", mini)]) == Leak(1, 0, 0, 0, 0, ())


@pytest.fixture
def run(tmp_path: Path, train_file: Path) -> RunPaths:
    inputs = {"train": str(train_file), "train_sha256": file_sha256(train_file)}
    return create_run(tmp_path, "grpo", "x", config={}, extra={"inputs": inputs})


def test_the_check_is_printed_for_a_run(
    run: RunPaths, train_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = train_file.parents[1] / "videos/train/video_00010.mp4"
    asked = {"mvbench": Questions([ask("seen", clip, PROBLEM)])}
    found = show_leaks(Console(), run, asked)
    assert (found["mvbench"]["num_both"], found["mvbench"]["num_same_world"]) == (1, 1)
    told = capsys.readouterr()
    assert "of 1 questions 1 are about clips that it uses" in told.out
    assert "mvbench was trained on in part: seen" in told.err
    train_file.unlink()
    assert training_file(run) is None
    assert show_leaks(Console(), run, asked) == show_leaks(Console(), None, asked) == {}


def test_a_training_file_that_was_made_again_gives_no_numbers(
    run: RunPaths, train_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"problem": "Why?\nA. x\nB. y", "solution": "A", "video": "videos/train/video_00011.mp4"}
    train_file.write_text(json.dumps(row) + "\n")
    clip = train_file.parents[1] / "videos/train/video_00010.mp4"
    found = show_leaks(Console(), run, {"mvbench": Questions([ask("seen", clip, PROBLEM)])})
    assert found == {"mvbench": {"training_file": str(train_file), "training_file_changed": True}}
    told = capsys.readouterr()
    assert "the training file has changed since" in told.err
    assert "Leak check" not in told.out
