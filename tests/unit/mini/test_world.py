"""A world on disk: the same every time, in CLEVRER's layout, finished after an interruption."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

import vtk.mini.questions
from vtk.data.registry import DATASETS, PARTS, annotation_file, questions_file, video_reference
from vtk.data.split import SplitOptions, split_dataset
from vtk.errors import ConfigError, DataError
from vtk.mini.questions import Question
from vtk.mini.world import WorldSettings, annotation_path, clip_path, read_world, write_world

SETTINGS = WorldSettings(num_scenes=3, num_validation_scenes=2, seed=1)
OWN = WorldSettings(2, 1, seed=4)
FIRST_SCENE = {"train": 0, "validation": 10_000}


def json_bytes(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*.json"))}


def pixels(root: Path) -> dict[str, str]:
    """A hash of every clip's decoded frames."""
    found = {}
    for path in sorted(root.rglob("*.mp4")):
        digest = hashlib.sha256()
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                digest.update(frame.to_ndarray(format="rgb24").tobytes())
        found[str(path.relative_to(root))] = digest.hexdigest()
    return found


def write_times(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in root.rglob("*.mp4")}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world made in one go; tests that change it take a copy."""
    root = tmp_path_factory.mktemp("world")
    counts = write_world(root, SETTINGS)
    assert counts["train"]["scenes"] == 3
    assert counts["validation"]["scenes"] == 2
    return root


@pytest.fixture
def own_world(tmp_path: Path) -> Path:
    """A smaller world to change."""
    write_world(tmp_path, OWN)
    return tmp_path


def test_two_workers_write_what_one_writes(world: Path, tmp_path: Path) -> None:
    progress: list[tuple[int, int]] = []
    write_world(tmp_path, SETTINGS, workers=2, on_progress=lambda *done: progress.append(done))
    assert json_bytes(tmp_path) == json_bytes(world)
    assert pixels(tmp_path) == pixels(world)
    assert progress == [(3, 5), (5, 5)]


def test_another_seed_gives_another_world(world: Path, own_world: Path) -> None:
    one, other = pixels(world), pixels(own_world)
    shared = one.keys() & other.keys()
    assert len(shared) == 3
    assert all(one[name] != other[name] for name in shared)
    assert len(set(one.values())) == 5  # and no clip occurs twice


def test_layout_is_clevrers(world: Path) -> None:
    files = {str(path.relative_to(world)) for path in world.rglob("*") if path.is_file()}
    expected = {"world.json", "files.json"}
    for part, count in (("train", 3), ("validation", 2)):
        expected.add(f"questions/{part}.json")
        for index in range(FIRST_SCENE[part], FIRST_SCENE[part] + count):
            folder = "00000-01000" if part == "train" else "10000-11000"
            expected.add(f"videos/{part}/video_{folder}/video_{index:05d}.mp4")
            expected.add(f"annotations/{part}/annotation_{folder}/annotation_{index:05d}.json")
            assert clip_path(world, part, index) == world / video_reference(part, index)
            assert annotation_path(world, part, index) == annotation_file(world, part, index)
    assert files == expected


def test_clips_are_h264_of_128_frames_at_25_a_second(world: Path) -> None:
    clips = sorted(world.rglob("*.mp4"))
    for path in clips:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert (stream.codec_context.width, stream.codec_context.height) == (240, 160)
            assert stream.average_rate == 25
            assert stream.frames == 128
            times = [frame.time for frame in container.decode(video=0)]
        assert times == pytest.approx([index / 25 for index in range(128)])
        assert path.stat().st_size < 120_000
    assert len(clips) == 5


def test_annotations_and_questions_hold_what_clevrers_hold(world: Path) -> None:
    for part in PARTS:
        entries: list[dict[str, Any]] = json.loads(questions_file(world, part).read_text())
        for index, entry in enumerate(entries, start=FIRST_SCENE[part]):
            assert entry["scene_index"] == index
            assert entry["video_filename"] == f"video_{index:05d}.mp4"
            ids = [question["question_id"] for question in entry["questions"]]
            assert ids == list(range(len(ids)))
            annotation = json.loads(annotation_file(world, part, index).read_text())
            objects = annotation["object_property"]
            assert [o["object_id"] for o in objects] == list(range(len(objects)))
            frames = annotation["motion_trajectory"]
            assert [frame["frame_id"] for frame in frames] == list(range(128))
            assert all(len(frame["objects"]) == len(objects) for frame in frames)
            assert all(o["inside_camera_view"] for frame in frames for o in frame["objects"])
            assert annotation["collision"]
            for collision in annotation["collision"]:
                places = [
                    frames[collision["frame_id"]]["objects"][i] for i in collision["object_ids"]
                ]
                middle = [
                    sum(axis) / 2 for axis in zip(*(p["location"] for p in places), strict=True)
                ]
                assert collision["location"] == pytest.approx(middle, abs=1e-4)


def test_an_interrupted_world_is_finished_and_nothing_is_rendered_twice(
    world: Path, tmp_path: Path
) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_world(tmp_path, SETTINGS, on_progress=interrupt)
    assert (read_world(tmp_path) or {})["complete"] is False
    assert not list((tmp_path / "questions").glob("*.json"))
    before = write_times(tmp_path)
    assert len(before) == 3
    lost = clip_path(tmp_path, "train", 1)
    lost.unlink()
    write_world(tmp_path, SETTINGS)
    after = write_times(tmp_path)
    assert {path for path in before if after[path] != before[path]} == {lost}
    assert json_bytes(tmp_path) == json_bytes(world)
    assert pixels(tmp_path) == pixels(world)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("place", [clip_path, annotation_path])
def test_what_was_damaged_later_is_made_again(
    own_world: Path,
    damage: Callable[[Path], None],
    place: Callable[[Path, str, int], Path],
) -> None:
    texts, before, shown = json_bytes(own_world), write_times(own_world), pixels(own_world)
    damage(place(own_world, "train", 1))
    write_world(own_world, OWN)
    after = write_times(own_world)
    changed = {path for path in before if after[path] != before[path]}
    assert changed == ({clip_path(own_world, "train", 1)} if place is clip_path else set())
    assert json_bytes(own_world) == texts
    assert pixels(own_world) == shown


def test_a_damaged_list_of_files_is_told(own_world: Path) -> None:
    (own_world / "files.json").write_text("[]")
    with pytest.raises(DataError, match=r"files\.json"):
        write_world(own_world, OWN)


def test_a_complete_world_is_left_as_it_is(world: Path) -> None:
    times, texts = write_times(world), json_bytes(world)
    write_world(world, SETTINGS)
    assert write_times(world) == times
    assert json_bytes(world) == texts
    assert (read_world(world) or {})["complete"] is True


def test_other_settings_are_refused_unless_asked_for(own_world: Path) -> None:
    texts = json_bytes(own_world)
    with pytest.raises(DataError, match="seed is 4, not 5") as caught:
        write_world(own_world, WorldSettings(2, 1, seed=5))
    assert caught.value.hint is not None
    assert "--force" in caught.value.hint
    assert json_bytes(own_world) == texts
    write_world(own_world, WorldSettings(1, 1, seed=5), overwrite=True)
    assert len(list(own_world.rglob("*.mp4"))) == 2  # none of the old clips is left
    assert len(list((own_world / "annotations").rglob("*.json"))) == 2


def test_a_damaged_world_file_is_told(tmp_path: Path) -> None:
    assert read_world(tmp_path) is None
    for content in ("{", "[]"):
        (tmp_path / "world.json").write_text(content)
        with pytest.raises(DataError, match="damaged"):
            write_world(tmp_path, SETTINGS)


@pytest.mark.parametrize(
    "wrong",
    [{"num_scenes": 10_001}, {"seed": -1}, {"questions_per_scene": 0}, {"observational_frac": 1.5}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        WorldSettings(**({"num_scenes": 1, "num_validation_scenes": 1} | wrong))


@pytest.mark.parametrize("palette", ["distinct", "full"])
def test_the_split_labels_questions_as_the_simulator_does(
    palette: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Question] = []
    to_clevrer = vtk.mini.questions.to_clevrer

    def record(question: Question, question_id: int) -> dict[str, Any]:
        written.append(question)
        return to_clevrer(question, question_id)

    monkeypatch.setattr(vtk.mini.questions, "to_clevrer", record)
    write_world(tmp_path, WorldSettings(5, 2, seed=2, palette=palette))
    found = split_dataset(tmp_path, DATASETS["clevrer-mini"], SplitOptions())
    rows = [row for part in PARTS for row in found.parts[part].rows]
    assert all(not found.parts[part].malformed for part in PARTS)
    assert found.num_missing_videos == 0
    assert len(rows) == len(written) > 20
    for row, question in zip(rows, written, strict=True):
        assert (row["label"] == "observational") == question.observational
        assert row["polarity"] == question.polarity
        assert row["num_correct"] == sum(question.gold)
        assert row["options"] == list(question.options)
    assert {row["label"] for row in rows} == {"observational", "inferential"}
