"""`vtk download NAME` some time later: updates, adopted clips that went, clips that nobody has."""

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow
import pyarrow.parquet
import pytest

from tests.reliability.publishers import clip_bytes, files_below, make_zip, publish_clevrer
from tests.reliability.web import Site
from vtk.data.remote.sources import SOURCES

if TYPE_CHECKING:
    from tests.unit.data.remote.conftest import Cli

AGREE = "--accept-licence"
CLIP = "videos/train/video_00000-01000/video_00000.mp4"


def record_of(folder: Path) -> dict[str, dict[str, Any]]:
    """What `download.json` says of each file, by its path."""
    return {
        each["path"]: each for each in json.loads((folder / "download.json").read_text())["files"]
    }


def publish_video_mme(site: Site, names: str, lost: str = "") -> dict[str, bytes]:
    """Serve Video-MME with an archive a clip; the clips as they should lie."""
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table({"videoID": [*names, *lost]}), sink)
    clips = {f"videos/{name}.mp4": clip_bytes(ord(name)) for name in names}
    files = {"videomme/test-0.parquet": bytes(sink.getvalue().to_pybytes())}
    for number, (path, content) in enumerate(clips.items()):
        member = path.replace("videos/", "data/")
        files[f"videos_chunked_0{number}.zip"] = make_zip({member: content})
    files["subtitle.zip"] = make_zip({f"subtitle/{name}.srt": b"1" for name in names})
    site.add_repository("dataset", SOURCES["video-mme"].repo, files)
    return clips


def test_update_keeps_what_no_hash_tells_and_its_crcs(site: Site, cli: "Cli") -> None:
    wanted = publish_clevrer(site)
    assert cli("clevrer", "--mirror", site.url) == 0
    before = record_of(cli.data_dir / "clevrer")
    site.requests.clear()
    assert cli("clevrer", "--mirror", site.url, "--update") == 0
    assert site.gets() == [], "only sizes were asked for"
    assert record_of(cli.data_dir / "clevrer") == before
    assert "8 unpacked files were checked by CRC-32" in cli.err
    clip = cli.data_dir / "clevrer" / CLIP
    clip.write_bytes(clip.read_bytes()[:-1] + b"!")
    assert cli("clevrer", "--verify") == 4
    assert f"{CLIP}: its content changed (CRC-32)" in cli.out
    assert cli("clevrer", "--mirror", site.url) == 0
    assert files_below(cli.data_dir / "clevrer") == wanted


def test_update_fetches_what_has_another_size_now(site: Site, cli: "Cli") -> None:
    publish_clevrer(site)
    assert cli("clevrer", "--mirror", site.url, "--keep-archives") == 0
    clips = {
        f"video_00000-01000/video_{index:05d}.mp4": clip_bytes(index + 50, 60_000)
        for index in range(4)
    }
    site.files["/videos/train/video_train.zip"] = make_zip(clips, zipfile.ZIP_STORED)
    scenes = [
        {"scene_index": n, "questions": [{"question_type": "counterfactual"}]} for n in (0, 1)
    ]
    site.files["/questions/train.json"] = json.dumps(scenes).encode()
    site.requests.clear()
    assert cli("clevrer", "--mirror", site.url, "--update") == 0
    asked = {each.path for each in site.gets()}
    assert {"/questions/train.json", "/videos/train/video_train.zip"} <= asked
    assert not any("validation" in path for path in asked)
    found = files_below(cli.data_dir / "clevrer")
    assert found["questions/train.json"] == site.files["/questions/train.json"]
    for index in (0, 1):
        name = f"video_00000-01000/video_{index:05d}.mp4"
        assert found[f"videos/train/{name}"] == clips[name]
    assert "annotations/train/annotation_00000-01000/annotation_00001.json" in found
    assert not any(name.endswith(".aside") for name in found)


def test_adopted_clips_are_not_said_to_be_checked(site: Site, cli: "Cli") -> None:
    wanted = publish_clevrer(site)
    root = cli.data_dir / "clevrer"
    for name, content in wanted.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    assert cli("clevrer", "--mirror", site.url) == 0
    assert "2 structural only, 4 by name and format" in cli.err
    assert "compared with nothing" in cli.err
    assert "CRC-32" not in cli.err
    assert cli("clevrer", "--verify") == 0
    assert "of 8 adopted clips only the size is known" in cli.out


def test_a_lost_adopted_clip_is_brought_back_by_whichever_archive_has_it(
    site: Site, cli: "Cli", tmp_path: Path
) -> None:
    clips = publish_video_mme(site, "abc")
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for name, content in clips.items():
        (shelf / Path(name).name).write_bytes(content)
        (shelf / Path(name).with_suffix(".srt").name).write_bytes(b"1")
    assert cli("video-mme", AGREE, "--from", str(shelf), "--json") == 0
    assert cli.document[0]["integrity"] == {"sha256": 1, "by name and format": 4}
    assert site.gets(".zip") == []
    (cli.data_dir / "video-mme/videos/c.mp4").unlink()
    assert cli("video-mme", "--json") == 0
    found = files_below(cli.data_dir / "video-mme")
    assert {name: found.get(name) for name in clips} == clips
    assert cli.document[0]["missing"] == []
    assert cli.document[0]["integrity"]["sha256"] == 4


def test_clips_that_no_archive_has_are_told_every_time(site: Site, cli: "Cli") -> None:
    publish_video_mme(site, "ab", lost="x")
    for arguments in ((AGREE,), (), ("--update",), ("--offline",), ("--verify",)):
        assert cli("video-mme", *arguments) == 0
        assert "no archive has: 1 (videos/x.mp4)" in cli.err, arguments
    assert cli("--list") == 0
    assert "video-mme: clips that questions name and no archive has: 1" in cli.err
    assert cli("--list", "--json") == 0
    listed = {each["name"]: each["missing_clips"] for each in cli.document}
    assert listed["video-mme"] == ["videos/x.mp4"]
    assert listed["clevrer"] == []


@pytest.mark.parametrize("is_same", [True, False], ids=["same", "different"])
def test_a_file_of_two_archives_is_taken_from_one_of_them_each_time(
    site: Site, cli: "Cli", is_same: bool
) -> None:
    names = [f"star/Charades_v1_480/{number}.mp4" for number in range(20)]
    main = {name: clip_bytes(n, 200_000) for n, name in enumerate(names)}
    more = {
        f"data0613/{name}": clip_bytes(n + 20 * (not is_same), 200_000 + n % 2)
        for n, name in enumerate(names)
    }
    more["data0613/star/Charades_v1_480/own.mp4"] = clip_bytes(99)
    site.add_repository(
        "dataset",
        SOURCES["mvbench"].repo,
        {
            "json/action_sequence.json": b"[]",
            "video/data0613.zip": make_zip(more, zipfile.ZIP_STORED),
            "video/star.zip": make_zip(main, zipfile.ZIP_STORED),
        },
    )
    assert cli("mvbench") == 0
    assert "video/data0613.zip: 20 files that video/star.zip has as well are taken from" in cli.err
    folder = cli.data_dir / "mvbench"
    wanted = {f"video/{name}": content for name, content in main.items()}
    wanted["video/star/Charades_v1_480/own.mp4"] = clip_bytes(99)
    assert files_below(folder) == {**wanted, "json/action_sequence.json": b"[]"}
    files = record_of(folder)
    assert len(files["video/star.zip"]["members"]) == 20
    assert len(files["video/data0613.zip"]["members"]) == 1
    site.requests.clear()
    assert cli("mvbench") == 0
    assert site.requests == [], "nothing is missing that the other archive took"
    for lost in ("own.mp4", "7.mp4"):
        (folder / "video/star/Charades_v1_480" / lost).unlink()
        assert cli("mvbench") == 0
        assert files_below(folder) == {**wanted, "json/action_sequence.json": b"[]"}


def test_an_archive_that_was_published_damaged_is_kept_and_not_fetched_again(
    site: Site, cli: "Cli"
) -> None:
    content = bytearray(make_zip({"videos/0.mp4": clip_bytes(0)}, zipfile.ZIP_STORED))
    content[len(content) // 2] ^= 1
    files = {"test_Video-Holmes.json": b"[]", "videos.zip": bytes(content)}
    site.add_repository("dataset", SOURCES["video-holmes"].repo, files)
    for _ in range(2):
        assert cli("video-holmes", AGREE) == 4
        assert "what its owners published (sha256 is right)" in cli.err
        assert "huggingface.co/datasets/TencentARC/Video-Holmes" in cli.err
        assert "another network" not in cli.err
        assert (cli.data_dir / "video-holmes/videos.zip").read_bytes() == bytes(content)
    assert len(site.gets("videos.zip")) == 1
    mended = {"videos.zip": make_zip({"videos/0.mp4": clip_bytes(0)})}
    site.add_repository("dataset", SOURCES["video-holmes"].repo, {**files, **mended}, "beef" * 10)
    assert cli("video-holmes", "--update") == 0
    assert files_below(cli.data_dir / "video-holmes")["videos/0.mp4"] == clip_bytes(0)
